/**
 * Goals beside what was measured for them: each a row of text, a ratio where it is one, and a verdict. Computes, starts nothing.
 */
import type { LatencyFigures } from "../node/latency_histogram.ts";
import { grouped } from "../text/grouped.ts";
import { type CellResult, isSound, type Round } from "./result.ts";
import { median } from "./statistics.ts";
import type { SyncPrice } from "./sync_price.ts";
import { p50ToFloor, rateToFloor, ratiosToFloor, summaryOf } from "./table.ts";
import {
  atLeast,
  atMost,
  including,
  quotientOf,
  type Range,
  rangeOf,
  rangeText,
  roundsRange,
  type Verdict,
  verdictOf,
} from "./verdicts.ts";

export interface Target {
  readonly what: string;
  readonly goal: string;
  readonly measured: string;
  /** What the goal is about, where it is a ratio. */
  readonly ratio: number | null;
  /** null: not measured, or not as the goal wants it. */
  readonly verdict: Verdict | null;
}

const TAIL_TIMES = 5;
export const TAIL_GOAL = `p99 at most ${TAIL_TIMES} × p50`;
/** A commit alone is a part of what a value takes: so much more at most. */
const COMMIT_TIMES = 2;

const rateOf = ({ valuesPerSecond }: Round): number => valuesPerSecond;
const p50Of = ({ sentLatencyUs }: Round): number => sentLatencyUs.p50;
const tailOf = ({ sentLatencyUs }: Round): number => sentLatencyUs.p99 / sentLatencyUs.p50;
const sentP50 = ({ rounds }: CellResult): number => median(rounds.map(p50Of));

/** Of the floor beside those rounds that have a ratio to it. */
function floorOf({ rounds }: CellResult, what: "valuesPerSecond" | "p50"): number {
  const sound = rounds.flatMap(({ floor }) => (floor === undefined || !isSound(floor) ? [] : [floor[what]]));
  return median(sound);
}

function openLoop(rate: number | null, { p50, p99 }: LatencyFigures): string {
  return `${grouped(rate ?? 0)} values/s: p50 ${grouped(p50)} µs, p99 ${grouped(p99)} µs`;
}

/** What this machine gives whoever does nothing but phase 2. */
function floorsHalf({ floor }: CellResult): string {
  return floor === undefined ? "" : `; floor at half of its own: ${openLoop(floor.rate, floor.latencyUs)}`;
}

export function unmeasured(what: string, goal: string, why: string): Target {
  return { what, goal, measured: why, ratio: null, verdict: null };
}

/** `noFloor`: why there is none at all. */
function whyNoRatio({ rounds }: CellResult, noFloor: string): string {
  return rounds.some(({ floor }) => floor !== undefined) ? "the floor lost values in each round" : noFloor;
}

/** p50 beside the floor's: less is better. */
export function latencyTarget(what: string, one: CellResult, most: number, noFloor: string): Target {
  const goal = `p50 at most ${most} × floor`;
  const { floorP50: ratio } = summaryOf(one);
  if (ratio === null) return unmeasured(what, goal, whyNoRatio(one, noFloor));
  const range = rangeOf(ratiosToFloor(one.rounds, p50ToFloor));
  const measured = `${grouped(sentP50(one))} µs, floor ${grouped(floorOf(one, "p50"))} µs; ${rangeText(range)}`;
  return { what, goal, measured, ratio, verdict: verdictOf(range, atMost(most)) };
}

/** Values per second beside the floor's: more is better. */
export function rateTarget(
  what: string,
  one: CellResult,
  least: number,
  aim: number | undefined,
  noFloor: string,
): Target {
  const goal = `values/s at least ${least} × floor${aim === undefined ? "" : ` (${aim} aimed at)`}`;
  const { floorRate: ratio, valuesPerSecond } = summaryOf(one);
  if (ratio === null) return unmeasured(what, goal, whyNoRatio(one, noFloor));
  const range = rangeOf(ratiosToFloor(one.rounds, rateToFloor));
  const measured = `${grouped(valuesPerSecond)}, floor ${grouped(floorOf(one, "valuesPerSecond"))}; ${rangeText(range)}`;
  return { what, goal, measured, ratio, verdict: verdictOf(range, atLeast(least)) };
}

/** So many values per second, whatever else there is. */
export function absoluteTarget(what: string, one: CellResult, least: number): Target {
  const { valuesPerSecond } = summaryOf(one);
  const range = roundsRange(one, (round) => rateOf(round) / least);
  return {
    what,
    goal: `at least ${grouped(least)} values/s`,
    measured: `${grouped(valuesPerSecond)}; ${rangeText(range)}`,
    ratio: valuesPerSecond / least,
    verdict: verdictOf(range, atLeast(1)),
  };
}

