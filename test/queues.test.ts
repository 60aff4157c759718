/**
 * What values wait for, in a model of queues: the real cores, turns that take time, receive buffers that overflow. Everything is
 * exact; the figures are those of the model, not of any machine.
 */
import { expect, test } from "bun:test";
import { COSTS, type Figures, LoadModel, type LoadOptions } from "./support/load_model.ts";

const SECOND = 1_000_000;
const PATIENCE_MS = 120_000;
/** Slow machines: fewer values make the same queues. */
const SLOW = {
  turnUs: 4 * COSTS.turnUs,
  rxFrameUs: 4 * COSTS.rxFrameUs,
  rxKibUs: 4 * COSTS.rxKibUs,
  txFrameUs: 4 * COSTS.txFrameUs,
};
/** What a kernel gives without CAP_NET_ADMIN: 212 kB, less than a hundred frames. */
const SMALL = 92;

function run(options: Partial<LoadOptions>, warmUpUs = SECOND / 2, us = SECOND / 10): Figures {
  const model = new LoadModel({ seed: 1, clients: 1, outstanding: 100, costs: SLOW, ...options });
  model.warmUp(warmUpUs);
  return model.run(us);
}

test(
  "at half of what can be chosen no value waits long",
  () => {
    const full = run({ outstanding: 20_000 });
    const half = run({ clients: 2, outstanding: 2_000, rate: full.rate / 4 });
    expect(half.rate).toBeGreaterThan(0.49 * full.rate);
    expect(half.p99).toBeLessThan(2 * half.p50);
    expect(half.resent).toBe(0);
  },
  PATIENCE_MS,
);

test(
  "whatever is offered, values under way wait a few milliseconds",
  () => {
    for (const clients of [1, 4]) {
      const bounded = run({ clients, outstanding: 20_000 }, SECOND);
      expect(bounded.p99).toBeLessThan(9_000);
      expect(bounded.resent).toBe(0);
      expect(bounded.dropped).toEqual({});
    }
    const unbounded = run({ clients: 4, outstanding: 20_000, settings: ["queue-delay 0"] });
    expect(unbounded.p99).toBeGreaterThan(20_000);
  },
  PATIENCE_MS,
);

test(
  "and so in the Kernel_Paxos wire, where nobody can say that it is too much",
  () => {
    const wire = "wire kernel-paxos";
    for (const clients of [1, 4]) {
      const bounded = run({ clients, outstanding: 2_000, settings: [wire] }, SECOND);
      // Four have the least under way that a client has.
      expect(bounded.p99).toBeLessThan(clients === 1 ? 15_000 : 30_000);
      expect(bounded.resent).toBe(0);
      const unbounded = run({ clients, outstanding: 2_000, settings: [wire, "queue-delay 0"] }, SECOND);
      expect(unbounded.p99).toBeGreaterThan(80_000);
      expect(bounded.rate).toBeGreaterThan(0.95 * unbounded.rate);
    }
  },
  PATIENCE_MS,
);

test(
  "acceptors that are slow: what waits for them waits with the clients",
  () => {
    const { p99, rate } = run({ clients: 4, outstanding: 5_000, slower: { acceptor: 4 } }, SECOND);
    expect(p99).toBeLessThan(15_000);
    expect(rate).toBeGreaterThan(100_000);
  },
  PATIENCE_MS,
);

test(
  "small receive buffers cost a client little, however much it has to send",
  () => {
    const small = run({ outstanding: 20_000, queueFrames: SMALL });
    expect(small.rate).toBeGreaterThan(200_000);
    expect(small.p99).toBeLessThan(12_000);
  },
  PATIENCE_MS,
);

test(
  "alone, a value is sent at once, and alone",
  () => {
    const { p50, max } = run({ outstanding: 1 });
    expect(p50).toBeLessThan(4 * 60);
    expect(max).toBeLessThan(3 * p50);
  },
  PATIENCE_MS,
);
