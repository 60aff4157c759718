/**
 * How an acceptor comes to vote (PROTOCOL: birth and amnesia). One that has its state votes when so many others as make a
 * quorum with it know of no newer generation of it. One that starts empty asks all others what they are, and is *born*, or
 * *recovers*, or goes on asking.
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
 * An acceptor that votes goes on asking, seldom, and so learns of everybody's generations; after a pause it asks before it
 * votes again. If anybody knows a newer generation of its own than the one it has, it is *outlived*: another process, or
 * another disk, may have voted in its place, and what that one said is not in its state. It never votes with that state again.
 * With a disk its process ends, and says why; in memory it recovers, when no twin is heard. Only one that was told to vote
 * unasked (`alone`) takes a generation above that, until enough know of it.
 */
import { ballotAbove, NATIVE_BALLOTS, RECOVERY_IDS } from "../ballot.ts";
import type { Outbox } from "../outbox.ts";
import { StandingVector } from "../standing.ts";
import { type Ballot, type Life, type Peer, Standing } from "../types.ts";
import { Beginning, FIRST } from "./beginning.ts";
import type { BirthOptions, Voice } from "./birth_options.ts";
import type { Journal } from "./journal.ts";
import { othersInQuorum, othersNeeded, type Recovery } from "./recovery.ts";
import { RollCall } from "./roll_call.ts";

const ROUND_US = 1_000_000;
const FIRST_RETRY_US = 20_000;
const RETRY_LIMIT_US = 250_000;
/** Between the rounds of an acceptor that votes. */
const VOTING_ROUND_US = 5_000_000;
const MOST_DOUBLINGS = 5;
/** An acceptor that has promised more and says nothing for so long does not go on answering. */
const SILENCE_US = 2_000_000;
/** One that votes looks at the clock so often; after a longer pause it may have been replaced: a twin listens longer (`listenUs`). */
const LOOK_US = 100_000;
const PAUSE_US = 200_000;
/** One that is outlived leaves its twin, if that lives, so long to be heard. */
const GRACE_US = 2_500_000;

export class Birth {
  /** How it has come to vote; null while it does not. */
  voice: Voice | null = null;
  /** The generation it has or is about to begin; 0: none yet. */
  generation = 0;
  /** The newer generation that made what it holds worthless; 0: there is none. */
  outlivedBy = 0;
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
  /** It was told to vote without asking, and enough others do not know of that yet. */
  #overrides: boolean;
  /** It has a state to vote with, and does not know yet whether it still may. */
  #holds = false;
  /** Another was voting in this round: no birth. */
  #sawVoting = false;
  readonly #beginning: Beginning;
  /** Records of a recovery that did not end are there: no birth in this life. */
  #hasRemains = false;
  #preempted = false;
  /** When an answer to the present attempt came, or was first asked for. */
  #heardUs = 0;
  /** Until then nobody is told of a new generation. */
  #notBeforeUs = 0;
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
    this.#overrides = options.alone;
    this.#standing = standing;
    this.#recovery = recovery;
    this.#journal = journal;
    this.#outbox = outbox;
    this.#told = new StandingVector(options.acceptors);
    this.#askedNonce = new Float64Array(options.acceptors);
    this.#asker = new Int32Array(options.acceptors);
    this.#beginning = new Beginning(options.acceptors);
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
    if (this.voice !== null || this.#holds) return Standing.voting;
    return this.#recovering || this.#hasRemains ? Standing.recovering : Standing.fresh;
  }