/** The slowest of a hundred beside the median, at half of the maximum. */
export function tailTarget(what: string, half: CellResult | undefined): Target {
  if (half === undefined) return unmeasured(what, TAIL_GOAL, "too little came back");
  const { p50, p99 } = half.latencyUs;
  const ratio = p99 / p50;
  const range = roundsRange(half, tailOf);
  return {
    what,
    goal: TAIL_GOAL,
    measured: `${openLoop(half.cell.rate, half.latencyUs)}; ${rangeText(range)}${floorsHalf(half)}`,
    ratio,
    // Latencies shown are of all rounds together.
    verdict: verdictOf(including(range, ratio), atMost(TAIL_TIMES)),
  };
}

/** One value at a time on disk beside bare commits, before and after. */
export function commitTarget(
  what: string,
  one: CellResult,
  [before, after]: readonly [SyncPrice, SyncPrice],
  of: "aloneUs" | "quorumUs",
  words: { readonly goal: string; readonly beside: (us: number) => string },
): Target {
  const p50 = sentP50(one);
  const us = (before[of] + after[of]) / 2;
  const range = quotientOf(roundsRange(one, p50Of), rangeOf([before[of], after[of]]));
  return {
    what,
    goal: `p50 at most ${COMMIT_TIMES} × ${words.goal}`,
    measured: `${grouped(p50)} µs, ${words.beside(us)}; ${rangeText(range)}`,
    ratio: p50 / us,
    verdict: verdictOf(range, atMost(COMMIT_TIMES)),
  };
}

/** A cell in both wires. */
export interface Wires {
  readonly native: CellResult;
  readonly other: CellResult;
}

/** Frames a value, beside those of window 1, where there is nothing to merge; null: not known. */
function mergedShare(one: CellResult, alone: CellResult): number | null {
  const [frames, most] = [one, alone].map((each) => summaryOf(each).framesPerValue);
  return frames === null || most === null ? null : frames! / most!;
}

/**
 * What the other wire has to reach of the native one's values per second. Frames are what both spend their time on: what the native
 * wire saves by merging messages into fewer of them, the other one may lose. That it sends a copy to each where the native wire sends one
 * to all is no excuse.
 */
function leastOfNative({ native, other }: Wires, alone: Wires): number | null {
  const [merged, kept] = [mergedShare(native, alone.native), mergedShare(other, alone.other)];
  return merged === null || kept === null ? null : Math.min(1, merged / kept);
}

/** `alone`: the same at window 1. */
export function wireTarget(both: Wires, alone: Wires): Target {
  const { native, other } = both;
  const { window } = native.cell;
  const what = `Kernel_Paxos wire, window ${window}`;
  const least = window === 1 ? 1 : leastOfNative(both, alone);
  const goal =
    window === 1
      ? "values/s no lower than native unpacked"
      : `values/s no lower than native unpacked, but for frames it cannot merge: at least ${least?.toFixed(2) ?? "?"} ×`;
  const [ours, natives] = [other, native].map((one) => summaryOf(one));
  const frames = [natives, ours].map((one) => one!.framesPerValue?.toFixed(2) ?? "?").join(" and ");
  // One wire was measured after the other.
  const range = quotientOf(roundsRange(other, rateOf), roundsRange(native, rateOf));
  const measured =
    `${grouped(ours!.valuesPerSecond)}, native ${grouped(natives!.valuesPerSecond)} ` +
    `(frames per value ${frames}, native first); ${rangeText(range)}`;
  const ratio = ours!.valuesPerSecond / natives!.valuesPerSecond;
  return { what, goal, measured, ratio, verdict: least === null ? null : verdictOf(range, atLeast(least)) };
}

/** How much of its rate a cluster keeps with more acceptors, beside what the floor keeps. */
export function shareTarget(one: CellResult, three: CellResult, noFloor: string): Target {
  const what = `${one.cell.acceptors} acceptors, window ${one.cell.window}, packed`;
  const goal = "keeps the share of 3 acceptors' values/s that the floor keeps";
  const ours = summaryOf(one).valuesPerSecond / summaryOf(three).valuesPerSecond;
  const floors = floorOf(one, "valuesPerSecond") / floorOf(three, "valuesPerSecond");
  if (!Number.isFinite(ours)) return unmeasured(what, goal, "too little came back");
  if (!Number.isFinite(floors)) {
    const lossy = floorOf(three, "valuesPerSecond") > 0 ? one : three;
    return unmeasured(what, goal, whyNoRatio(lossy, noFloor));
  }
  const [range, threes] = [one, three].map(
    ({ rounds }): Range => rangeOf(ratiosToFloor(rounds, rateToFloor)),
  );
  const all = quotientOf(range!, threes!);
  const ratio = ours / floors;
  return {
    what,
    goal,
    measured: `${ours.toFixed(2)}, floor ${floors.toFixed(2)}; ${rangeText(all)}`,
    ratio,
    verdict: verdictOf(including(all, ratio), atLeast(1)),
  };
}
