/**
 * A comparison of results as text.
 */
import { grouped } from "../text/grouped.ts";
import type { CellComparison, Comparison, Difference } from "./compare.ts";
import { SIGNIFICANCE } from "./compare.ts";
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

function seenText(seenFrom: number | null): string {
  if (seenFrom === null) return "?";
  return seenFrom >= 10 ? "more than × 10" : `${(100 * seenFrom).toFixed(1)} %`;
}

function row({ what, before, after, ratio, chance, seenFrom, verdict }: Difference): string[] {
  const figures = [figure(before), figure(after), percent(ratio)];
  return [what, ...figures, seenText(seenFrom), chance === null ? "?" : chance.toFixed(4), verdict];
}

/** A cluster that became faster has more to do at half of what it can. */
function ratesText([before, after]: CellComparison["rates"]): string {
  if (before === null || after === null || before === after) return "";
  return `; at ${grouped(before)} and ${grouped(after)} values/s, which latencies depend on`;
}

function cellLines({ cell, runs, rounds, rates, differences }: CellComparison): string[] {
  const titles = ["", "before", "after", "change", "seen from", "p", "verdict"];
  const lines = aligned([titles, ...differences.map(row)]);
  return [
    `${cell} (${runs[0]} and ${runs[1]} runs, ${rounds[0]} and ${rounds[1]} rounds${ratesText(rates)})`,
    ...lines.map((line) => `  ${line}`),
    "",
  ];
}

/** What the verdicts are worth. */
function meaning({ samples, inTurns, cells }: Comparison, known: number): string[] {
  const limit = `${100 * SIGNIFICANCE}`;
  const tested =
    `p is of Student's t test on logarithms, corrected (Holm) for all ${known} figures: of 100 comparisons of equals fewer than ${limit} ` +
    'find a difference anywhere; a lone one smaller than in "seen from" could not be found';
  if (samples === "rounds")
    return [
      tested,
      "the samples are the rounds of one run on each side: this knows the noise between rounds, not that between runs. What the machine did " +
        "differently in the two runs counts as a difference. Measure both again, in turns, and give all: --compare A1.json,A2.json,A3.json B1.json,B2.json,B3.json",
    ];
  const single = cells.some(({ runs }) => Math.min(...runs) === 1);
  return [
    tested,
    "the samples are runs, each the median of its rounds",
    ...(single
      ? [
          "one side has a single run: its noise is taken to be that of the other side's, and what was odd about that one run counts as a difference",
        ]
      : []),
    ...(inTurns === false
      ? [
          "all runs of one side were over before the other's began: what the machine became meanwhile counts as a difference. Measure in turns",
        ]
      : []),
  ];
}

export function comparisonLines(comparison: Comparison): string[] {
  const { cells, samples, onlyBefore, onlyAfter, machines, differs } = comparison;
  const all = cells.flatMap(({ differences }) => differences);
  const unknown = all.filter(({ verdict }) => verdict === "cannot tell").length;
  const lines = machines.map((text) => `not measured alike: ${text}`);
  if (lines.length > 0) lines.push("");
  lines.push(...cells.flatMap(cellLines));
  for (const key of onlyBefore) lines.push(`only before: ${key}`);
  for (const key of onlyAfter) lines.push(`only after: ${key}`);
  if (unknown > 0) {
    const how =
      samples === "rounds" ? "rounds (at least two on a side: --rounds 5)" : "runs (at least two on a side)";
    lines.push(
      `${unknown} of ${all.length} figures: cannot tell, too few ${how}, or nothing came back in one`,
    );
  }
  const known = all.length - unknown;
  if (known === 0) return [...lines, "there is no telling whether anything differs"];
  lines.push(...meaning(comparison, known));
  return [...lines, differs ? "something differs beyond noise" : "nothing differs beyond noise"];
}
