/** What a server of the store says of itself while nobody leads. */
import { expect, test } from "bun:test";
import { tellReadiness } from "../src/kv/readiness.ts";
import { collectingLog } from "./support/collecting_log.ts";

/** A replica of which the first reads fail. */
function failing(times: number): { reads: number; read(): Promise<void> } {
  return {
    reads: 0,
    async read() {
      if (this.reads++ < times) throw new Error(`no leader ${this.reads}`);
    },
  };
}

test("that it cannot answer is said once, after a while, with the reason; then that it can", async () => {
  const { log, lines } = collectingLog();
  const patient = failing(4);
  await tellReadiness(patient, log, () => false, 0, 60_000);
  expect([patient.reads, lines]).toEqual([5, []]);
  const tired = failing(4);
  await tellReadiness(tired, log, () => false, 0, 0);
  expect(tired.reads).toBe(5);
  expect(lines.map((line) => line.message)).toEqual([
    "requests cannot be served yet: no leader 1",
    "a leader answers: requests are served",
  ]);
});

test("its end is no trouble", async () => {
  const { log, lines } = collectingLog();
  const one = failing(1000);
  await tellReadiness(one, log, () => one.reads >= 3, 0, 60_000);
  expect([one.reads, lines]).toEqual([3, []]);
});
