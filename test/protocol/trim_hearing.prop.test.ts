/**
 * An acceptor that has just begun hears everybody who runs before it believes a report: learners with their own times for hi and
 * reports, and frames that take theirs. And it listens no longer than a window that fills in half a second can wait.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { TrimRule } from "../../src/protocol/acceptor/trim_rule.ts";
import { Learner } from "../../src/protocol/learner/learner.ts";
import type { Outbox } from "../../src/protocol/outbox.ts";
import type { Ballot, Peer } from "../../src/protocol/types.ts";
import { seededRandom } from "../support/random.ts";
import { peerOf, Recorder } from "../support/recorder.ts";

const BALLOT = 65536 as Ballot;
const PROPOSER = peerOf("p0");
const STEP_MS = 4;
/** Of a test: how long steps take is the machine's. */
const TIMEOUT_MS = 300_000;
const WINDOW = 1000;
const VALUE = new Uint8Array(8);

/** Whoever reports first is believed. */
class BelievesAtOnce extends TrimRule {
  override listens(): boolean {
    return false;
  }
}

/** An acceptor that goes on takes itself for one that begins the log. */
class BeginsAlways extends TrimRule {
  constructor(...options: ConstructorParameters<typeof TrimRule>) {
    super(...options);
    this.beginsLog();
  }
}

interface Start {
  readonly startMs: number;
  readonly iid: number;
  /** It does as much as there is; else it stays where it is. */
  readonly keepsUp: boolean;
}

interface Plan {
  readonly seed: number;
  /** How long a former self of the acceptor has run; 0: the log begins with it. */
  readonly formerMs: number;
  /** When each learner starts, counted from the former self's start, and how far it is already. */
  readonly learners: readonly Start[];
  /** The load begins so long after the acceptor, and fills the window in so many milliseconds; 0: there is none. */
  readonly loadMs: number;
  readonly fillMs: number;
  readonly rule?: typeof TrimRule;
}

/** Frames and times: an acceptor, its former self, and learners, each of a kind of its own. */
class Stage {
  nowMs = 0;
  acceptor!: Acceptor;
  readonly learners: Learner[] = [];
  readonly iids: number[];
  /** How long values could not be accepted. */
  fullMs = 0;
  /** It has trimmed what not all have reported. */
  isTrimmedAbove = false;
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #frames: { atMs: number; run: () => void }[] = [];

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = seededRandom(plan.seed);
    this.iids = plan.learners.map(({ iid }) => iid);
    if (plan.formerMs > 0) this.#start(true, TrimRule);
  }

  run(): void {
    const { formerMs, fillMs, loadMs, learners, rule = TrimRule } = this.#plan;
    const endMs = formerMs + loadMs + 4000;
    for (; this.nowMs < endMs; this.nowMs += STEP_MS) {
      if (this.nowMs - formerMs >= 0 && this.nowMs - formerMs < STEP_MS) this.#start(formerMs > 0, rule);
      learners.forEach(({ startMs }, id) => {
        if (this.nowMs >= startMs && this.learners[id] === undefined) this.learners[id] = this.#learner(id);
      });
      const due = this.#frames.filter(({ atMs }) => atMs <= this.nowMs);
      this.#frames.splice(0, this.#frames.length, ...this.#frames.filter(({ atMs }) => atMs > this.nowMs));
      this.acceptor.tick(this.nowMs * 1000);
      for (const { run } of due) run();
      const passedMs = this.nowMs - formerMs - loadMs;
      if (fillMs > 0 && passedMs >= 0) this.#load((WINDOW * passedMs) / fillMs);
      for (const learner of this.learners) learner?.tick(this.nowMs * 1000);
      if (this.nowMs >= formerMs && this.acceptor.log.trimIid > Math.min(...this.iids))
        this.isTrimmedAbove = true;
    }
  }

  #later(run: () => void): void {
    this.#frames.push({ atMs: this.nowMs + STEP_MS + Math.floor(this.#random() * 20), run });
  }

  #load(count: number): void {
    const { log } = this.acceptor;
    while (log.highestIid < Math.floor(count)) {
      const iid = log.highestIid + 1;
      this.acceptor.onAccept(PROPOSER, iid, 0, BALLOT, 7, VALUE, 0, VALUE.length);
      if (log.highestIid < iid) break;
    }
    if (log.highestIid < Math.floor(count)) this.fullMs += STEP_MS;
    for (const [id, { keepsUp }] of this.#plan.learners.entries()) {
      if (keepsUp && this.learners[id] !== undefined) this.iids[id] = log.highestIid;
      this.learners[id]?.startAt(this.iids[id]! + 1);
    }
  }

  /** `kept`: its storage has told it that it has voted before, and what. */
  #start(kept: boolean, rule: typeof TrimRule): void {
    const outbox = new Recorder();
    const started = new Acceptor(
      {
        aid: 0,
        acceptors: 1,
        life: 100 + this.nowMs,
        fresh: false,
        durable: false,
        random: this.#random,
        maxLeaseMs: 0,
        perInstance: false,
        leaderTimeoutMs: 500,
        instances: WINDOW,
        bytes: 1 << 20,
        trimRule: new rule(10_000, "quorum", true),
      },
      outbox.journal,
      outbox,
    );
    const here = (run: (learner: Learner) => void) =>
      this.#later(() => {
        for (const learner of this.learners) if (learner !== undefined) run(learner);
      });
    outbox.acceptorOk = (to) => this.#later(() => this.learners[to - peerOf("l0")]?.onAcceptorOk(0));
    outbox.acceptorState = (trim, highest, flags, logId) =>
      here((one) => one.onAcceptorState(0, trim, highest, flags, logId));
    outbox.acceptorStateTo = (to, trim, highest, flags, logId) =>
      this.#later(() => this.learners[to - peerOf("l0")]?.onAcceptorState(0, trim, highest, flags, logId));
    if (kept) {
      started.restoreStanding(Float64Array.of(1), Float64Array.of(1));
      const { log } = started;
      const highest = Math.max(...this.iids);
      for (let iid = 1; iid <= highest; iid++) log.accept(iid, BALLOT, 7, 0, VALUE, 0, VALUE.length);
    }
    this.acceptor = started;
  }

  #learner(id: number): Learner {
    const outbox: Outbox = new Recorder();
    const peer = (peerOf("l0") + id) as Peer;
    outbox.repeat = () => undefined;
    outbox.learnerHi = () => this.#later(() => this.acceptor.onLearnerHi(peer));
    outbox.trim = (iid, hasApplications, kind) =>
      this.#later(() => this.acceptor.onTrim(peer, iid, hasApplications, kind));
    const learner = new Learner(
      {
        acceptors: 1,
        windowInstances: 64,
        windowBytes: 1 << 16,
        catchUp: true,
        waitsForStart: false,
        statesTellHighest: true,
        beginning: 128,
        canTrim: true,
        hasApplications: true,
        kind: id,
        trimEvery: WINDOW / 8,
        trimBytes: 1 << 20,
      },
      outbox,
      { deliver: () => false, skipped: () => undefined, acknowledged: () => this.iids[id]! },
    );
    learner.startAt(this.iids[id]! + 1);
    return learner;
  }
}

