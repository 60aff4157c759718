/**
 * What a learner may conclude from what acceptors repeat: marked records, hearsay of acceptors that recovered from amnesia,
 * and quorums that know. A model of one instance, in which proposers prepare, accepts are late, acceptors forget everything
 * and recover, and every report may come at any time and in any order: whatever the window takes for chosen is chosen.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { LearnerWindow } from "../../src/protocol/learner/learner_window.ts";
import { quorumOf } from "../../src/protocol/quorum.ts";
import { type Ballot, RepeatFlag } from "../../src/protocol/types.ts";
import { seededRandom } from "../support/random.ts";

interface State {
  promised: number;
  /** The record; ballot 0: none. */
  ballot: number;
  isVote: boolean;
  isMarked: boolean;
  knows: boolean;
}
interface Report {
  readonly aid: number;
  readonly ballot: number;
  readonly flags: number;
}

class Model {
  readonly acceptors: State[];
  /** The value proposed at each ballot, by the ballot at which it was proposed first. */
  readonly values = new Map<number, number>();
  readonly reports: Report[] = [];
  chosen: number | undefined;
  /** Who has ever voted at each ballot. */
  readonly #votes = new Map<number, Set<number>>();
  readonly #random: () => number;
  readonly #quorum: number;
  #ballot = 0;

  constructor(acceptors: number, random: () => number) {
    this.#random = random;
    this.#quorum = quorumOf(acceptors);
    this.acceptors = Array.from({ length: acceptors }, () => ({
      promised: 0,
      ballot: 0,
      isVote: false,
      isMarked: false,
      knows: false,
    }));
  }

  step(): void {
    const chance = this.#random();
    if (chance < 0.12) this.#prepare();
    else if (chance < 0.45) this.#accept();
    else if (chance < 0.6) this.#announce();
    else if (chance < 0.68) this.#forget();
    else this.#report();
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }

  #some(count: number, without = -1): number[] {
    const aids = this.acceptors.map((_, aid) => aid).filter((aid) => aid !== without);
    while (aids.length > count) aids.splice(Math.floor(this.#random() * aids.length), 1);
    return aids;
  }

  #prepare(): void {
    const ballot = ++this.#ballot;
    const quorum = this.#some(this.#quorum).map((aid) => this.acceptors[aid]!);
    for (const one of quorum) one.promised = Math.max(one.promised, ballot);
    const highest = Math.max(...quorum.map((one) => one.ballot));
    this.values.set(ballot, highest === 0 ? ballot : this.values.get(highest)!);
  }

