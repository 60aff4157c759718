/**
 * How an acceptor comes to vote (PROTOCOL: birth and amnesia). With its state intact it votes at once. One that starts empty
 * asks all others what they are, and is *born*, or *recovers*, or goes on asking.
 *
 * Birth: acceptor 0 alone begins a cluster, when all others were fresh at one and the same moment: each said so in two
 * rounds, one after the other, in one life. Its record names everybody's life, and whoever finds its own life in the record of
 * one that votes is born with it. Two records can be made, when acceptor 0 dies; nobody but acceptor 0 itself is born with the
 * first of them: who tells acceptor 0 that it is fresh takes back what it has asked, so what it learns later was said
 * after that moment, at which nobody voted but, at most, the acceptor 0 that was dead already.
 *
 * Recovery (`recovery.ts`): when enough others vote. The generation about to begin goes with every question, and those who
 * vote take note of it before they answer; so from then on no proposer counts what the former self has promised.
 *
 * An acceptor that votes goes on asking, seldom, and so learns of everybody's generations. If it finds a newer one of its
 * own than the one it has (of an attempt that came to nothing), it claims one above that, and takes it when enough know.
 */
import { ballotAbove, NATIVE_BALLOTS, RECOVERY_IDS } from "../ballot.ts";
import type { Outbox } from "../outbox.ts";
import { StandingVector } from "../standing.ts";
import { type Ballot, type Life, type Peer, Standing } from "../types.ts";
import type { Journal } from "./journal.ts";
import { othersNeeded, type Recovery } from "./recovery.ts";
import { RollCall } from "./roll_call.ts";

/** Who begins a cluster. */
const FIRST = 0;
const ROUND_US = 1_000_000;
const FIRST_RETRY_US = 20_000;
const RETRY_LIMIT_US = 250_000;
/** Between the rounds of an acceptor that votes. */
const VOTING_ROUND_US = 5_000_000;
const MOST_DOUBLINGS = 5;
/** An acceptor that has promised more and says nothing for so long does not go on answering. */
const SILENCE_US = 2_000_000;

/** How an acceptor has come to vote. */
export type Voice = "kept" | "born" | "alone" | "recovered";

export interface BirthOptions {
  readonly aid: number;
  readonly acceptors: number;
  readonly life: Life;
  /** Votes without asking anybody, at generation 1. */
  readonly alone: boolean;
  /** Uniform in 0…1; the simulator seeds it. */
  readonly random: () => number;
}

export class Birth {
  /** How it has come to vote; null while it does not. */
  voice: Voice | null = null;
  /** The generation it has or is about to begin; 0: none yet. */
  generation = 0;
  readonly roll: RollCall;
  readonly counters = { rounds: 0, attempts: 0 };
  readonly #options: BirthOptions;
  readonly #standing: StandingVector;
  readonly #recovery: Recovery;
  readonly #journal: Journal;
  readonly #outbox: Outbox;
  /** What the message being read says. */
  readonly #told: StandingVector;
  /** Whom to tell when it votes: the last question of each. */
  readonly #askedNonce: Float64Array;
  readonly #asker: Int32Array;
  #recovering = false;
  /** Another was voting in this round: no birth. */
  #sawVoting = false;
  /** The lives of the others in the last round in which all of them were fresh (acceptor 0); 0: there was none. */
  readonly #freshLives: Float64Array;
  /** Records of a recovery that did not end are there: no birth in this life. */
  #hasRemains = false;
  /** The last question of an acceptor 0 that may begin the cluster. */
  #firstLife: Life = 0;
  #firstNonce = 0;
  #preempted = false;
  /** When an answer to the present attempt came, or was first asked for. */
  #heardUs = 0;
  #nowUs = 0;
  #dueUs = 0;
  #roundEndUs = 0;
  #retryUs = FIRST_RETRY_US;

  constructor(
    options: BirthOptions,
    standing: StandingVector,
    recovery: Recovery,
    journal: Journal,
    outbox: Outbox,
  ) {
    this.#options = options;
    this.#standing = standing;
    this.#recovery = recovery;
    this.#journal = journal;
    this.#outbox = outbox;
    this.#told = new StandingVector(options.acceptors);
    this.#askedNonce = new Float64Array(options.acceptors);
    this.#asker = new Int32Array(options.acceptors);
    this.#freshLives = new Float64Array(options.acceptors);
    this.roll = new RollCall(options.aid, options.acceptors, options.random, outbox);
    // What a fresh acceptor gives as its own: whoever begins the cluster reads its life from there.
    standing.set(options.aid, 0, options.life);
  }

  get aid(): number {
    return this.#options.aid;
  }

  get isVoting(): boolean {
    return this.voice !== null;
  }

  /** What it says it is. */
  get state(): Standing {
    if (this.voice !== null) return Standing.voting;
    return this.#recovering || this.#hasRemains ? Standing.recovering : Standing.fresh;
  }

  /** It runs phase 1 of its recovery. */
  get isRecovering(): boolean {
    return this.#recovering;
  }

  /** The storage has kept this acceptor's state. */
  kept(): void {
    this.voice = "kept";
    this.generation = this.#standing.generations[this.#options.aid]!;
  }

