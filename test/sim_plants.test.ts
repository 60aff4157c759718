/**
 * The simulator finds what is wrong: every planted bug within its number of seeds, as a violation of a safety property (or of
 * liveness, where the bug breaks nothing else), and the same seeds without the bug are clean.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, runOnce } from "../src/sim/campaign.ts";
import { FAULTS } from "../src/sim/faults.ts";
import { PLANTS, type Plant } from "../src/sim/plants.ts";
import { findScenario, SCENARIOS } from "../src/sim/scenario.ts";

const DURATION_US = 5e6;

/** The first seed whose run violates what the bug breaks; where that is safety, liveness does not count. */
function firstSeed({ scenario, seeds, from = 1, property }: Plant, plant?: Plant): number | undefined {
  for (let seed = from; seed < from + seeds; seed++) {
    const plan = { scenario: findScenario(scenario)!, seed, durationUs: DURATION_US };
    const { violation } = attempt(plant === undefined ? plan : { ...plan, plant });
    if (violation !== undefined && (violation.property === "liveness") === (property === "liveness"))
      return seed;
  }
  return undefined;
}

for (const plant of PLANTS) {
  test(`${plant.name}: ${plant.summary} (within ${plant.seeds} seeds of ${plant.scenario})`, () => {
    const seed = firstSeed(plant, plant);
    expect(seed).toBeDefined();
    const sound = attempt({ scenario: findScenario(plant.scenario)!, seed: seed!, durationUs: DURATION_US });
    expect(sound.violation).toBeUndefined();
  }, 120_000);
}

test("a failure comes with a trace, and repeats", () => {
  const plant = PLANTS.find(({ name }) => name === "reply-before-persist")!;
  const plan = {
    scenario: findScenario(plant.scenario)!,
    seed: firstSeed(plant, plant)!,
    durationUs: DURATION_US,
    plant,
  };
  const { failure } = runOnce(plan);
  expect(failure?.property).toBe("nothing revealed is forgotten");
  expect(failure?.trace.length).toBeGreaterThan(50);
  expect(failure?.trace.slice(-5).join("\n")).toMatch(/ms {2}acceptor \d +starts$/m);
});

test("docs/simulator.md lists every scenario, fault and bug as they are", () => {
  const page = readFileSync(join(import.meta.dir, "..", "docs", "simulator.md"), "utf8");
  for (const { name, summary } of SCENARIOS) expect(page).toContain(`| \`${name}\` | ${summary} |`);
  for (const [name, summary] of Object.entries(FAULTS))
    expect(page).toContain(`| \`${name}\` | ${summary} |`);
  for (const { name, summary, scenario, seeds, from } of PLANTS) {
    const where = from === undefined ? "" : ` from ${from} on`;
    expect(page).toContain(`| \`${name}\` | ${summary} | \`${scenario}\` | ${seeds} seeds${where} |`);
  }
});
