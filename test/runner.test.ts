/**
 * The loop around turns: when it may sleep, and when the runtime's event loop gets its chance.
 */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import type { SystemLink } from "../src/net/system_link.ts";
import { Runner } from "../src/node/run.ts";
import type { Node } from "../src/node/turn.ts";

const BURST = 8;

/** Time passes only while a step sleeps. */
let clockUs = 0;
const clock = spyOn(performance, "now");
beforeAll(() => {
  clock.mockImplementation(() => clockUs / 1000);
});
afterAll(() => clock.mockRestore());

/** A step as it was asked for, or a sending alone: frames to send, whether it may sleep, passes of the event loop so far. */
type Step = readonly [ntx: number, sleeps: boolean, passes: number];

interface Plan {
  readonly dozes?: () => boolean;
  readonly steps: number;
  /** No turn has room for all that it has to say. */
  readonly hasMore?: boolean;
  /** How many frames the step finds, the first being step 0. */
  readonly frames: (step: number) => number;
  /** How long it sleeps. */
  readonly sleepUs?: (step: number) => number;
  /** How long the host has been suspended when the step ends. */
  readonly asleepUs?: (step: number) => number;
  /** A turn, and what time it was told. */
  readonly turned?: (nowUs: number) => void;
}

/** Its turns have nothing to do, and nothing to wait for. */
const IDLE = {
  hasMore: false,
  roles: { nextTickUs: () => Number.POSITIVE_INFINITY },
  wire: { clear: () => undefined, seal: () => 0 },
  turn: () => 0,
};

