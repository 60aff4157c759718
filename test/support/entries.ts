/**
 * Batches for tests, from entries written out.
 */
import { EntryFlag, entryBytes, writeEntryHeader } from "../../src/protocol/batch.ts";

export interface Entry {
  readonly session: number;
  readonly sequence: number;
  readonly flags?: number;
  readonly value?: string | Uint8Array;
}

export function open(nonce: number): Entry {
  return { session: nonce, sequence: 0, flags: EntryFlag.open };
}

export function batchOf(entries: readonly Entry[]): Uint8Array {
  const values = entries.map(({ value = "" }) =>
    typeof value === "string" ? new TextEncoder().encode(value) : value,
  );
  const bytes = new Uint8Array(values.reduce((sum, value) => sum + entryBytes(value.length), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  entries.forEach(({ session, sequence, flags = 0 }, i) => {
    const value = values[i]!;
    writeEntryHeader(view, at, session, sequence, value.length, flags);
    bytes.set(value, at + 16);
    at += entryBytes(value.length);
  });
  return bytes;
}
