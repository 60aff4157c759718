/**
 * A comparison of two results as text.
 */
import { grouped } from "../text/grouped.ts";
import type { CellComparison, Comparison, Difference } from "./compare.ts";
import { roundsNeeded, SIGNIFICANCE } from "./compare.ts";
import { aligned } from "./table.ts";

function figure(number: number): string {
  if (!Number.isFinite(number)) return "?";
  return number >= 100 ? grouped(number) : number.toFixed(2);
}

function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return "?";
  const change = (ratio - 1) * 100;
  return `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(1)} %`;
}

function row({ what, before, after, ratio, chance, verdict }: Difference): string[] {
  return [what, figure(before), figure(after), percent(ratio), chance.toFixed(4), verdict];
}

/** A cluster that became faster has more to do at half of what it can. */
function ratesText([before, after]: CellComparison["rates"]): string {
  if (before === null || after === null || before === after) return "";
  return `; at ${grouped(before)} and ${grouped(after)} values/s, which latencies depend on`;
}

function cellLines({ cell, rounds, rates, differences }: CellComparison): string[] {
  const [before, after] = rounds;
  const lines = aligned([["", "before", "after", "change", "p", "verdict"], ...differences.map(row)]);
  return [
    `${cell} (${before} and ${after} rounds${ratesText(rates)})`,
    ...lines.map((line) => `  ${line}`),
    "",
  ];
}

export function comparisonLines(comparison: Comparison): string[] {
  const { cells, onlyBefore, onlyAfter, machines, differs } = comparison;
  const all = cells.flatMap(({ differences }) => differences);
  const unknown = all.filter(({ verdict }) => verdict === "cannot tell").length;
  const lines = machines.map((text) => `another machine: ${text}`);
  if (lines.length > 0) lines.push("");
  lines.push(...cells.flatMap(cellLines));
  for (const key of onlyBefore) lines.push(`only before: ${key}`);
  for (const key of onlyAfter) lines.push(`only after: ${key}`);
  if (unknown > 0) {
    const needed = roundsNeeded();
    lines.push(
      `${unknown} of ${all.length} figures: cannot tell, too few rounds (${needed} on both sides are enough: --rounds ${needed})`,
    );
  }
  if (!differs) return [...lines, "nothing differs beyond noise"];
  const falsely = Math.min(100, Math.round((all.length - unknown) * SIGNIFICANCE * 100));
  lines.push(
    `beyond noise between rounds: p below ${SIGNIFICANCE} where it says better or worse`,
    `of 100 comparisons of equals with ${all.length - unknown} figures chance alone makes up to ${falsely} say so somewhere; and what the ` +
      "machine did differently in the two runs counts: measure both again, in turns",
  );
  return lines;
}
