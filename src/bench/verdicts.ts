/**
 * What a measurement says of a goal. Rounds of one run lie apart: where some of them reach the goal and others miss it, it is too
 * close to tell. Pure.
 */
import type { CellResult, Round } from "./result.ts";

export type Verdict = "reached" | "missed" | "too close to tell";

/** From the least to the greatest. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** A goal is one figure that is at least that, or at most that. */
export type Goal = (figure: number) => boolean;
export const atLeast =
  (least: number): Goal =>
  (figure) =>
    figure >= least;
export const atMost =
  (most: number): Goal =>
  (figure) =>
    figure <= most;

/** null: nothing came back where it would have been measured. */
export function verdictOf({ low, high }: Range, isReached: Goal): Verdict | null {
  if (Number.isNaN(low) || Number.isNaN(high)) return null;
  if (isReached(low) !== isReached(high)) return "too close to tell";
  return isReached(low) ? "reached" : "missed";
}

export function rangeOf(figures: readonly number[]): Range {
  return { low: Math.min(...figures), high: Math.max(...figures) };
}

export function roundsRange({ rounds }: CellResult, of: (round: Round) => number): Range {
  return rangeOf(rounds.map(of));
}

/** Of any of the first beside any of the second: they were not measured in pairs. */
export function quotientOf(first: Range, second: Range): Range {
  return { low: first.low / second.high, high: first.high / second.low };
}

/** With the figure that is shown, which may be of all rounds together. */
export function including({ low, high }: Range, figure: number): Range {
  return rangeOf([low, high, figure]);
}

export function rangeText({ low, high }: Range): string {
  const [least, most] = [low, high].map((ratio) => (Number.isFinite(ratio) ? ratio.toFixed(2) : "?"));
  return `rounds' ratios ${least} to ${most}`;
}
