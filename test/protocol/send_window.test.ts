/**
 * How much a client may have under way: less after refusals, losses and delays, never nothing, and soon as much as before.
 */
import { expect, test } from "bun:test";
import { SendWindow } from "../../src/protocol/client/send_window.ts";

const FIRST = 64;
const LIMIT_US = 5_000;

const windowOf = (sessions = 1, random = 0.5, queueUs = LIMIT_US): SendWindow =>
  new SendWindow(sessions, () => random, queueUs);

/** Delivers a full window: what was under way, by all sessions. */
function roundTrip(window: SendWindow, sessions = 1): void {
  const each = Math.floor(window.size);
  for (let session = 0; session < sessions; session++) window.delivered(each, each);
}

/** Delivers full windows until `most` may be under way; returns in how many round trips. */
function roundTrips(window: SendWindow, sessions: number, most: number): number {
  let count = 0;
  for (; window.size < most; count++) roundTrip(window, sessions);
  return count;
}

/** A window of at least so much to which nothing has happened yet. */
function wide(most: number): SendWindow {
  const window = windowOf();
  roundTrips(window, 1, most);
  return window;
}

test("begins small, and doubles each round trip until something is in the way", () => {
  const window = windowOf();
  const seen: number[] = [];
  for (let i = 0; i < 5; i++) {
    seen.push(window.size);
    roundTrip(window);
  }
  expect(seen).toEqual([64, 128, 256, 512, 1024]);
  expect(windowOf(16).size).toBe(4);
  expect(windowOf(1000).size).toBe(1);
});

test("what is not used does not grow", () => {
  const window = windowOf();
  for (let i = 0; i < 100; i++) window.delivered(10, 10);
  expect(window.size).toBe(FIRST);
});

test("each refusal halves what was under way, down to one", () => {
  const window = wide(1000);
  const seen: number[] = [];
  for (let i = 0; i < 12; i++) {
    window.resumeUs = -1;
    window.refused(0, Math.min(1000, window.size));
    seen.push(window.size);
  }
  expect(seen).toEqual([500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1, 1]);
});

test("a refusal when nothing is under way says nothing of how much is too much", () => {
  const window = windowOf();
  window.refused(0, 0);
  expect(window.size).toBe(FIRST);
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
    window.delivered(1, 1);
    window.refused(0, 10);
    expect(window.resumeUs).toBe(pauses[0]!);
  }
});

test("a loss that many are told of counts once, and does not halve below 64", () => {
  const window = wide(1000);
  window.sample(400, 0);
  expect(window.isNewLoss(1_000)).toBe(true);
  window.lost(1_000, 1000);
  expect(window.size).toBe(500);
  expect(window.isNewLoss(1_399)).toBe(false);
  expect(window.isNewLoss(1_400)).toBe(true);
  for (let us = 2_000; us < 20_000; us += 400) window.lost(us, window.size);
  expect(window.size).toBe(64);
  window.refused(30_000, 64);
  expect(window.size).toBe(32);
  window.lost(31_000, 32);
  expect(window.size).toBe(32);
  expect(window.isNewLoss(40_000)).toBe(false);
});

test("before a value came back, and from another proposer, the same gap is news only after a while", () => {
  const window = windowOf();
  const first = window.leastUs;
  window.sample(300, 0);
  window.sample(900, 0);
  expect(window.leastUs).toBe(300);
  window.switched();
  expect(window.leastUs).toBe(first);
});

test("grows by an eighth a round trip to where it was too much, and slowly beyond, however many sessions share it", () => {
  for (const sessions of [1, 7, 50]) {
    const window = windowOf(sessions);
    roundTrips(window, sessions, 1000);
    window.refused(0, 1000);
    while (window.size > 1) window.refused(0, window.size);
    const trips = roundTrips(window, sessions, 1000);
    expect(trips).toBeGreaterThan(50);
    expect(trips).toBeLessThan(90);
    roundTrip(window, sessions);
    const before = window.size;
    roundTrip(window, sessions);
    const beyond = (window.size - before) / before;
    expect(beyond).toBeGreaterThan(0.01);
    expect(beyond).toBeLessThan(0.02);
  }
});

/** A queue that serves one value each `usEach`: what is under way comes back after so long. */
function serve(window: SendWindow, usEach: number, forUs: number, nowUs = 0): number {
  const leastUs = 100;
  let now = nowUs;
  while (now < nowUs + forUs) {
    const underWay = Math.floor(window.size);
    const us = Math.max(leastUs, underWay * usEach);
    now += us;
    window.sample(us, now);
    window.delivered(underWay, underWay);
  }
  return now;
}

test("what is under way waits in queues no longer than it may, whatever the queue takes for one", () => {
  for (const usEach of [0.5, 2, 8]) {
    const window = windowOf();
    const now = serve(window, usEach, 2_000_000);
    let most = 0;
    for (let us = now; us < now + 1_000_000; us = serve(window, usEach, 1, us))
      most = Math.max(most, window.size * usEach);
    expect(most).toBeLessThan(1.4 * LIMIT_US);
    expect(most).toBeGreaterThan(0.3 * LIMIT_US);
  }
});

test("a slow way is no queue: once known, nothing is held back for it", () => {
  const window = windowOf();
  let now = 0;
  for (let i = 0; i < 20; i++) {
    now += 40_000;
    window.sample(40_000, now);
    roundTrip(window);
    if (window.size > 100_000) break;
  }
  expect(window.size).toBeGreaterThan(100_000);
});

test("a way that has become longer is known as that after a while", () => {
  const window = windowOf();
  let now = serve(window, 1, 1_000_000);
  for (const end = now + 30_000_000; now < end; now += 60_000) {
    window.sample(60_000, now);
    roundTrip(window);
  }
  expect(window.size).toBeGreaterThan(1000);
});

test("what waits for a processor that others use is no reason to have less than a few frames under way", () => {
  const window = windowOf();
  window.sample(100, 0);
  for (let now = 0; now < 5_000_000; now += 150_000) {
    window.sample(150_000, now);
    roundTrip(window);
  }
  expect(window.size).toBeGreaterThanOrEqual(512);
});

test("no limit: what waits is no reason to send less", () => {
  const window = windowOf(1, 0.5, 0);
  serve(window, 10, 500_000);
  expect(window.size).toBeGreaterThan(20_000);
});
