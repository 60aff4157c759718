/**
 * Whether the leader that speaks counts this acceptor in the generation that it has (`generations.ts`), in the log that this one has
 * (`log_mark.ts`). If not, what it says is not for this process: it accepts and echoes nothing of it, and takes from it neither what
 * is chosen.
 *
 * Why that is enough. Half of all acceptors, rounded up, have answered a recovery at a ballot above all they had promised, and know
 * the generation. Phase 1 of any ballot above it has one of them in its quorum, so that leader names the new generation; a ballot below
 * it gets no quorum any more but with what they told in that recovery. So at each ballot an acceptor votes in one generation.
 */
import { ballotAbove, NATIVE_BALLOTS, RECOVERY_IDS } from "../ballot.ts";
import { canName, compareGeneration, UNNAMED } from "../generations.ts";
import { isOtherMark, markOfLog, NO_MARK } from "../log_mark.ts";
import { type Ballot, NO_BALLOT } from "../types.ts";
import type { Acceptor } from "./acceptor.ts";

/** It does not stop voting to ask what became of its place more often than this. */
const DOUBT_GAP_US = 1_000_000;
/**
 * Nor does it have a leader count anew more often: of a generation that its quorums do not get to know (the ways between acceptors are
 * cut), it would be told by every next one, and campaign without end.
 */
const RAISE_GAP_US = 1_000_000;

export class NamedGeneration {
  readonly #acceptor: Acceptor;
  #logId = 0;
  /** Of that log. */
  #logMark = NO_MARK;
  #ahead = 0;
  #isNamed = true;
  /** The frame is of a proposer of another log: not even its prepares are for this acceptor. */
  isOtherLog = false;
  #doubtedUs = Number.NEGATIVE_INFINITY;
  #raisedUs = Number.NEGATIVE_INFINITY;

  constructor(acceptor: Acceptor) {
    this.#acceptor = acceptor;
  }

  /** A frame of a proposer begins. */
  begin(named: number, logMark: number): void {
    const { aid, standing } = this.#acceptor;
    const { generations } = standing;
    if (this.#logId !== standing.logId) {
      this.#logId = standing.logId;
      this.#logMark = markOfLog(this.#logId);
    }
    this.isOtherLog = isOtherMark(logMark, this.#logMark);
    this.#isNamed = named !== UNNAMED || !canName(generations.length);
    this.#ahead = compareGeneration(named, aid, generations.length, generations[aid]!);
  }

  /** The frame is for this acceptor as the one that it is. */
  get isOwn(): boolean {
    return this.#ahead === 0 && !this.isOtherLog;
  }

  /**
   * It is known to be: who campaigns names none before a quorum has promised, and is heard by all. What it says is chosen may have been chosen without the one that
   * this process is.
   */
  get isSurelyOwn(): boolean {
    return this.#isNamed && this.isOwn;
  }

  /**
   * A leader that is not below our promise counts another generation. It may be newer, so others are asked whether this one has been
   * replaced. Returns a ballot to be promised, above the leader's, so that it has to count anew: it knows an older generation
   * than one that has begun without a recovery (`--fresh`). `NO_BALLOT`: nothing is to be said.
   */
  refuse(ballot: Ballot, nowUs: number): Ballot {
    const { aid, fellows } = this.#acceptor;
    // Nobody has taken this acceptor's place: there is a log that the leader knows nothing of, and it finds that out.
    if (this.isOtherLog) return NO_BALLOT;
    if (nowUs >= this.#doubtedUs + DOUBT_GAP_US) {
      this.#doubtedUs = nowUs;
      fellows?.birth.doubt();
      if (!this.#acceptor.isVoting) return NO_BALLOT;
    }
    if (this.#ahead > 0 || nowUs < this.#raisedUs + RAISE_GAP_US) return NO_BALLOT;
    this.#raisedUs = nowUs;
    return ballotAbove(NATIVE_BALLOTS, ballot, RECOVERY_IDS + aid);
  }
}