  /** Any proposal may reach any acceptor at any time. */
  #accept(): void {
    if (this.#ballot === 0) return;
    const ballot = this.#random() < 0.6 ? this.#ballot : 1 + Math.floor(this.#random() * this.#ballot);
    const aid = Math.floor(this.#random() * this.acceptors.length);
    const one = this.acceptors[aid]!;
    const value = this.values.get(ballot);
    // A recovery's ballot is nobody's proposal.
    if (value === undefined || ballot < one.promised || (one.ballot === ballot && one.isVote)) return;
    Object.assign(one, { promised: ballot, ballot, isVote: true, isMarked: false });
    const votes = this.#votes.get(ballot) ?? new Set();
    this.#votes.set(ballot, votes.add(aid));
    if (votes.size < this.#quorum) return;
    if (this.chosen !== undefined && this.chosen !== value) throw new Error("the model itself is unsafe");
    this.chosen = value;
  }

  /** The leader of a ballot that a quorum has voted for says so; an acceptor hears it. */
  #announce(): void {
    const known = [...this.#votes].filter(([, votes]) => votes.size >= this.#quorum);
    if (known.length === 0) return;
    const one = this.#pick(this.acceptors);
    one.knows = true;
    if (one.ballot === this.#pick(known)[0]) one.isMarked = true;
  }

  /** An acceptor loses everything, and recovers from a quorum of the others. */
  #forget(): void {
    const aid = Math.floor(this.#random() * this.acceptors.length);
    if (this.acceptors.length - 1 < this.#quorum) return;
    const others = this.#some(this.#quorum, aid).map((other) => this.acceptors[other]!);
    const ballot = ++this.#ballot;
    for (const other of others) other.promised = ballot;
    const best = others.reduce((a, b) => (b.ballot > a.ballot ? b : a));
    Object.assign(this.acceptors[aid]!, {
      promised: ballot,
      ballot: best.ballot,
      isVote: false,
      isMarked: best.isMarked,
      knows: best.knows && this.#random() < 0.5,
    });
  }

  #report(): void {
    const aid = Math.floor(this.#random() * this.acceptors.length);
    const { ballot, isVote, isMarked, knows } = this.acceptors[aid]!;
    if (ballot === 0) return;
    const flags =
      (knows ? RepeatFlag.known : 0) | (isMarked ? RepeatFlag.marked : 0) | (isVote ? 0 : RepeatFlag.hearsay);
    this.reports.push({ aid, ballot, flags });
  }
}

const run = fc.record({
  acceptors: fc.constantFrom(3, 5),
  steps: fc.integer({ min: 10, max: 120 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 }),
});

/** Feeds all reports in a drawn order, some twice; returns by how many reports it was proven. */
function learn(model: Model, acceptors: number, random: () => number): number {
  const window = new LearnerWindow(8, 1 << 16, acceptors);
  const reports = [...model.reports, ...model.reports.filter(() => random() < 0.2)];
  let fed = 0;
  while (reports.length > 0 && !window.isChosen(1)) {
    const { aid, ballot, flags } = reports.splice(Math.floor(random() * reports.length), 1)[0]!;
    window.vote(1, aid, ballot as Ballot, 7, flags);
    fed++;
  }
  if (!window.isChosen(1)) return 0;
  expect(model.chosen).toBeDefined();
  expect(model.values.get(window.chosenBallot(1))).toBe(model.chosen!);
  return fed;
}

test("what the window takes for chosen is chosen", () => {
  let proven = 0;
  fc.assert(
    fc.property(run, ({ acceptors, steps, seed }) => {
      const random = seededRandom(seed);
      const model = new Model(acceptors, random);
      for (let i = 0; i < steps; i++) model.step();
      for (let order = 0; order < 10; order++) if (learn(model, acceptors, random) > 0) proven++;
    }),
    { numRuns: 1500 },
  );
  expect(proven).toBeGreaterThan(1000);
});

test("one marked answer proves, hearsay or not; hearsay alone is no vote", () => {
  const marked = new LearnerWindow(8, 1 << 16, 3);
  expect(marked.vote(1, 0, 5 as Ballot, 7, RepeatFlag.marked | RepeatFlag.hearsay)).toBe(true);
  expect([marked.chosenBallot(1), marked.chosenLife(1)]).toEqual([5 as Ballot, 7]);

  const hearsay = new LearnerWindow(8, 1 << 16, 3);
  expect(hearsay.vote(1, 0, 5 as Ballot, 7, RepeatFlag.hearsay)).toBe(false);
  expect(hearsay.vote(1, 1, 5 as Ballot, 7, RepeatFlag.hearsay)).toBe(false);
  expect(hearsay.vote(1, 2, 5 as Ballot, 7)).toBe(false);
  // Later it votes there itself.
  expect(hearsay.vote(1, 1, 5 as Ballot, 7)).toBe(true);
});

test("hearsay counts among those that know", () => {
  const window = new LearnerWindow(8, 1 << 16, 3);
  window.vote(1, 0, 5 as Ballot, 7, RepeatFlag.hearsay | RepeatFlag.known);
  expect(window.vote(1, 1, 4 as Ballot, 7, RepeatFlag.known)).toBe(true);
  expect(window.chosenBallot(1)).toBe(5 as Ballot);
});
