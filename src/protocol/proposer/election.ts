/**
 * When a proposer that does not lead may try to (native wire): whether it still hears of a leader, and votes. A vote binds
 * nobody: an acceptor grants it while it hears no leader itself, so a proposer that is cut off, deaf or merely late finds
 * no quorum and disturbs nobody. Pure.
 *
 * Invariant: what is believed of a leader rests on news, a heartbeat or an echo of a round not heard of before; copies that
 * come late keep nobody alive.
 */
import { AcceptorSets, quorumOf } from "../quorum.ts";
import { type Ballot, type Life, NO_BALLOT } from "../types.ts";

/** A leader counts as silent after so many round trips at least, … */
const ROUND_TRIPS = 10;
/** … but not after more than so many times what is configured: a message held up somewhere is no round trip. */
const MOST_TIMEOUTS = 4;
/** How often whoever follows asks just to measure the round trip: what it was when the process started says little. */
const TIMEOUTS_PER_PROBE = 10;
const MOST_PROBE_US = 1_000_000;
/** At the start, a proposer gives each of those before it so much time to come first. */
const STAGGER_US = 20_000;
const FIRST_PAUSE_US = 10_000;
const ASKS_PER_TIMEOUT = 20;
/** Proposers that miss the leader do so within a quarter of the time it may be silent, or so many round trips. */
const SPREAD_ROUND_TRIPS = 8;
/** Asks whose time of sending is kept, to measure the round trip. */
const ASKS = 16;

export interface ElectionOptions {
  readonly id: number;
  /** How many proposers have the first chance before this one, at the start; its id unless given. */
  readonly rank?: number;
  readonly acceptors: number;
  readonly leaderTimeoutMs: number;
  readonly random: () => number;
}