/** Each turn that had frames has two to send. */
async function run({ dozes, steps, hasMore, frames, sleepUs, asleepUs, turned }: Plan): Promise<Step[]> {
  const asked: Step[] = [];
  let passes = 0;
  let isOver = false;
  const link = {
    asleepUs: 0,
    watchEventLoop: () => true,
    step: (ntx: number, waitUs: number): number => {
      if (isOver) return 0;
      const step = asked.length;
      asked.push([ntx, waitUs > 0, passes]);
      link.asleepUs = asleepUs?.(step) ?? 0;
      if (waitUs > 0) clockUs += sleepUs?.(step) ?? 10;
      if (asked.length === steps) {
        isOver = true;
        runner.stop(() => undefined);
      }
      return frames(step);
    },
    send: (ntx: number): void => {
      if (!isOver) asked.push([ntx, false, passes]);
    },
  };
  const node = {
    ...IDLE,
    hasMore: hasMore ?? false,
    turn: (nowUs: number, received: number) => {
      turned?.(nowUs);
      return received > 0 ? 2 : 0;
    },
  };
  const lane = { node: node as unknown as Node, link: link as unknown as SystemLink };
  const runner = new Runner([lane], { dozes });
  const count = (): void => {
    passes++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await runner.run();
  const [, , before] = asked[0]!;
  return asked.map(([ntx, sleeps, at]) => [ntx, sleeps, at - before]);
}

describe("a loop that serves others", () => {
  test("sleeps once in a burst, and ends it when nothing came", async () => {
    const steps = await run({ steps: 5, frames: (step) => (step % 3 < 2 ? 1 : 0) });
    expect(steps).toEqual([
      [0, true, 0],
      [2, false, 0],
      [2, false, 0],
      [0, true, 1],
      [2, false, 1],
    ]);
  });

  test("gives the event loop its chance under load", async () => {
    const steps = await run({ steps: 2 * BURST + 3, frames: () => 1 });
    expect(steps.map(([, , pass]) => pass)).toEqual([
      ...Array<number>(BURST + 1).fill(0),
      ...Array<number>(BURST + 1).fill(1),
      2,
    ]);
  });
});

describe("a loop that may doze", () => {
  test("sends and sleeps at once while frames come soon, for a burst, and sends before it ends", async () => {
    const steps = await run({ dozes: () => true, steps: BURST + 2, frames: () => 1 });
    expect(steps).toEqual([
      [0, true, 0],
      ...Array.from({ length: BURST - 1 }, () => [2, true, 0] as const),
      [2, false, 0],
      [0, true, 1],
    ]);
  });

  test("whose slots were all taken goes on without a wait", async () => {
    const steps = await run({ dozes: () => true, steps: BURST + 2, hasMore: true, frames: () => 1 });
    expect(steps.slice(-3)).toEqual([
      [2, false, 0],
      [2, false, 1],
      [2, false, 1],
    ]);
  });

  test("wakes for something else: the event loop sees to it at once", async () => {
    const steps = await run({ dozes: () => true, steps: 4, frames: (step) => (step === 1 ? 0 : 1) });
    expect(steps).toEqual([
      [0, true, 0],
      [2, true, 0],
      [0, true, 1],
      [2, true, 1],
    ]);
  });

  test("after a long sleep the event loop comes first", async () => {
    const plan = { dozes: () => true, steps: 4, frames: (step: number) => (step === 1 ? 0 : 1) };
    const steps = await run({ ...plan, sleepUs: (step) => (step === 0 ? 2000 : 10) });
    expect(steps).toEqual([
      [0, true, 0],
      [2, false, 0],
      [0, true, 1],
      [2, true, 1],
    ]);
  });
});

describe("a loop of two lanes", () => {
  /** Whether each step of the first lane sleeps, when the second one's find so many frames. */
  async function sleepsOfFirst(found: readonly number[]): Promise<boolean[]> {
    const sleeps: boolean[] = [];
    let at = 0;
    const node = IDLE as unknown as Node;
    const common = { asleepUs: 0, rxSlots: 4, watchEventLoop: () => true, watchLink: () => undefined };
    const first = {
      ...common,
      step: (_ntx: number, waitUs: number): number => {
        sleeps.push(waitUs > 0);
        if (at === found.length) runner.stop(() => undefined);
        return 0;
      },
    };
    const second = { ...common, step: () => found[at++] ?? 0 };
    const runner = new Runner([first, second].map((link) => ({ node, link: link as unknown as SystemLink })));
    await runner.run();
    return sleeps.slice(0, found.length);
  }

  test("the first one sleeps while the second one has frames, and not while these took all its slots", async () => {
    expect(await sleepsOfFirst([3, 0, 4])).toEqual([true, false, false]);
    expect(await sleepsOfFirst([4, 4, 0])).toEqual([false, false, false]);
  });
});

test("time goes on while the host is suspended: a turn is told what it is when its frames were received", async () => {
  const hourUs = 3_600_000_000;
  const times: number[] = [];
  const asleepUs = (step: number): number => (step < 2 ? 0 : hourUs);
  await run({ dozes: () => true, steps: 4, frames: () => 1, asleepUs, turned: (nowUs) => times.push(nowUs) });
  const [first, second, third] = times.map((us) => us - times[0]!);
  expect([first, second, third]).toEqual([0, 10, hourUs + 20]);
});

test("two in one process, as a program with two clients has, hold each other up for a moment only", async () => {
  const sleepsUs: [first: number[], second: number[]] = [[], []];
  const runners = sleepsUs.map((sleeps, which): Runner => {
    const link = {
      asleepUs: 0,
      watchEventLoop: () => true,
      step: (_ntx: number, waitUs: number): number => {
        if (waitUs > 0) sleeps.push(waitUs);
        // The second one ends first.
        if (sleeps.length === (which === 1 ? 3 : 6)) runners[which]!.stop(() => undefined);
        return 0;
      },
    };
    const node = IDLE as unknown as Node;
    return new Runner([{ node, link: link as unknown as SystemLink }]);
  });
  await Promise.all(runners.map((runner) => runner.run()));
  const [first, second] = sleepsUs;
  expect(second).toEqual([1000, 1000, 1000]);
  expect([first.slice(0, 3), first.at(-1)]).toEqual([[1000, 1000, 1000], 100_000]);
});
