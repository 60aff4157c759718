/**
 * How long a cluster is loaded before it is measured, and with what first. Computes, starts nothing.
 */
import type { Cell } from "./cells.ts";

/** Seconds of load before each round: its client is a new process, compiles for a second and a half, and may become patient as late as this. */
export const WARM_UP = 4;
/** Before the first round of a cluster of our own: for so long under load its runtimes compile what they run. */
export const FIRST_WARM_UP = 5;
/**
 * Before each round at half of a load: there the slowest values are looked at, and for twenty seconds compilers that work now and then
 * make others wait for a time slice.
 */
export const HALF_WARM_UP = 25;

export interface WarmUps {
  readonly warmUp: number;
  readonly firstWarmUp: number;
  readonly halfWarmUp: number;
}

/** What is asked for holds for all. */
export function warmUpsOf(asked: number | undefined): WarmUps {
  return {
    warmUp: asked ?? WARM_UP,
    firstWarmUp: asked ?? FIRST_WARM_UP,
    halfWarmUp: asked ?? HALF_WARM_UP,
  };
}

/** Before a round of this load. */
export function warmUpOf({ halfOfWindow }: Cell, { warmUp, halfWarmUp }: WarmUps): number {
  return halfOfWindow === undefined ? warmUp : halfWarmUp;
}

/** The one that takes most of a cluster, whose compiled paths all the others use. All are closed loops, or all are open. */
export function heaviest(cells: readonly Cell[]): Cell {
  const weightOf = ({ rate, window, clients, groups }: Cell): number => rate ?? window * clients * groups;
  return cells.reduce((most, cell) => (weightOf(cell) > weightOf(most) ? cell : most));
}
