/**
 * What has to be delivered of each instance, by the rules of sessions written down once more, as plainly as possible: a second
 * opinion on the session table, and on everything between it and the application. Reads what is chosen, in log order.
 */
import { BatchReader, ENTRY_HEADER_BYTES, EntryFlag } from "../protocol/batch.ts";
import { crc32c } from "../protocol/crc32c.ts";

export interface Delivery {
  /** Of the entry that completes the value. */
  readonly index: number;
  readonly session: number;
  readonly sequence: number;
  readonly length: number;
  readonly checksum: number;
}

interface Session {
  readonly nonce: number;
  next: number;
  pieces: Uint8Array[];
}

export interface OracleLimits {
  readonly sessions: number;
  readonly maxValueBytes: number;
}

export class SessionOracle {
  readonly #limits: OracleLimits;
  readonly #chosen: (iid: number) => Uint8Array | undefined;
  /** By id; the one used longest ago comes first. */
  readonly #sessions = new Map<number, Session>();
  readonly #expected: (readonly Delivery[])[] = [[]];
  /** The values themselves, in the same places. */
  readonly #values: (readonly Uint8Array[])[] = [[]];
  readonly #reader = new BatchReader();

  constructor(limits: OracleLimits, chosen: (iid: number) => Uint8Array | undefined) {
    this.#limits = limits;
    this.#chosen = chosen;
  }

  /** What is to be delivered of an instance; undefined: not everything up to it is chosen. */
  expected(iid: number): readonly Delivery[] | undefined {
    for (let next = this.#expected.length; next <= iid; next++) {
      const value = this.#chosen(next);
      if (value === undefined) return undefined;
      this.#expected.push(this.#decide(next, value));
    }
    return this.#expected[iid];
  }

  /** Those values, of an instance of which is known what is to be delivered. */
  values(iid: number): readonly Uint8Array[] {
    return this.#values[iid]!;
  }

  #decide(iid: number, value: Uint8Array): Delivery[] {
    const deliveries: Delivery[] = [];
    const wholes: Uint8Array[] = [];
    this.#values.push(wholes);
    const reader = this.#reader;
    reader.open(value, 0, value.length);
    while (reader.next()) {
      const { index, session, sequence, flags, valueOffset, valueLength } = reader;
      if ((flags & EntryFlag.reset) !== 0) {
        // Alone, without a value and with nothing else said; else it is nothing.
        if (flags === EntryFlag.reset && value.length === ENTRY_HEADER_BYTES) this.#sessions.clear();
        continue;
      }
      if ((flags & EntryFlag.open) !== 0) {
        if (index === 0 && session > 0 && sequence === 0) this.#open(iid, session);
        continue;
      }
      const known = this.#sessions.get(session);
      if (known === undefined) continue;
      this.#use(session, known);
      if (sequence !== known.next) continue;
      const piece = value.slice(valueOffset, valueOffset + valueLength);
      const length = known.pieces.reduce((sum, one) => sum + one.length, piece.length);
      if ((flags & EntryFlag.close) !== 0 || length > this.#limits.maxValueBytes) {
        this.#sessions.delete(session);
        continue;
      }
      known.next++;
      known.pieces.push(piece);
      if ((flags & EntryFlag.more) !== 0) continue;
      const whole = Buffer.concat(known.pieces);
      known.pieces = [];
      wholes.push(whole);
      deliveries.push({ index, session, sequence, length, checksum: crc32c(whole, 0, length) });
    }
    return deliveries;
  }

  #open(iid: number, nonce: number): void {
    for (const [id, session] of this.#sessions) if (session.nonce === nonce) return this.#use(id, session);
    if (this.#sessions.size === this.#limits.sessions) {
      const [oldest] = this.#sessions.keys();
      if (oldest !== undefined) this.#sessions.delete(oldest);
    }
    this.#sessions.set(iid, { nonce, next: 1, pieces: [] });
  }

  #use(id: number, session: Session): void {
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
  }
}
