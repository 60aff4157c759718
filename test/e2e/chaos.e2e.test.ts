/**
 * Chaos in short: a few seconds of each mode and of each configuration, with a fixed seed. `npm run chaos` runs all of them
 * for as long as one likes.
 */
import { expect, test } from "bun:test";
import { type ChaosOptions, runChaos } from "../chaos/chaos.ts";
import type { Mode } from "../chaos/mishaps.ts";
import type { ConfigName } from "../chaos/play.ts";
import { describeNetns } from "../support/netns.ts";

const SHORT: Omit<ChaosOptions, "config" | "mode"> = {
  seconds: 2.5,
  seed: 7,
  udp: false,
  storage: "sqlite",
  valuesPerSecond: 100,
  say: () => undefined,
};

const RUNS: readonly (readonly [ConfigName, Mode, what: string])[] = [
  ["roles", "minority", "what was acknowledged is there once, in one order"],
  ["roles", "power-cut", "what was acknowledged is there once, in one order"],
  ["roles", "amnesia", "what was acknowledged is there once, in one order"],
  ["replicas", "power-cut", "what was acknowledged is there once, in one order"],
];

async function passes(options: ChaosOptions): Promise<void> {
  const { problems, directory, acknowledged, undecided, kills, stops, cuts } = await runChaos(options);
  expect(problems, `everything is kept in ${directory}`).toEqual([]);
  expect(undecided).toBe(0);
  expect(acknowledged).toBeGreaterThan(50);
  expect(kills + stops + cuts).toBeGreaterThan(0);
  if (options.mode === "power-cut") expect(cuts).toBeGreaterThan(0);
}

describeNetns("chaos on raw Ethernet", () => {
  for (const [config, mode, what] of RUNS) {
    test(`${config}, ${mode}: ${what}`, async () => {
      await passes({ ...SHORT, config, mode });
    }, 90_000);
  }

  test("roles, power-cut, each with a log: what was acknowledged is there once, in one order", async () => {
    await passes({ ...SHORT, config: "roles", mode: "power-cut", storage: "log" });
  }, 90_000);
});

test("chaos over UDP, on a store: what was answered is linearizable", async () => {
  await passes({ ...SHORT, config: "kv", mode: "minority", udp: true });
}, 90_000);
