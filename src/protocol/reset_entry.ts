/**
 * The entry by which all sessions of a log begin anew. A leader has it chosen where nobody knows the sessions any more
 * (`proposer/session_reset.ts`); no client may send one. Pure.
 *
 * It counts only as the whole of its batch, without a value: then every learner forgets all sessions at this instance.
 * Anywhere else it is discarded.
 */
import { ENTRY_HEADER_BYTES, EntryBuffer, EntryFlag, valueLengthAt } from "./batch.ts";

/** The batch, whole: `RESET_BYTES` of it. */
export const RESET = resetBatch();
export const RESET_BYTES = RESET.length;

/** Whether the batch has all sessions begin anew. */
export function isReset(bytes: Uint8Array, offset: number, length: number): boolean {
  // Hardly any other batch is so short.
  return (
    length === RESET_BYTES && bytes[offset + 3] === EntryFlag.reset && valueLengthAt(bytes, offset) === 0
  );
}

function resetBatch(): Uint8Array {
  const entry = new EntryBuffer(ENTRY_HEADER_BYTES);
  entry.write(0, 0, entry.bytes, 0, 0, EntryFlag.reset);
  return entry.bytes;
}
