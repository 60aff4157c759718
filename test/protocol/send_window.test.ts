/**
 * How much a client may have under way: less after refusals and losses, never nothing, and soon as much as before.
 */
import { expect, test } from "bun:test";
import { SendWindow } from "../../src/protocol/client/send_window.ts";

const windowOf = (sessions = 1, random = 0.5): SendWindow => new SendWindow(sessions, () => random);

/** Delivers full windows until `most` may be under way; returns in how many round trips. */
function roundTrips(window: SendWindow, sessions: number, most: number): number {
  let count = 0;
  for (; window.sequences < most; count++) {
    const each = Math.floor(window.sequences);
    for (let session = 0; session < sessions; session++) window.delivered(each);
  }
  return count;
}

test("each refusal halves what was under way, down to one", () => {
  const window = windowOf();
  const seen: number[] = [];
  for (let i = 0; i < 12; i++) {
    window.resumeUs = -1;
    window.refused(0, Math.min(1000, window.sequences));
    seen.push(window.sequences);
  }
  expect(seen).toEqual([500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1, 1]);
});

test("a refusal when nothing is under way says nothing of how much is too much", () => {
  const window = windowOf();
  window.refused(0, 0);
  expect(window.sequences).toBe(Number.POSITIVE_INFINITY);
  expect(window.isPaused).toBe(true);
});

test("pauses double up to a limit, and are short again once something is delivered", () => {
  for (const random of [0, 0.999]) {
    const window = windowOf(1, random);
    const pauses: number[] = [];
    for (let i = 0; i < 10; i++) {
      window.resumeUs = -1;
      window.refused(5_000_000, 10);
      pauses.push(window.resumeUs - 5_000_000);
    }
    expect(pauses[1]).toBe(2 * pauses[0]!);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(150_000);
    expect(Math.max(...pauses)).toBeGreaterThanOrEqual(50_000);
    window.delivered(1);
    window.refused(0, 10);
    expect(window.resumeUs).toBe(pauses[0]!);
  }
});

test("a loss that many are told of counts once, and does not halve below 64", () => {
  const window = windowOf();
  window.sample(400);
  expect(window.isNewLoss(1_000)).toBe(true);
  window.lost(1_000, 1000);
  expect(window.isNewLoss(1_399)).toBe(false);
  expect(window.isNewLoss(1_400)).toBe(true);
  for (let us = 2_000; us < 20_000; us += 400) window.lost(us, window.sequences);
  expect(window.sequences).toBe(64);
  window.refused(30_000, 64);
  expect(window.isNewLoss(40_000)).toBe(false);
});

test("before a value came back, and from another proposer, the same gap is news only after a while", () => {
  const window = windowOf();
  const first = window.leastUs;
  window.sample(300);
  window.sample(900);
  expect(window.leastUs).toBe(300);
  window.switched();
  expect(window.leastUs).toBe(first);
});

test("grows by an eighth a round trip, however many sessions share it", () => {
  for (const sessions of [1, 7, 1000]) {
    const window = windowOf(sessions);
    while (window.sequences > 1) window.refused(0, Math.min(1000, window.sequences));
    const trips = roundTrips(window, sessions, 1000);
    expect(trips).toBeGreaterThan(50);
    expect(trips).toBeLessThan(90);
  }
});
