/**
 * Chaos in short: a few seconds of each mode with a fixed seed. `npm run chaos` runs it for as long as one likes.
 */
import { expect, test } from "bun:test";
import { type ChaosOptions, runChaos } from "../chaos/chaos.ts";
import { MODES } from "../chaos/mishaps.ts";
import { describeNetns } from "../support/netns.ts";

const SHORT: Omit<ChaosOptions, "mode"> = {
  seconds: 4,
  seed: 20,
  udp: false,
  valuesPerSecond: 100,
  say: () => undefined,
};

async function passes(options: ChaosOptions): Promise<void> {
  const { problems, directory, acknowledged, kills, stops, cuts } = await runChaos(options);
  expect(problems, `everything is kept in ${directory}`).toEqual([]);
  expect(acknowledged).toBeGreaterThan(50);
  expect(kills + stops + cuts).toBeGreaterThan(0);
  if (options.mode === "power-cut") expect(cuts).toBeGreaterThan(0);
}

describeNetns("chaos on raw Ethernet", () => {
  for (const mode of MODES) {
    test(`${mode}: what was acknowledged is there once, in one order`, async () => {
      await passes({ ...SHORT, mode });
    }, 90_000);
  }
});

test("chaos over UDP", async () => {
  await passes({ ...SHORT, seconds: 2, mode: "minority", udp: true });
}, 90_000);
