/**
 * Whole clusters in which things go wrong: some hundred short runs over all scenarios. A failure prints its seed, the command
 * that repeats it, and what happened last. `KPAXOS_SEEDS=20` runs twenty times as many seeds.
 */
import { describe, expect, test } from "bun:test";
import { attempt, type Outcome, runOnce, Tally } from "../src/sim/campaign.ts";
import { FAULTS } from "../src/sim/faults.ts";
import { findScenario, SCENARIOS, type Scenario } from "../src/sim/scenario.ts";

const SEEDS = 18 * Number(process.env.KPAXOS_SEEDS ?? 1);
const SECONDS = 3;
/** What was looked at in runs with a store, strangers and groups, too. */
const CHECKS = [
  ...["promises", "votes", "resumes", "entries", "deliveries", "values", "bounds", "lost"],
  ...["calls", "keys", "strangers", "held", "sessions", "merged", "runs"],
];

function explain({ plan, failure }: Outcome): string {
  if (failure === undefined) return "";
  const replay = `kpaxos sim --scenario ${plan.scenario.name} --seed ${plan.seed} --duration ${SECONDS}`;
  return `${replay}\n${failure.message}\n${failure.trace.slice(-40).join("\n")}`;
}

const tallies = new Map<string, Tally>();

/** The seeds of a scenario, run once. */
function tallyOf(scenario: Scenario): Tally {
  const known = tallies.get(scenario.name);
  if (known !== undefined) return known;
  const tally = new Tally();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = runOnce({ scenario, seed, durationUs: SECONDS * 1e6 });
    tally.add(outcome);
    if (outcome.failure !== undefined) throw new Error(explain(outcome));
  }
  tallies.set(scenario.name, tally);
  return tally;
}

describe("nothing bad happens, and in the end all is delivered", () => {
  for (const scenario of SCENARIOS) {
    test(`${scenario.name}: ${scenario.summary} (${SEEDS} seeds)`, () => {
      const tally = tallyOf(scenario);
      // The runs are worth something: values were chosen, and what the scenario is about took place.
      expect(tally.chosen).toBeGreaterThan(50 * SEEDS);
      for (const kind of Object.keys(scenario.mishaps)) expect(tally.mishaps[kind] ?? 0).toBeGreaterThan(0);
      expect(tally.checks.undecided ?? 0).toBe(0);
    }, 120_000);
  }

  test("every kind of fault came of it, and everything was checked", () => {
    const all = new Tally();
    for (const scenario of SCENARIOS) all.addAll(tallyOf(scenario));
    const never = Object.keys(FAULTS).filter((kind) => (all.faults[kind] ?? 0) === 0);
    const unchecked = CHECKS.filter((what) => (all.checks[what] ?? 0) === 0);
    expect({ never, unchecked }).toEqual({ never: [], unchecked: [] });
  }, 600_000);
});

test.each(["everything", "groups"])("%s: one seed is one run, bit for bit; another is another", (name) => {
  const run = (seed: number) => attempt({ scenario: findScenario(name)!, seed, durationUs: 3e6 }).figures;
  const first = run(11);
  expect(run(11)).toEqual(first);
  expect(run(12).digest).not.toBe(first.digest);
});

test("a trace changes nothing, and tells what happened", () => {
  const lines: string[] = [];
  const plan = { scenario: findScenario("crashes")!, seed: 3, durationUs: 2e6 };
  const traced = runOnce(plan, (line) => lines.push(line));
  expect(traced.figures.digest).toBe(runOnce(plan).figures.digest);
  expect(lines.some((line) => /ms {2}acceptor 1 +starts$/.test(line))).toBe(true);
  expect(lines.some((line) => /ms {2}acceptor \d +<- accept proposer \d iid \d+ /.test(line))).toBe(true);
  expect(lines.some((line) => /ms {2}network +all is healed$/.test(line))).toBe(true);
});
