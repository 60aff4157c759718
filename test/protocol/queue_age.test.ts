/**
 * How long the oldest value of a queue has waited, beside a list of all that wait.
 */
import { expect, test } from "bun:test";
import { QueueAge } from "../../src/protocol/proposer/queue_age.ts";
import { seededRandom } from "../support/random.ts";

test("is that of the oldest value, to the millisecond", () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = seededRandom(seed);
    const age = new QueueAge();
    const waiting: number[] = [];
    let nowUs = 1_000_000;
    for (let i = 0; i < 2_000; i++) {
      nowUs += Math.floor(random() * 1_500);
      for (let n = Math.floor(random() * 4); n > 0; n--) {
        waiting.push(nowUs);
        age.pushed(nowUs);
      }
      waiting.splice(0, Math.floor(random() * (random() < 0.05 ? 80 : 3.5)));
      const us = age.ageUs(waiting.length, nowUs);
      const exactUs = waiting.length === 0 ? 0 : nowUs - waiting[0]!;
      if (waiting.length === 0) expect(us).toBe(0);
      expect(us).toBeGreaterThanOrEqual(exactUs);
      expect(us).toBeLessThanOrEqual(exactUs + 1_000);
    }
  }
});

test("what has waited longer than it keeps account of is known to be old", () => {
  const age = new QueueAge();
  for (let us = 0; us < 2_000_000; us += 1_000) age.pushed(us);
  expect(age.ageUs(2_000, 2_000_000)).toBe(2_000_000);
  expect(age.ageUs(500, 2_000_000)).toBeGreaterThan(255_000);
  age.ageUs(0, 2_000_000);
  age.pushed(3_000_000);
  expect(age.ageUs(1, 3_000_500)).toBe(500);
});
