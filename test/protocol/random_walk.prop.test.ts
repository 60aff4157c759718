/**
 * Safety and, after healing, liveness of the cores on random walks (`support/walk.ts`). A failure names the variable that
 * repeats it: `KPAXOS_WALK=native:3:17`. `KPAXOS_SEEDS=20` walks twenty times as often.
 */
import { describe, expect, test } from "bun:test";
import { Walk, type WalkOptions } from "../support/walk.ts";
import { WALK_BUGS } from "../support/walk_bugs.ts";
import { Observer, Violation } from "../support/walk_observer.ts";

const EVENTS = 3000;
/** What no planted bug breaks by itself, as it would a rule of the core it is planted in. */
const SAFETY =
  /^(agreement|delivery|one value per ballot|what is chosen stays|one birth|who leads is promised)$/;
const SEEDS = 50 * Number(process.env.KPAXOS_SEEDS ?? 1);

/**
 * Follows from wire, acceptors and seed; in one of four native walks acceptors hardly do anything but forget, in another
 * proposers reach one acceptor only.
 */
function planOf(native: boolean, acceptors: number, seed: number): WalkOptions {
  return {
    native,
    acceptors,
    seed,
    events: EVENTS,
    restless: native && seed % 4 === 0,
    holds: native && seed % 4 === 1,
  };
}

function nameOf(options: WalkOptions): string {
  return `KPAXOS_WALK=${options.native ? "native" : "kernel-paxos"}:${options.acceptors}:${options.seed}`;
}

/** Runs one walk; an error says how to repeat it, and with `replay` what happened before. */
function walk(options: WalkOptions, replay = false): ReturnType<Walk["run"]> {
  const walker = new Walk(options);
  walker.keepsTrace = replay;
  try {
    return walker.run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new Error(
      `${error.message}\nrepeat it: ${nameOf(options)} bun test random_walk\n${walker.trace()}`,
    );
  }
}

/** The property that the first walk to fail violates, and its seed; liveness does not count. */
function find(options: Omit<WalkOptions, "seed" | "acceptors">, seeds: number): string {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      new Walk({ ...options, acceptors: seed % 2 === 0 ? 3 : 5, seed }).run();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      if (error.property !== "liveness") return error.property;
    }
  }
  return `not found by ${seeds} seeds`;
}

const replayed = /^(native|kernel-paxos):(\d+):(\d+)$/.exec(process.env.KPAXOS_WALK ?? "");
if (replayed !== null) {
  const [, wire, acceptors, seed] = replayed;
  test(`the walk ${replayed[0]}`, () => {
    const native = wire === "native";
    walk(planOf(native, Number(acceptors), Number(seed)), true);
  });
}

describe.each([true, false])("native %p", (native) => {
  test.each([1, 3, 4, 5])(
    `%p acceptors: nothing bad happens on ${SEEDS} walks, and all is delivered`,
    (acceptors) => {
      let chosen = 0;
      let campaigns = 0;
      let recoveries = 0;
      const first = 10_000 * acceptors;
      for (let seed = first; seed < first + SEEDS; seed++) {
        const result = walk(planOf(native, acceptors, seed));
        expect(result.chosen).toBeGreaterThan(0);
        chosen += result.chosen;
        campaigns += result.campaigns;
        recoveries += result.recoveries;
      }
      // The walks are worth something: much was chosen, and proposers fought about it.
      expect(chosen).toBeGreaterThan(10 * SEEDS);
      expect(campaigns).toBeGreaterThan(5 * SEEDS);
      // And acceptors forgot everything and came back.
      if (native && acceptors > 1) expect(recoveries).toBeGreaterThan(SEEDS);
    },
  );

  test("a walk follows from its seed", () => {
    const options = { native, acceptors: 3, seed: 5, events: 1000 };
    const traces = [1, 2].map(() => {
      const walker = new Walk(options);
      walker.keepsTrace = true;
      walker.run();
      return walker.trace();
    });
    expect(traces[0]!.length).toBeGreaterThan(1000);
    expect(traces[0] === traces[1]).toBe(true);
  });

  for (const planted of WALK_BUGS) {
    const seeds = native ? planted.native : planted.kernelPaxos;
    if (seeds === 0) continue;
    test(`planted: ${planted.bug.summary} (within ${seeds} seeds)`, () => {
      const { bug, restless = false, holds = false } = planted;
      expect(find({ native, events: EVENTS, bug, restless, holds }, seeds)).toMatch(SAFETY);
    });
  }
});

describe("what a learner leaves out", () => {
  /** Whether the observer lets it pass: in the native wire, four acceptors that hold everything, the last of which may have trimmed before it forgot that. */
  function passes(trimmed: number, trimProves: boolean): boolean {
    const observer = new Observer({ acceptors: 4, checksRules: true, trimOf: () => 0, trimProves });
    if (trimmed > 0) observer.journal(3).trimmed(trimmed);
    observer.restarts(3);
    try {
      observer.application("learner 0", false, () => true).skipped(2, 5);
      return true;
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return false;
    }
  }

  test("was trimmed by somebody, who may have forgotten that since", () => {
    expect(passes(0, true)).toBe(false);
    expect(passes(4, true)).toBe(false);
    expect(passes(5, true)).toBe(true);
    expect(passes(5, false)).toBe(false);
  });
});
