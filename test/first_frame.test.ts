/**
 * Starting a role for its first frame: what a program that never speaks is told, and processes that end while /proc is read.
 */
import { expect, test } from "bun:test";
import { ranNs, StartStage } from "../src/bench/first_frame.ts";

test("the threads of a process that runs have run; one that has ended has none", async () => {
  expect(ranNs(process.pid)).toBeGreaterThan(0);
  const child = Bun.spawn(["true"]);
  await child.exited;
  expect(ranNs(child.pid)).toBeUndefined();
});

test("a program that ends instead of speaking is told at once", async () => {
  const stage = await StartStage.open("client");
  try {
    await expect(stage.once(["sh", "-c", "exit 3"])).rejects.toThrow(/client: ended with 3 instead/);
  } finally {
    stage.close();
  }
});