  /** Time passes, from the first turn on; true: it votes from now on. `hasRemains`: its log is not empty. */
  tick(nowUs: number, hasRemains: boolean): boolean {
    const isFirst = this.#nowUs === 0;
    this.#nowUs = nowUs;
    this.#recovery.tick(nowUs);
    if (isFirst) {
      this.#hasRemains = hasRemains;
      if (this.voice === null && (this.#options.alone || this.#options.acceptors === 1)) return this.#alone();
      this.#begin();
    } else if (nowUs >= this.nextTickUs()) this.#goOn();
    return false;
  }

  nextTickUs(): number {
    return this.#recovering && !this.#preempted ? this.#recovery.dueUs() : this.#dueUs;
  }

  /** `promised`: this acceptor's ballot. */
  onStandingAsk(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    generation: number,
    life: Life,
    promised: Ballot,
  ): void {
    const { aid: own } = this.#options;
    if (aid === own) return;
    this.#askedNonce[aid] = nonce;
    this.#asker[aid] = from;
    if (this.voice !== null) {
      if (generation > Math.max(1, this.#standing.generations[aid]!)) {
        this.#standing.set(aid, generation, life);
        this.#keep();
      }
    } else if (!this.#recovering) {
      if (aid === FIRST && standing === Standing.fresh) this.#lookAgain(life, nonce);
      // It is here: no need to wait for the next time everybody is asked.
      if (this.roll.answers[aid] !== standing || !this.roll.hasAnswered(aid, life)) {
        this.roll.forget(aid);
        this.roll.ask(aid, this.state, 0, this.#nowUs);
      }
    }
    this.answer(aid, promised);
  }

  /** Tells an acceptor, as the answer to its last question, what is known here. */
  answer(aid: number, promised: Ballot): void {
    const nonce = this.#askedNonce[aid]!;
    if (nonce === 0) return;
    this.#outbox.standing(this.#asker[aid]! as Peer, nonce, this.state, promised, this.#standing.bytes);
  }

  /** True: it votes from now on. */
  onStanding(
    aid: number,
    nonce: number,
    standing: Standing,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const { roll } = this;
    const own = this.#options.aid;
    if (nonce !== roll.nonce || aid === own || !this.#told.read(bytes, offset, length)) return false;
    roll.note(aid, standing, ballot, this.#told);
    if (this.voice !== null) this.#learn(standing);
    else if (!this.#recovering) return this.#consider(standing);
    else if (standing === Standing.voting) {
      this.#standing.merge(this.#told, own);
      if (roll.highestKnown() > this.generation) this.#attempt(roll.highestKnown() + 1);
      else if (ballot > this.#recovery.ballot && !this.#recovery.has(aid)) this.#outbid(aid);
    }
    return false;
  }

  /** A frame of an answer to our recovery begins: false when it is none, or does not know our generation yet. */
  onPromiseBegin(ballot: Ballot, life: Life, bytes: Uint8Array, offset: number, length: number): boolean {
    const { aid } = this.#options;
    if (!this.#recovering || ballot !== this.#recovery.ballot || life !== this.#options.life) return false;
    if (!this.#told.read(bytes, offset, length)) return false;
    const known = this.#told.generations[aid]!;
    if (known > this.generation) this.#attempt(known + 1);
    if (known !== this.generation) return false;
    this.#standing.merge(this.#told, aid);
    this.#heardUs = this.#nowUs;
    return true;
  }

  /** Enough others have answered. */
  recovered(): void {
    this.#standing.set(this.#options.aid, this.generation, this.#options.life);
    this.#recovering = false;
    this.#vote("recovered");
  }

  /** Tells everybody who has asked; to be called once it votes. */
  tellAskers(promised: Ballot): void {
    for (let aid = 0; aid < this.#askedNonce.length; aid++) this.answer(aid, promised);
  }

  // ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(): void {
    this.counters.rounds++;
    const isVoting = this.voice !== null;
    this.#sawVoting = false;
    this.roll.begin();
    this.#retryUs = FIRST_RETRY_US;
    this.#roundEndUs = this.#nowUs + ROUND_US;
    this.#askAll();
    const claims = isVoting && this.generation > this.#standing.generations[this.#options.aid]!;
    this.#dueUs = this.#nowUs + (isVoting ? (claims ? RETRY_LIMIT_US : VOTING_ROUND_US) : FIRST_RETRY_US);
  }

  #askAll(): void {
    for (let aid = 0; aid < this.roll.answers.length; aid++) {
      if (this.roll.answers[aid] === Standing.voting && !this.#recovering) continue;
      this.roll.ask(aid, this.state, this.generation, this.#nowUs);
    }
  }

  #goOn(): void {
    if (this.voice !== null) return this.#begin();
    if (this.#recovering) return this.#preempted ? this.#attempt(this.generation) : this.#askOn();
    if (this.#nowUs >= this.#roundEndUs) return this.#begin();
    this.#askAll();
    this.#retryUs = Math.min(RETRY_LIMIT_US, 2 * this.#retryUs);
    this.#dueUs = this.#nowUs + this.#retryUs;
  }

  // ── birth ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What comes of an answer, while empty and not recovering. */
  #consider(standing: Standing): boolean {
    const { acceptors, aid, life } = this.#options;
    const told = this.#told;
    if (standing !== Standing.voting) return aid === FIRST && this.#mayBegin() && this.#beginCluster();
    this.#sawVoting = true;
    this.#freshLives.fill(0);
    if (!this.#hasRemains && told.generations[aid] === 1 && told.incarnations[aid] === life) {
      this.#standing.copy(told.generations, told.incarnations);
      return this.#vote("born");
    }
    if (this.roll.count(Standing.voting) >= othersNeeded(acceptors)) {
      this.#recovering = true;
      this.#attempt(Math.max(1, this.roll.highestKnown()) + 1);
    }
    return false;
  }

  /**
   * Whether all others were fresh when this round began: they are in it, and were before it, in the same lives. What each
   * says in one round it says at a time of its own, and may have voted, and forgotten, between the first and the last.
   */
  #mayBegin(): boolean {
    const { acceptors } = this.#options;
    const { incarnations } = this.roll;
    if (this.#hasRemains || this.#sawVoting || this.roll.count(Standing.fresh) < acceptors - 1) return false;
    let isConfirmed = true;
    for (let other = FIRST + 1; other < acceptors; other++) {
      if (this.#freshLives[other] !== incarnations[other]) isConfirmed = false;
      this.#freshLives[other] = incarnations[other]!;
    }
    if (!isConfirmed) this.#begin();
    return isConfirmed;
  }

  #beginCluster(): boolean {
    const { acceptors, life } = this.#options;
    this.#standing.set(FIRST, 1, life);
    for (let other = FIRST + 1; other < acceptors; other++)
      this.#standing.set(other, 1, this.#freshLives[other]!);
    return this.#vote("born");
  }

  /** Acceptor 0 is about to hear that we are fresh: what we learn from here on shall have been said after that. */
  #lookAgain(life: Life, nonce: number): void {
    if (this.#firstLife === life && this.#firstNonce === nonce) return;
    this.#firstLife = life;
    this.#firstNonce = nonce;
    this.#begin();
  }

  // ── recovery ──────────────────────────────────────────────────────────────────────────────────────────────────

  #attempt(generation: number): void {
    const { aid } = this.#options;
    const seen = Math.max(this.roll.highestBallot, this.#recovery.ballot);
    this.generation = generation;
    this.counters.attempts++;
    this.#preempted = false;
    this.#heardUs = this.#nowUs;
    this.roll.begin();
    this.#recovery.begin(ballotAbove(NATIVE_BALLOTS, seen, RECOVERY_IDS + aid));
    this.#askOn();
  }

  /** Asks everybody of whom an answer is missing. */
  #askOn(): void {
    for (let aid = 0; aid < this.roll.answers.length; aid++) {
      if (!this.#recovery.isDue(aid)) continue;
      this.roll.ask(aid, Standing.recovering, this.generation, this.#nowUs);
      this.#recovery.ask(aid);
    }
  }

  /**
   * An acceptor has promised a higher ballot: another attempt, after a while in which its owner may come to an end. One that
   * has begun to answer goes on all the same, unless it has forgotten since.
   */
  #outbid(aid: number): void {
    const goesOn = this.#recovery.hasBegun(aid) && this.#nowUs - this.#heardUs < SILENCE_US;
    if (this.#preempted || goesOn || this.#recovery.lacks !== undefined) return;
    this.#preempted = true;
    const doublings = Math.min(MOST_DOUBLINGS, this.counters.attempts);
    this.#dueUs = this.#nowUs + FIRST_RETRY_US * (0.5 + this.#options.random()) * 2 ** doublings;
  }

  // ── voting ────────────────────────────────────────────────────────────────────────────────────────────────────

  #alone(): boolean {
    const { aid, life, acceptors } = this.#options;
    this.#standing.set(aid, 1, life);
    return this.#vote(acceptors === 1 ? "born" : "alone");
  }

  #vote(voice: Voice): boolean {
    this.voice = voice;
    this.generation = this.#standing.generations[this.#options.aid]!;
    this.#keep();
    this.#begin();
    return true;
  }

  /** What an acceptor that votes learns from an answer. */
  #learn(standing: Standing): void {
    const { aid, acceptors } = this.#options;
    const vector = this.#standing;
    if (standing !== Standing.voting) return;
    if (vector.merge(this.#told, aid)) this.#keep();
    const own = vector.generations[aid]!;
    const incarnation = vector.incarnations[aid]!;
    const known = this.#told.generations[aid]!;
    const isClaim = this.generation > own;
    const isBehind = isClaim ? known > this.generation : this.#told.outdates(aid, own, incarnation);
    if (isBehind) {
      this.generation = known + 1;
      this.#begin();
    } else if (isClaim && this.roll.acknowledged(this.generation) >= othersNeeded(acceptors)) {
      vector.set(aid, this.generation, incarnation);
      this.#keep();
    }
  }

  #keep(): void {
    this.#journal.standing(this.#standing.generations, this.#standing.incarnations);
  }
}
