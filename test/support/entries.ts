/**
 * Batches for tests, from entries written out.
 */
import {
  ENTRY_HEADER_BYTES,
  EntryFlag,
  entryBytes,
  SHORT_HEADER_BYTES,
  shortEntryBytes,
  writeEntryHeader,
  writeShortHeader,
} from "../../src/protocol/batch.ts";

export interface Entry {
  readonly session: number;
  readonly sequence: number;
  readonly flags?: number;
  readonly value?: string | Uint8Array;
}

export function open(nonce: number): Entry {
  return { session: nonce, sequence: 0, flags: EntryFlag.open };
}

/** As a client writes it: what comes next in the session of the entry before it is a short entry, unless `shortens` is false. */
export function batchOf(entries: readonly Entry[], shortens = true): Uint8Array {
  const values = entries.map(({ value = "" }) =>
    typeof value === "string" ? new TextEncoder().encode(value) : value,
  );
  const bytes = new Uint8Array(values.reduce((sum, value) => sum + entryBytes(value.length), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  entries.forEach(({ session, sequence, flags = 0 }, i) => {
    const value = values[i]!;
    const before = entries[i - 1];
    const isNext = shortens && before?.session === session && before.sequence + 1 === sequence;
    const isShort = isNext && ((before.flags ?? 0) & EntryFlag.open) === 0 && (flags & EntryFlag.open) === 0;
    if (isShort) writeShortHeader(view, at, value.length, flags);
    else writeEntryHeader(view, at, session, sequence, value.length, flags);
    bytes.set(value, at + (isShort ? SHORT_HEADER_BYTES : ENTRY_HEADER_BYTES));
    at += isShort ? shortEntryBytes(value.length) : entryBytes(value.length);
  });
  return bytes.subarray(0, at);
}
