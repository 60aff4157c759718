/**
 * Whether the state that a process goes on with is of the log that the acceptors have. Where all of them lost everything the
 * cluster has another log, and instance 8 of that one may be far from what was instance 8. A snapshot bears the id of its log,
 * acceptors tell theirs (`StandingVector.logId`).
 *
 * Invariants: a process that begins with a file ends when a quorum of acceptors tells of another log than the file's, and none of
 * that one. Until it is known that it need not, nothing is delivered or reported, its proposer does not lead, and nobody gets its
 * snapshots. Where either id is not known only a file that is ahead of the acceptors is found out.
 * A process that runs says that there is a new log. A leader that lives on carries the former one on in it: then the state goes on, and is of
 * the new log as soon as that has come as far. Where somebody writes the new log below what was delivered here the state cannot go on in it:
 * the process ends.
 */
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { Snapshot } from "./snapshot.ts";
import type { SnapshotPlace } from "./snapshot_file.ts";

/** Acceptors tell their state once a second: what they told late from before says nothing. */
const FORMER_LOG_US = 2_500_000;

export class LogCheck {
  /** The log that the state is of; 0: not known. */
  logId = 0;
  readonly #log: Log;
  readonly #file: SnapshotPlace | undefined;
  /** The instance of the file that it began with, until acceptors are known to go so far. */
  #fileIid = 0;
  /** The id is that of the file, and no quorum has told of it yet. */
  #isOfFile = false;
  #doubtUs = -1;
  /** Of a process that runs: what it had delivered when it heard of the new log. */
  #formerIid = 0;
  /** Since when acceptors tell of less than that, and of something; −1: they do not. */
  #belowUs = -1;
  /** Since when a quorum of acceptors has told of instances and of no log; −1: it has not. */
  #untoldUs = -1;
  /** The new log that was told of. */
  #saidOf = 0;

  constructor(log: Log, file: SnapshotPlace | undefined) {
    this.#log = log;
    this.#file = file;
  }

  /** The learner goes on with the snapshot in the file. */
  began({ iid, logId }: Snapshot, learner: Learner): void {
    this.logId = logId;
    this.#fileIid = iid;
    this.#isOfFile = true;
    learner.isDoubted = true;
  }

  /** True: from here on the log is another one than it was. Throws when the file is of a former log. */
  tick(nowUs: number, learner: Learner): boolean {
    const told = learner.toldLogId;
    if (this.logId === 0) this.logId = told;
    const isOther = told !== 0 && !learner.hearsOf(this.logId);
    if (told === this.logId) this.#isOfFile = false;
    // What was delivered was chosen, and of any quorum one has it or has trimmed it.
    const isAhead = learner.toldIid < this.#fileIid;
    if (!isOther && this.#fileIid > 0 && !isAhead && learner.statesKnown) {
      this.#fileIid = 0;
      learner.isDoubted = false;
    }
    if (!isOther && !(isAhead && learner.statesKnown)) {
      this.#doubtUs = -1;
      this.#above(learner);
      return false;
    }
    if (this.#doubtUs < 0) {
      this.#doubtUs = nowUs;
      this.#formerIid = learner.next - 1;
    }
    const runs = !isAhead && !this.#isOfFile;
    const goesOn = runs && this.#goesOn(nowUs, learner);
    if (nowUs - this.#doubtUs < FORMER_LOG_US) return false;
    if (isAhead)
      this.#refuse(`it covers instance ${this.#fileIid}, and acceptors have no more than ${learner.toldIid}`);
    if (this.#isOfFile) this.#refuse(`its log has the id ${this.logId}, and that of the acceptors ${told}`);
    this.#say(told);
    if (!goesOn) return false;
    this.logId = told;
    this.#doubtUs = -1;
    return true;
  }

  /** Whether the new log has come as far as the former one had here. Throws when it is written below. */
  #goesOn(nowUs: number, learner: Learner): boolean {
    const { toldIid } = learner;
    const isBelow = toldIid > 0 && toldIid < this.#formerIid;
    if (!isBelow) {
      this.#above(learner);
      return toldIid >= this.#formerIid;
    }
    // A leader that lives on sends again what it had under way: that may be below, and is soon done.
    if (this.#belowUs < 0) this.#belowUs = nowUs;
    learner.isDoubted = true;
    if (nowUs - this.#belowUs >= FORMER_LOG_US) this.#end();
    return false;
  }

  #above(learner: Learner): void {
    if (this.#belowUs < 0) return;
    this.#belowUs = -1;
    learner.isDoubted = this.#fileIid > 0;
  }

  #say(told: number): void {
    if (this.#saidOf === told) return;
    this.#saidOf = told;
    this.#log.error(
      `the acceptors have begun a new log: all of them had lost everything. What is known here up to instance ${this.#formerIid} is of the former one; to have nothing of it in the new one, end all processes, move snapshots away and start again`,
    );
  }

  #end(): never {
    const begin =
      this.#file === undefined || this.#file.written === 0
        ? "start it again: it begins with the new log; what it knew is in no file"
        : `move ${this.#file.path} away and start it again: it begins with the new log`;
    throw new CliError(
      `the acceptors have begun a new log, from its beginning: all of them had lost everything. What is known here up to instance ${this.#formerIid} is of the former one, and cannot go on in it`,
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
    if (logId === 0 || learner.toldLogId === 0 || learner.hearsOf(logId)) return null;
    return `its log has the id ${logId}, and that of the acceptors ${learner.toldLogId}: it is of a former log`;
  }

  #refuse(why: string): never {
    throw this.#file!.refusal(`${why}: it is of a former log`);
  }
}
