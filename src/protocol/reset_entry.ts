/**
 * The entry by which all sessions of a log begin anew. A leader has it chosen where nobody knows the sessions any more
 * (`proposer/session_reset.ts`); no client may send one. Pure.
 *
 * It counts only as the whole of its batch, without a value: then every learner forgets all sessions at this instance.
 * Anywhere else it is discarded.
 */
import { BatchReader, ENTRY_HEADER_BYTES, EntryBuffer, EntryFlag } from "./batch.ts";

const reader = new BatchReader();

/** The batch, whole: `RESET_BYTES` of it. */
export const RESET = resetBatch();
export const RESET_BYTES = RESET.length;

/** Whether the batch has all sessions begin anew. */
export function isReset(bytes: Uint8Array, offset: number, length: number): boolean {
  // Hardly any other batch is so short.
  if (length !== RESET_BYTES) return false;
  reader.open(bytes, offset, length);
  return reader.next() && reader.flags === EntryFlag.reset;
}

function resetBatch(): Uint8Array {
  const entry = new EntryBuffer(ENTRY_HEADER_BYTES);
  entry.write(0, 0, entry.bytes, 0, 0, EntryFlag.reset);
  return entry.bytes;
}
