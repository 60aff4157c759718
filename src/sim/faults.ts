/**
 * What went wrong in a run, counted where it did: a mishap says what was to happen, this says what came of it.
 */

/** Kind by kind, and what one of it is. */
export const FAULTS = {
  lost: "a frame that did not arrive",
  doubled: "a frame that arrived twice",
  reordered: "a frame that others may have overtaken",
  stale: "a frame that took up to seconds",
  corrupted: "a frame of which a bit broke",
  refused: "a frame that arrived and was refused for its checksum or MAC",
  cut: "a frame that met a way that was cut",
  slowed: "a frame on a way that had become slow",
  overflowed: "a frame that found its receiver's queue full",
  midCommit: "a process that died inside a commit",
  torn: "a commit of which a part was on the disk, without its end, when the process came back",
  failedCommit: "a commit that failed",
  slowCommit: "a commit on a disk that had become slow",
  midTurn: "a process that died when some of a turn's frames had left",
  leftDead: "an acceptor, or a replica, that did not come back when all was healed",
  forgot: "an acceptor that came back with nothing of what it had known",
  skewed: "a process with a clock that runs too fast or too slow",
  signed: "a process whose frames are signed",
  trimmed: "a trim by an acceptor",
  snapshots: "a snapshot that was written",
  cutSnapshot: "a process that died while it wrote a snapshot",
  restored: "a learner that went on with a snapshot",
  unknown: "a learner that went on without one, and did not know the sessions",
  crowded: "a phase 1 that was told more than its proposer had room for",
  cleared: "a proposer that had what its window held chosen again before it led",
  stranded: "a leader that was deposed while its successor knew nothing of what it had proposed",
  begunAnew: "an instance at which all sessions began anew",
} as const;

export type Counts = Record<string, number>;

export function addTo(counts: Counts, kind: string, more: number): void {
  if (more > 0) counts[kind] = (counts[kind] ?? 0) + more;
}

export function addAll(counts: Counts, others: Readonly<Counts>): void {
  for (const [kind, more] of Object.entries(others)) addTo(counts, kind, more);
}