  /** Outlived, with a disk: its process is about to end. */
  get #isOver(): boolean {
    return this.outlivedBy > 0 && !this.#recovering;
  }

  /** It has begun a generation of which enough others do not know yet. */
  get #claims(): boolean {
    return this.#overrides && this.generation > 1;
  }

  /** It runs phase 1 of its recovery. */
  get isRecovering(): boolean {
    return this.#recovering;
  }

  /** It has kept its state, and asks whether anybody has voted in its place since. */
  get isAsking(): boolean {
    return this.#holds;
  }

  /** The storage has kept this acceptor's state. */
  kept(): void {
    this.#holds = true;
    this.generation = this.#standing.generations[this.aid]!;
  }

  /** Nobody has voted in its place: it votes with what it has kept. */
  resume(): true {
    this.voice = "kept";
    this.#holds = false;
    this.#dueUs = this.#nowUs + VOTING_ROUND_US;
    return true;
  }

  /** Time passes, from the first turn on; true: it votes from now on. `hasRemains`: its log is not empty. */
  tick(nowUs: number, hasRemains: boolean): boolean {
    const isFirst = this.#nowUs === 0;
    const isPaused = !isFirst && this.voice !== null && nowUs - this.#nowUs > PAUSE_US;
    this.#nowUs = nowUs;
    this.#recovery.tick(nowUs);
    if (isFirst) {
      this.#hasRemains = hasRemains;
      this.#notBeforeUs = nowUs + (this.#options.listenUs ?? 0);
      if (this.#options.alone || this.#options.acceptors === 1) return this.#alone();
      this.#begin();
    }
    if (isPaused) this.doubt();
    else if (!isFirst && nowUs >= this.nextTickUs()) this.#goOn();
    return false;
  }

  /**
   * There may be another one in its place. It does not vote until enough others know of nobody who has; one that does not vote
   * yet leaves the other's votes as they are, until that one is not heard any more.
   */
  doubt(): void {
    this.#notBeforeUs = this.#nowUs + GRACE_US;
    if (this.voice === null || this.#overrides || this.#options.acceptors === 1) return;
    this.voice = null;
    this.#holds = true;
    this.#begin();
  }

  nextTickUs(): number {
    if (this.#recovering && !this.#preempted) return this.#recovery.dueUs();
    return this.voice === null ? this.#dueUs : Math.min(this.#dueUs, this.#nowUs + LOOK_US);
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
    if (this.voice !== null || this.#holds) {
      if (generation > Math.max(1, this.#standing.generations[aid]!)) {
        this.#standing.set(aid, generation, this.#standing.incarnationOf(aid));
        this.#keep();
      }
    } else if (!this.#recovering && !this.#isOver) {
      // Acceptor 0 is about to hear that we are fresh: what we learn from here on shall have been said after that.
      if (aid === FIRST && standing === Standing.fresh && this.#beginning.isNews(life, nonce)) this.#begin();
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
    if (nonce !== roll.nonce || this.#isOver || aid === own || !this.#told.read(bytes, offset, length))
      return false;
    roll.note(aid, standing, ballot, this.#told);
    if (this.voice !== null || this.#holds) return standing === Standing.voting && this.#learn();
    if (!this.#recovering) return this.#consider(standing);
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
    const { aid } = this.#options;
    this.#standing.set(aid, this.generation, this.#told.incarnationOf(aid));
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
    this.#sawVoting = false;
    this.roll.begin();
    this.#retryUs = FIRST_RETRY_US;
    this.#roundEndUs = this.#nowUs + ROUND_US;
    this.#askAll();
    const votingUs = this.#claims ? RETRY_LIMIT_US : VOTING_ROUND_US;
    this.#dueUs = this.#nowUs + (this.voice !== null ? votingUs : FIRST_RETRY_US);
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
    if (this.#beginsRecovery()) return;
    if (this.#nowUs >= this.#roundEndUs) return this.#begin();
    this.#askAll();
    this.#retryUs = Math.min(RETRY_LIMIT_US, 2 * this.#retryUs);
    this.#dueUs = this.#nowUs + this.#retryUs;
  }

  // ── birth ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What comes of an answer, while empty and not recovering. */
  #consider(standing: Standing): boolean {
    const { aid, life } = this.#options;
    const told = this.#told;
    if (standing !== Standing.voting) return aid === FIRST && this.#beginsCluster();
    this.#sawVoting = true;
    this.#beginning.forget();
    if (!this.#hasRemains && told.generations[aid] === 1 && told.incarnations[aid] === life) {
      this.#standing.copy(told.generations, told.incarnations);
      return this.#vote("born");
    }
    this.#beginsRecovery();
    return false;
  }

  /** When all others were fresh at one moment; asks once more where only another round can say. */
  #beginsCluster(): boolean {
    const { roll } = this;
    if (this.#hasRemains || this.#sawVoting) return false;
    if (roll.count(Standing.fresh) < this.#options.acceptors - 1) return false;
    if (!this.#beginning.isConfirmed(roll)) {
      this.#begin();
      return false;
    }
    this.#beginning.record(this.#standing, this.#options.life);
    return this.#vote("born");
  }

  // ── recovery ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** When enough others vote, and no twin of it does. */
  #beginsRecovery(): boolean {
    if (this.#recovering || this.#holds || this.#nowUs < this.#notBeforeUs) return false;
    if (this.roll.count(Standing.voting) < othersNeeded(this.#options.acceptors)) return false;
    this.#recovering = true;
    this.#attempt(Math.max(1, this.roll.highestKnown()) + 1);
    return true;
  }

  #attempt(generation: number): void {
    const { aid } = this.#options;
    const seen = Math.max(this.roll.highestBallot, this.#recovery.ballot);
    this.generation = generation;
    this.#preempted = this.#nowUs < this.#notBeforeUs;
    this.#dueUs = this.#notBeforeUs;
    if (this.#preempted) return;
    this.counters.attempts++;
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
    if (this.#holds) {
      this.#begin();
      return this.resume();
    }
    this.#standing.set(aid, 1, life);
    return this.#vote(acceptors === 1 ? "born" : "alone");
  }

  #vote(voice: Voice): boolean {
    this.voice = voice;
    this.outlivedBy = 0;
    this.generation = this.#standing.generations[this.#options.aid]!;
    this.#keep();
    this.#begin();
    return true;
  }

  /** What one that has a state learns from an answer of one that votes; true: it votes from now on. */
  #learn(): boolean {
    const { aid, acceptors } = this.#options;
    const vector = this.#standing;
    if (vector.merge(this.#told, aid)) this.#keep();
    if (this.#overrides) this.#claim();
    else if (this.#told.outdates(aid, vector.generations[aid]!, vector.incarnations[aid]!)) this.#outlive();
    else if (this.#holds && this.roll.confirmed(vector) >= othersInQuorum(acceptors)) return this.resume();
    return false;
  }

  /** `--fresh` says that nobody's votes in its place count. As the one it was, it would be dropped beside whoever knows of the claim. */
  #claim(): void {
    const { aid, acceptors } = this.#options;
    const vector = this.#standing;
    if (this.#told.outdates(aid, vector.generations[aid]!, vector.incarnations[aid]!)) {
      this.generation = this.#told.generations[aid]! + 1;
      vector.set(aid, this.generation, this.#told.incarnationOf(aid) || vector.incarnations[aid]!);
      this.#keep();
      this.#begin();
    } else if (this.roll.acknowledged(this.#claims ? this.generation : 0) >= othersNeeded(acceptors))
      this.#overrides = false;
  }

  /** Another has voted in its place, or may have. */
  #outlive(): void {
    const { aid, durable, life } = this.#options;
    this.voice = null;
    this.#holds = false;
    this.outlivedBy = this.#told.generations[aid]!;
    this.roll.begin();
    if (durable) {
      this.#hasRemains = true;
      this.#dueUs = Number.POSITIVE_INFINITY;
      return;
    }
    this.#recovery.takeOver();
    this.#standing.set(aid, 0, life);
    this.#recovering = true;
    this.#notBeforeUs = this.#nowUs + GRACE_US;
    this.#attempt(this.outlivedBy + 1);
  }

  #keep(): void {
    this.#journal.standing(this.#standing.generations, this.#standing.incarnations);
  }
}
