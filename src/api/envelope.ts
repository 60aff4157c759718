/**
 * What a replica puts around a command: whose it is, so that who submitted it is told its result, whatever became of the
 * session it travelled in. Little-endian: magic (4 bytes), the command's number at its replica (6), the replica's tag (6);
 * then the command. A value of the log that does not begin so is a command that came another way, and is applied as it is.
 */

export const ENVELOPE_BYTES = 16;
/** Tags and numbers are below. */
export const ENVELOPE_LIMIT = 2 ** 48;
const MAGIC = 0x3143504b;
const HIGH = 2 ** 32;

/** The command in its envelope. */
export function seal(tag: number, number: number, command: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ENVELOPE_BYTES + command.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, number >>> 0, true);
  view.setUint16(8, Math.floor(number / HIGH), true);
  view.setUint32(10, tag >>> 0, true);
  view.setUint16(14, Math.floor(tag / HIGH), true);
  bytes.set(command, ENVELOPE_BYTES);
  return bytes;
}

/** Reads envelopes, one after the other. */
export class Envelope {
  /** −1: the value had none. */
  tag = -1;
  number = -1;

  /** Where the command begins in the value. */
  open(value: Uint8Array): number {
    this.tag = this.number = -1;
    if (value.length < ENVELOPE_BYTES) return 0;
    const view = new DataView(value.buffer, value.byteOffset, ENVELOPE_BYTES);
    if (view.getUint32(0, true) !== MAGIC) return 0;
    this.number = view.getUint16(8, true) * HIGH + view.getUint32(4, true);
    this.tag = view.getUint16(14, true) * HIGH + view.getUint32(10, true);
    return ENVELOPE_BYTES;
  }
}
