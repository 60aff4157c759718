/**
 * Whether the state that a process goes on with is of the log that the acceptors have. Where all of them lost everything the
 * cluster has another log, and instance 8 of that one may be far from what was instance 8. A snapshot bears the id of its log,
 * acceptors tell theirs (`StandingVector.logId`).
 *
 * Invariants: of two logs a process takes up one. Its learner counts nothing of another (`told_logs.ts`), and it ends when a quorum
 * of acceptors tells of one other log, and none that is heard of its own. Until it is known that it need not, nothing is delivered or
 * reported, its proposer does not lead, and nobody gets its snapshots. The id is that of the file with which it begins, or what a
 * quorum told first. Where either id is not known only a file that is ahead of the acceptors is found out.
 */
import { CliError, ExitCode } from "../error.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { Snapshot } from "./snapshot.ts";
import type { SnapshotPlace } from "./snapshot_file.ts";

/** Acceptors tell their state once a second: what they told late from before says nothing. */
const FORMER_LOG_US = 2_500_000;

export class LogCheck {
  readonly #file: SnapshotPlace | undefined;
  /** The instance of the file that it began with, until acceptors are known to go so far. */
  #fileIid = 0;
  /** The id is that of the file, and no quorum has told of it yet. */
  #isOfFile = false;
  #doubtUs = -1;
  /** Since when a quorum of acceptors has told of instances and of no log; −1: it has not. */
  #untoldUs = -1;

  constructor(file: SnapshotPlace | undefined) {
    this.#file = file;
  }

  /** The learner goes on with the snapshot in the file. */
  began({ iid, logId }: Snapshot, learner: Learner): void {
    learner.isOf(logId);
    this.#fileIid = iid;
    this.#isOfFile = true;
    learner.isDoubted = true;
  }

  /** Throws when the state is of a former log. */
  tick(nowUs: number, learner: Learner): void {
    const told = learner.toldLogId;
    if (told !== 0 && told !== learner.logId && this.#mayTake(learner)) learner.isOf(told);
    const { logId } = learner;
    const isOther = told !== 0 && told !== logId && !learner.hearsOf(logId);
    if (told === logId) this.#isOfFile = false;
    // What was delivered was chosen, and of any quorum one has it or has trimmed it.
    const isAhead = learner.statesKnown && learner.toldIid < this.#fileIid;
    if (!isOther && !isAhead) {
      this.#doubtUs = -1;
      if (learner.statesKnown) this.#fileIid = 0;
      learner.isDoubted = this.#fileIid > 0;
      return;
    }
    learner.isDoubted = true;
    if (this.#doubtUs < 0) this.#doubtUs = nowUs;
    if (nowUs - this.#doubtUs < FORMER_LOG_US) return;
    if (isAhead)
      this.#refuse(`it covers instance ${this.#fileIid}, and acceptors have no more than ${learner.toldIid}`);
    if (this.#isOfFile) this.#refuse(`its log has the id ${logId}, and that of the acceptors ${told}`);
    this.#end(learner);
  }

  /**
   * It knows of no log yet; or has nothing of the one that it knows: acceptors that begin with `--fresh` tell of another one until they hear
   * of that which some have kept.
   */
  #mayTake(learner: Learner): boolean {
    if (learner.logId === 0) return true;
    return !this.#isOfFile && learner.next <= 1 && !learner.hearsOf(learner.logId);
  }

  #end(learner: Learner): never {
    const begin =
      this.#file === undefined || this.#file.written === 0
        ? "start it again: it begins with the new log; what it knew is in no file"
        : `move ${this.#file.path} away and start it again: it begins with the new log`;
    throw new CliError(
      `the acceptors have begun a new log: all of them had lost everything. What is known here up to instance ${learner.next - 1} is of the former one, and does not go on in it`,
      {
        exitCode: ExitCode.config,
        hint: `${begin}. If the former log is what you want, end all, and start the acceptors with the files that they had`,
      },
    );
  }

  /** Whether it can be said of others' snapshots that they are of the log: where acceptors tell of none, after a while. */
  canTell(nowUs: number, learner: Learner): boolean {
    if (learner.toldLogId !== 0) return true;
    if (!learner.statesKnown) return false;
    if (this.#untoldUs < 0) this.#untoldUs = nowUs;
    return nowUs - this.#untoldUs >= FORMER_LOG_US;
  }

  /** Why a snapshot of this log is of no use; null: it is. */
  refusalOf(logId: number, learner: Learner): string | null {
    if (logId === 0 || logId === learner.logId) return null;
    if (learner.logId !== 0) return `its log has the id ${logId}, and that of this process ${learner.logId}`;
    if (learner.toldLogId === 0 || learner.hearsOf(logId)) return null;
    return `its log has the id ${logId}, and that of the acceptors ${learner.toldLogId}: it is of a former log`;
  }

  #refuse(why: string): never {
    throw this.#file!.refusal(`${why}: it is of a former log`);
  }
}
