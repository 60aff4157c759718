/**
 * No function is compiled for what it then does not meet, time and again: such code is left and thrown away whenever it does, and
 * in the end not made any more. Addresses of these clusters have words of 2³¹ and more, as those of half of all cards do.
 */
import { expect, test } from "bun:test";
import { clusterIdOf } from "../src/node/identity.ts";
import { macOf, simConfig } from "../src/sim/parts.ts";

/** A function that settles is left a few hundred times at most; one that does not, at each tenth value or oftener. */
const MOST_EXITS = 2_000;
const VALUES = 40_000;
const TIMEOUT_MS = 120_000;
const PROGRAM = `${import.meta.dir}/support/exits_program.ts`;

/** How often compiled code was left, by function. */
function exitsOf(...words: string[]): Map<string, number> {
  const env = { ...process.env, BUN_JSC_printEachOSRExit: "1" };
  const child = Bun.spawnSync([process.execPath, PROGRAM, ...words], { env, stdout: "ignore" });
  const text = child.stderr.toString();
  expect({ code: child.exitCode, text: child.exitCode === 0 ? "" : text.slice(-2000) }).toEqual({
    code: 0,
    text: "",
  });
  const exits = new Map<string, number>();
  for (const [, name] of text.matchAll(/^Speculation failure in ([^:]+)#/gm))
    exits.set(name!, (exits.get(name!) ?? 0) + 1);
  return exits;
}

test("addresses have high words here", () => {
  const high = 0x8000_0000;
  const config = simConfig({ acceptors: 3, proposers: 1, learners: 1, replicas: 3 }, ["wire native"]);
  expect((clusterIdOf(config) << 24) >>> 0).toBeGreaterThanOrEqual(high);
  expect(macOf(1, 0)[0]!).toBeGreaterThanOrEqual(high);
});

test.each([
  ["native", "roles"],
  ["native", "replicas"],
  ["kernel-paxos", "roles"],
  ["kernel-paxos", "replicas"],
])(
  "compiled code holds: wire %s, %s",
  (wire, layout) => {
    const exits = exitsOf(wire, layout, `${VALUES}`);
    // Else nothing was told at all.
    expect(exits.size).toBeGreaterThan(0);
    expect([...exits].filter(([, count]) => count > MOST_EXITS)).toEqual([]);
  },
  TIMEOUT_MS,
);
