/**
 * Rounds of commits at several parties at once: all are told, and the round is over when a majority has committed it. The
 * others go on with it meanwhile: as an acceptor, a party begins its next commit when the one before is done, and takes up in it
 * all that it was told since. Computes, starts nothing.
 */
import { assert } from "../protocol/assert.ts";

export class QuorumRounds {
  readonly #majority: number;
  readonly #toldMs: number[] = [];
  /** By party and round. */
  readonly #doneMs: readonly number[][];

  constructor(parties: number) {
    this.#majority = Math.floor(parties / 2) + 1;
    this.#doneMs = Array.from({ length: parties }, () => []);
  }

  /** A round begins: right before the first is told. */
  tell(atMs: number): void {
    assert(this.isOver, "a round begins when the one before is over");
    this.#toldMs.push(atMs);
  }

  /** The party has committed the first `rounds` rounds. */
  done(party: number, rounds: number, atMs: number): void {
    const doneMs = this.#doneMs[party]!;
    assert(rounds <= this.#toldMs.length, "a party commits what it was told");
    while (doneMs.length < rounds) doneMs.push(atMs);
  }

  /** Of the last round. */
  get isOver(): boolean {
    const rounds = this.#toldMs.length;
    return rounds === 0 || this.#doneMs.filter((doneMs) => doneMs.length === rounds).length >= this.#majority;
  }

  get isDoneByAll(): boolean {
    return this.#doneMs.every((doneMs) => doneMs.length === this.#toldMs.length);
  }

  /** Of each round, from before the first is told until a majority was done, in microseconds. */
  get timesUs(): number[] {
    return this.#toldMs.map((toldMs, round) => {
      const doneMs = this.#doneMs.map((all) => all[round] ?? Number.POSITIVE_INFINITY);
      return (doneMs.toSorted((a, b) => a - b)[this.#majority - 1]! - toldMs) * 1000;
    });
  }
}