export class Election {
  /** When the present leader gave its last sign of life, or this proposer began to wait for one. */
  heardUs = 0;
  /** Looking for votes: no leader is believed in. */
  asking = false;
  /** Smoothed; 0: not measured. */
  roundTripUs = 0;
  /** The number of the last ask. */
  round = 0;
  readonly #options: ElectionOptions;
  readonly #quorum: number;
  readonly #granted: AcceptorSets;
  readonly #askedUs = new Float64Array(ASKS);
  #ballot: Ballot = NO_BALLOT;
  /** 0: not known yet. */
  #life: Life = 0;
  #round = 0;
  /** Between 0 and 1: who waits how much longer than another. */
  #patience = 0;
  #askDueUs = 0;
  #pauseUs = FIRST_PAUSE_US;
  /** Votes for this round and later ones count; since when they are collected. */
  #firstRound = 1;
  #collectingUs = 0;
  /** Since when votes are looked for. */
  #askingUs = 0;
  #startedUs = 0;
  /** Votes are of no use before this time. */
  #notBeforeUs = 0;
  #probeDueUs = 0;

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#quorum = quorumOf(options.acceptors);
    this.#granted = new AcceptorSets(1, options.acceptors);
  }

  /** Who is believed in; 0: not known. */
  get leaderLife(): Life {
    return this.#life;
  }

  /** How long a leader may be silent. */
  get timeoutUs(): number {
    const leastUs = this.#options.leaderTimeoutMs * 1000;
    return Math.max(leastUs, Math.min(MOST_TIMEOUTS * leastUs, ROUND_TRIPS * this.roundTripUs));
  }

  /** Whoever comes first needs two round trips until the others hear of it, which is to be less than they differ. */
  get #spreadUs(): number {
    return Math.max(this.timeoutUs / 4, Math.min(this.timeoutUs / 2, SPREAD_ROUND_TRIPS * this.roundTripUs));
  }

  /** One that is shorter than expected is believed sooner than one that was held up. */
  #sample(us: number): void {
    const known = this.roundTripUs;
    this.roundTripUs = known === 0 ? us : known + (us - known) / (us < known ? 2 : 8);
  }

  /** Nothing is known yet: asks at once, and leaves those of lower rank the first chance. */
  start(nowUs: number): void {
    const rank = this.#options.rank ?? this.#options.id;
    this.#startedUs = nowUs;
    this.#notBeforeUs = nowUs + rank * STAGGER_US;
    this.ask(nowUs);
    this.#pauseUs = Math.min(FIRST_PAUSE_US, this.timeoutUs / 10) * (1 + rank);
  }

  /** Somebody has led before this process came: waits to hear of him, like everybody who follows. */
  hold(): void {
    this.#notBeforeUs = Math.max(this.#notBeforeUs, this.#startedUs + this.timeoutUs);
  }

  /** Somebody leads, or may soon: believes in him for a while. `life` 0: not known. */
  follow(ballot: Ballot, life: Life, round: number, nowUs: number): void {
    this.#ballot = ballot;
    this.#life = life;
    this.#round = round;
    this.wait(nowUs);
  }

  /** Gives whoever leads, or is about to, time to be heard. */
  wait(nowUs: number): void {
    this.heardUs = nowUs;
    this.asking = false;
    this.#patience = this.#options.random();
  }

  /**
   * A sign of life of a leader: true when it is news. `round` 0: it came from the leader itself, with something else than a
   * heartbeat. Of two leaders the one with the higher ballot is believed in while he is heard.
   */
  hears(ballot: Ballot, life: Life, round: number, nowUs: number): boolean {
    const isSame = ballot === this.#ballot && (this.#life === 0 || life === this.#life);
    if (!isSame && ballot <= this.#ballot && !this.asking) return false;
    if (isSame && round > 0 && round <= this.#round) return false;
    this.#ballot = ballot;
    this.#life = life;
    this.#round = isSame ? Math.max(round, this.#round) : round;
    if (this.asking) this.wait(nowUs);
    else this.heardUs = nowUs;
    this.#notBeforeUs = 0;
    return true;
  }

  /** Begins to look for votes. */
  ask(nowUs: number): void {
    this.asking = true;
    this.#collect(nowUs);
    this.#askDueUs = nowUs;
    this.#askingUs = nowUs;
    this.#pauseUs = this.timeoutUs / ASKS_PER_TIMEOUT;
  }

  /** When to look again: at the leader's silence, or for votes. */
  dueUs(): number {
    if (!this.asking) return this.heardUs + this.timeoutUs + this.#spreadUs * this.#patience;
    return this.#hasQuorum() ? Math.min(this.#askDueUs, this.#notBeforeUs) : this.#askDueUs;
  }

  /** Whether a quorum grants what was asked lately, and it is time. */
  isWon(nowUs: number): boolean {
    return this.asking && this.#hasQuorum() && nowUs >= this.#notBeforeUs;
  }

  /** When to measure the round trip again. */
  get probeDueUs(): number {
    return this.#probeDueUs;
  }

  /** Acceptors are asked as round `round`, only to see how long their answers take. */
  probe(nowUs: number): void {
    this.#count(nowUs);
  }

  /** True when acceptors are to be asked (again) now, as round `round`. */
  asks(nowUs: number): boolean {
    if (!this.asking || nowUs < this.#askDueUs) return false;
    if (nowUs - this.#collectingUs >= this.timeoutUs / 2) this.#collect(nowUs);
    this.#count(nowUs);
    const mostUs = this.timeoutUs / 2;
    const pauseUs = Math.max(this.#pauseUs, Math.min(mostUs, 4 * this.roundTripUs));
    this.#askDueUs = nowUs + pauseUs * (1 + this.#options.random());
    // At first the acceptors only have to miss the leader as well; later something is wrong that takes its time.
    if (nowUs - this.#askingUs >= this.timeoutUs) this.#pauseUs = Math.min(2 * pauseUs, mostUs);
    return true;
  }

  onVote(aid: number, round: number, granted: boolean, nowUs: number): void {
    if (round > this.round || round <= this.round - ASKS) return;
    this.#sample(nowUs - this.#askedUs[round % ASKS]!);
    if (round < this.#firstRound) return;
    if (granted) this.#granted.add(0, aid);
    else this.#granted.remove(0, aid);
  }

  /** How many acceptors grant what was asked lately. */
  get votes(): number {
    return this.#granted.count(0);
  }

  #count(nowUs: number): void {
    this.round++;
    this.#askedUs[this.round % ASKS] = nowUs;
    this.#probeDueUs =
      nowUs + Math.min(MOST_PROBE_US, TIMEOUTS_PER_PROBE * this.#options.leaderTimeoutMs * 1000);
  }

  /** Votes are collected over some rounds, for messages get lost, and not for long, for acceptors may hear a leader since. */
  #collect(nowUs: number): void {
    this.#granted.clear(0);
    this.#firstRound = this.round + 1;
    this.#collectingUs = nowUs;
  }

  #hasQuorum(): boolean {
    return this.#granted.count(0) >= this.#quorum;
  }
}
