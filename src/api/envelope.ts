/**
 * What a replica puts around a command: whose it is, so that who submitted it is told its result, whatever became of the
 * session it travelled in. Little-endian: magic (4 bytes), the command's number at its replica (6), the replica's tag (6);
 * then the command. A value of the log that does not begin so is a command that came another way, and is applied as it is.
 */
import { readUint32, writeUint32 } from "../protocol/bytes.ts";

export const ENVELOPE_BYTES = 16;
/** Tags and numbers are below. */
export const ENVELOPE_LIMIT = 2 ** 48;
const MAGIC = 0x3143504b;
const HIGH = 2 ** 32;

/** The command in its envelope. */
export function seal(tag: number, number: number, command: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ENVELOPE_BYTES + command.length);
  writeUint32(bytes, 0, MAGIC);
  writeUint48(bytes, 4, number);
  writeUint48(bytes, 10, tag);
  bytes.set(command, ENVELOPE_BYTES);
  return bytes;
}

function writeUint48(into: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / HIGH);
  writeUint32(into, at, value);
  into[at + 4] = high;
  into[at + 5] = high >>> 8;
}

function readUint48(from: Uint8Array, at: number): number {
  return (from[at + 4]! | (from[at + 5]! << 8)) * HIGH + readUint32(from, at);
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
    if (readUint32(value, 0) !== MAGIC) return 0;
    this.number = readUint48(value, 4);
    this.tag = readUint48(value, 10);
    return ENVELOPE_BYTES;
  }
}
