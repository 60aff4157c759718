/**
 * Seven bits of a log's id (`StandingVector.logId`), which stand in the header of a proposer's frames while it campaigns and leads. Who
 * knows of another log takes nothing of such a frame: a leader that outlived its log says of its own instances that they are chosen,
 * at ballots that the new log has not come to.
 *
 * Of two logs one pair in 127 has the same mark. What acceptors say is told apart by the whole id (`Learner`, `RangePhase`).
 */
const MARKS = 127;
/** The log is not known. */
export const NO_MARK = 0;

export function markOfLog(logId: number): number {
  return logId === 0 ? NO_MARK : 1 + (logId % MARKS);
}

/** Both are known, and of two logs. */
export function isOtherMark(mark: number, own: number): boolean {
  return mark !== NO_MARK && own !== NO_MARK && mark !== own;
}
