/**
 * Results of the benchmark as they would be measured, for tests of what is made of them.
 */
import type { Cell } from "../../src/bench/cells.ts";
import {
  type BenchResult,
  type CellResult,
  FORMAT,
  FORMAT_VERSION,
  type Round,
} from "../../src/bench/result.ts";
import { LatencyHistogram } from "../../src/node/latency_histogram.ts";

export const CELL: Cell = {
  wire: "native",
  storage: "memory",
  layout: "roles",
  acceptors: 3,
  batching: true,
  groups: 1,
  window: 100,
  clients: 1,
  size: 64,
  rate: null,
};

export function roundOf(valuesPerSecond: number, p50 = 100): Round {
  return {
    seconds: 1,
    valuesPerSecond,
    mbps: (valuesPerSecond * 64 * 8) / 1e6,
    sentLatencyUs: { mean: p50, p50, p90: 2 * p50, p99: 4 * p50, p999: 8 * p50, max: 10 * p50 },
    resent: 0,
    unanswered: 0,
    processes: [
      { name: "acceptor 0", userCores: 0.2, systemCores: 0.1, residentBytes: 50e6 },
      { name: "acceptor 1", userCores: 0.1, systemCores: 0.1, residentBytes: 60e6 },
      { name: "client", userCores: 0.4, systemCores: 0.1, residentBytes: 70e6 },
    ],
    framesPerValue: 0.5,
  };
}

export function cellResult(rounds: readonly Round[], cell: Partial<Cell> = {}): CellResult {
  const histogram = new LatencyHistogram();
  for (const { sentLatencyUs } of rounds) histogram.record(sentLatencyUs.p50, 100);
  return {
    cell: { ...CELL, ...cell },
    rounds,
    latencyUs: histogram.figures(),
    sentLatencyUs: histogram.figures(),
    histogram: histogram.toJSON(),
    series: [
      [0.5, 1000],
      [1, 1200],
    ],
  };
}

/** With a floor whose latencies are all `us`; `rate` null: in a closed loop. `lost`: values of each round. */
export function besideFloor(one: CellResult, rate: number | null, us: number, lost = 0): CellResult {
  const histogram = new LatencyHistogram();
  histogram.record(us, 100);
  const figures = {
    valuesPerSecond: rate ?? 4000,
    ...(rate === null ? {} : { rate }),
    ...{ p50: us, p90: 2 * us, p99: 4 * us, lost },
  };
  return {
    ...one,
    rounds: one.rounds.map((round) => ({ ...round, floor: figures })),
    floor: {
      rate,
      valuesPerSecond: figures.valuesPerSecond,
      latencyUs: histogram.figures(),
      histogram: histogram.toJSON(),
      lost: lost * one.rounds.length,
    },
  };
}

export function benchResult(cells: readonly CellResult[], more: Partial<BenchResult> = {}): BenchResult {
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    startedAt: "2026-11-22T10:00:00.000Z",
    commandLine: "kpaxos bench --settings 'cluster=<a & b>'",
    place: "UDP on 127.0.0.1",
    machine: {
      cpu: "Test CPU",
      cores: 2,
      memoryBytes: 2 ** 34,
      kernel: "Linux 6.1",
      bun: "1.4.5",
      kpaxos: "0.1.0",
      loadBefore: [0.1, 0.2, 0.3],
      loadAfter: [1, 0.5, 0.4],
    },
    noFloor: null,
    failures: [],
    cells,
    ...more,
  };
}