const trimsAbove = (plan: Plan): boolean => {
  const stage = new Stage(plan);
  stage.run();
  return stage.isTrimmedAbove;
};

const load = { seed: fc.nat(), loadMs: fc.nat(3000), fillMs: fc.constantFrom(0, 200, 500, 2000) };
const ofOne = fc.record({ startMs: fc.nat(80), iid: fc.constant(0), keepsUp: fc.boolean() });
const ofMany = fc.record({
  startMs: fc.nat(2000),
  iid: fc.integer({ min: 10, max: 200 }),
  keepsUp: fc.boolean(),
});
const begins: fc.Arbitrary<Plan> = fc.record({
  ...load,
  formerMs: fc.constant(0),
  learners: fc.array(ofOne, { minLength: 2, maxLength: 4 }),
});
const goesOn: fc.Arbitrary<Plan> = fc.record({
  ...load,
  formerMs: fc.integer({ min: 2200, max: 4200 }),
  learners: fc.array(ofMany, { minLength: 2, maxLength: 4 }),
});

describe("before it believes a report an acceptor hears everybody who runs", () => {
  const runs = { numRuns: 100 };

  test(
    "when the log begins with it",
    () => {
      fc.assert(
        fc.property(begins, (plan) => !trimsAbove(plan)),
        runs,
      );
    },
    TIMEOUT_MS,
  );

  test(
    "when it goes on, and learners take themselves for registered",
    () => {
      fc.assert(
        fc.property(goesOn, (plan) => !trimsAbove(plan)),
        runs,
      );
    },
    TIMEOUT_MS,
  );

  test.each([
    ["one that believes at once", BelievesAtOnce],
    ["one that listens as if the log began with it", BeginsAlways],
  ])(
    "%s is found out",
    (_what, rule) => {
      const outcome = fc.check(
        fc.property(goesOn, (plan) => !trimsAbove({ ...plan, rule })),
        { ...runs, seed: 1 },
      );
      expect(outcome.failed).toBe(true);
    },
    TIMEOUT_MS,
  );
});

test(
  "a window that is filled in less than half a second is trimmed before it is full",
  () => {
    const learners = fc.array(
      ofOne.map((one) => ({ ...one, keepsUp: true })),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(fc.record({ ...load, learners }), (plan) => {
        const stage = new Stage({ ...plan, formerMs: 0, loadMs: 200 + plan.loadMs, fillMs: 450 });
        stage.run();
        expect(stage.acceptor.log.trimIid).toBeGreaterThan(0);
        expect(stage.fullMs).toBe(0);
      }),
      { numRuns: 40 },
    );
  },
  TIMEOUT_MS,
);
