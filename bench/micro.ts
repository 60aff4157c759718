/**
 * `npm run bench`: what the parts of the hot path cost, one by one, on this machine. Nothing here waits for another
 * process, so the figures are upper bounds of what a cluster can do, not what it does (that is `kpaxos bench`).
 *
 *     bun bench/micro.ts [--json] [--quick] [--only TEXT]
 *
 * `--quick` runs each task for milliseconds, to see that it runs; its figures mean nothing.
 */
import { Bench } from "tinybench";
import { grouped } from "../src/text/grouped.ts";
import { CYCLE_VALUES, clientCycle } from "./client_cycle.ts";
import { codecBench } from "./codec.ts";
import { FRAMES, leaderStep } from "./leader.ts";
import { nativeBench } from "./native.ts";
import { admissionStep, filterStep, PACKED, packedLearnerStep, packerStep } from "./packed.ts";
import { Cluster } from "./parties.ts";
import { CORES, INSTANCES, replicaStep } from "./replica.ts";
import { ringBench } from "./ring.ts";
import { acceptorStep, clientStep, learnerStep, proposerStep } from "./steps.ts";
import { flags, script, usageError, write } from "./support/script.ts";
import type { Add } from "./support/task.ts";

interface Row {
  readonly name: string;
  readonly opsPerSecond: number;
  /** The median: on a machine that others use the mean says more about them. */
  readonly nsPerOp: number;
  /** Median absolute deviation, in percent of the median. */
  readonly marginPercent: number;
}

const STEPS = 64;

function repeated(step: () => void): () => void {
  return () => {
    for (let i = 0; i < STEPS; i++) step();
  };
}

function stepsBench(add: Add): void {
  for (const wire of ["native", "kernel-paxos"] as const) {
    const steps: [name: string, stepOf: (cluster: Cluster) => () => void][] = [
      ["acceptor: accept in, accepted out", acceptorStep],
      ["acceptor: prepare and accept in, promise and accepted out", (cluster) => acceptorStep(cluster, true)],
      ["learner: accept and 2 accepted in, delivered", learnerStep],
      ["proposer: value in, accept out, 2 accepted in, learned", proposerStep],
      ["client: value out, delivered", clientStep],
    ];
    for (const [name, stepOf] of steps)
      add(`${wire}: ${name}`, STEPS, () => repeated(stepOf(new Cluster(wire))));
  }
}

/** Messages full of values: what each value costs of them. */
function packedBench(add: Add): void {
  const steps: [name: string, stepOf: (cluster: Cluster) => () => void][] = [
    ["client: a value packed", packerStep],
    ["proposer: a packed value admitted and acknowledged", admissionStep],
    ["filter: a packed value delivered to the log", filterStep],
    ["learner: a packed value, accept and 2 accepted in, delivered to the log", packedLearnerStep],
  ];
  for (const [name, stepOf] of steps)
    add(`native: ${name}`, STEPS * PACKED, () => repeated(stepOf(new Cluster("native"))));
}

/** Full instances, from a client's frame to the acknowledgement. */
function leaderBench(add: Add): void {
  add("native: leader: a full instance, proposed and chosen", STEPS * FRAMES, () =>
    repeated(leaderStep(new Cluster("native"))),
  );
}

/** A full window of a client's: what each value costs, from sending it to knowing that it is delivered. */
function cycleBench(add: Add): void {
  for (const sessions of [1, 10]) {
    add(`native: client: a value's whole way, 1000 of ${sessions} sessions under way`, CYCLE_VALUES, () =>
      clientCycle(new Cluster("native"), { sessions, window: 1000 }),
    );
  }
}

/** Full instances, thousands between two trims: what each costs the cores of a replica. */
function replicaBench(add: Add): void {
  for (const [name, cores] of CORES)
    add(`native: ${name}: a full instance`, INSTANCES, () => replicaStep(cores));
}

function measure(quick: boolean, only: string): Row[] {
  const bench = new Bench({
    time: quick ? 2 : 500,
    warmupTime: quick ? 1 : 200,
    iterations: quick ? 1 : 64,
    warmupIterations: quick ? 1 : 16,
    throws: true,
  });
  const operations = new Map<string, number>();
  const names: string[] = [];
  const add: Add = (name, count, make) => {
    names.push(name);
    if (!name.includes(only)) return;
    operations.set(name, count);
    bench.add(name, make());
  };
  codecBench(add);
  stepsBench(add);
  packedBench(add);
  leaderBench(add);
  replicaBench(add);
  cycleBench(add);
  ringBench(add);
  const end = nativeBench(add);
  if (operations.size === 0)
    throw usageError(
      `--only: no task has ${JSON.stringify(only)} in its name`,
      `the tasks are\n  ${names.join("\n  ")}`,
    );
  bench.runSync();
  end();
  return bench.tasks.map(({ name, result }) => {
    if (!("latency" in result)) throw new Error(`${name}: ${result.state}`);
    const { p50, mad } = result.latency;
    const nsPerOp = (p50 * 1e6) / operations.get(name)!;
    return { name, opsPerSecond: 1e9 / nsPerOp, nsPerOp, marginPercent: (100 * mad) / p50 };
  });
}

function table(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length), 4);
  const line = (name: string, ops: string, ns: string, margin: string): string =>
    `${name.padEnd(width)} ${ops.padStart(12)} ${ns.padStart(10)} ${margin.padStart(8)}`;
  const body = rows.map(({ name, opsPerSecond, nsPerOp, marginPercent }) =>
    line(name, grouped(opsPerSecond), nsPerOp.toFixed(1), `${marginPercent.toFixed(1)} %`),
  );
  return [line("task", "ops/s", "ns/op", "±"), ...body].join("\n");
}

function main(): void {
  const { json, quick, only } = flags({
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  });
  const rows = measure(quick, only);
  write(`${json ? JSON.stringify(rows) : table(rows)}\n`);
}

if (import.meta.main) await script(main);
