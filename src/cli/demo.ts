/**
 * `kpaxos demo`: a whole cluster on this machine, under load, and a short report. Nothing stays afterwards.
 */
import { ExitCode } from "../error.ts";
import { canMakeNamespaces, reenter, selfCommand } from "../ops/lab.ts";
import type { LabCluster } from "../ops/lab_cluster.ts";
import type { Agreement, DemoListener, Place, Run } from "../ops/lab_demo.ts";
import { defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function row(name: string, text: string): void {
  print(`  ${name.padEnd(11)} ${text}`);
}

function time(us: number): string {
  return us >= 10_000 ? `${(us / 1000).toFixed(1)} ms` : `${Math.round(us)} µs`;
}

function count(number: number): string {
  return Math.round(number).toLocaleString("en");
}

/** What to type elsewhere to send values to a cluster that is kept. */
function joinCommand(cluster: LabCluster, enter: readonly string[]): string {
  return [...enter, ...selfCommand(), "run", "client", "-f", cluster.configPath, "--proposer-id", "0"].join(
    " ",
  );
}

const textReport: DemoListener = {
  place: ({ description, reason }: Place) => print(`kpaxos demo: ${description} (${reason})`),
  started: (names: readonly string[], seconds: number) =>
    row("started", `${names.join(", ")}; ready after ${seconds.toFixed(2)} s`),
  ran: ({ window, valueSize, seconds, valuesPerSecond, latencyUs }: Run) =>
    row(
      `window ${window}`,
      `${count(valuesPerSecond)} values/s, p50 ${time(latencyUs.p50)}, p99 ${time(latencyUs.p99)} ` +
        `(${valueSize} B values, ${seconds.toFixed(1)} s)`,
    ),
  agreed: ({ learners, values, sha256 }: Agreement) =>
    row(
      "learners",
      `${learners} delivered the same ${count(values)} values in one order (${sha256.slice(0, 12)}…)`,
    ),
  acceptors: (lastInstances: readonly (number | undefined)[]) => {
    const known = lastInstances.filter((instance) => instance !== undefined);
    if (known.length > 0) row("acceptors", `last instance ${known.map(count).join(", ")}`);
  },
  kept: (cluster: LabCluster, enter: readonly string[]) => {
    row("running", "until Ctrl-C; for a client of your own, type in another terminal:");
    print(`    ${joinCommand(cluster, enter)}`);
  },
  stopped: (processes: number) => row("stopped", `${processes} processes ended cleanly, nothing is left`),
};

/** One object at the end; one more before it when the cluster is kept. */
function jsonReport(): DemoListener {
  const facts: Record<string, unknown> = {};
  const runs: Run[] = [];
  return {
    place: (place) => {
      facts.place = place;
    },
    started: (processes, seconds) => {
      facts.started = { processes, seconds };
    },
    ran: (run) => {
      runs.push(run);
    },
    agreed: (agreement) => {
      facts.learners = agreement;
    },
    acceptors: (lastInstances) => {
      facts.acceptors = lastInstances.map((lastInstance) => ({ lastInstance: lastInstance ?? null }));
    },
    kept: (cluster, enter) => printJson({ config: cluster.configPath, join: joinCommand(cluster, enter) }),
    stopped: (processes) => printJson({ ...facts, runs, stopped: processes }),
  };
}

/** Runs `body`; a signal stops it, and then ends this process as it would have done without us. */
async function stoppable(body: (stop: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let received: (typeof SIGNALS)[number] | undefined;
  const onSignal = (signal: (typeof SIGNALS)[number]): void => {
    received = signal;
    stop.abort(new Error(`ended by ${signal}`));
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const leave = (): void => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  try {
    await body(stop.signal);
    leave();
  } catch (error) {
    leave();
    if (received === undefined || error !== stop.signal.reason) throw error;
    process.kill(process.pid, received);
    await new Promise(() => undefined);
  }
}

export const demoCommand = defineKpaxosCommand({
  meta: {
    name: "demo",
    description:
      "start a cluster on this machine, put it under load, compare what the learners got, remove it",
    examples: [
      { command: "kpaxos demo", what: "raw Ethernet between network namespaces, else UDP" },
      { command: "kpaxos demo --keep", what: "leave it running until Ctrl-C" },
      { command: "kpaxos demo --udp --seconds 10 --json", what: "UDP on 127.0.0.1, longer, as JSON" },
    ],
    notes: [
      "3 acceptors, a proposer, 2 learners and a client, each a process of this very executable. As root, or where " +
        "the kernel lets ordinary users have namespaces, they talk raw Ethernet over a bridge nobody else sees.",
    ],
  },
  args: {
    seconds: {
      type: "number",
      min: 0.5,
      max: 3600,
      default: 3,
      description: "duration of each of the two loads",
    },
    keep: { type: "boolean", description: "leave the cluster running until Ctrl-C" },
    udp: { type: "boolean", description: "UDP on 127.0.0.1, even where raw Ethernet is possible" },
    wire: {
      type: "enum",
      options: ["native", "kernel-paxos"],
      default: "native",
      description: "message format between the roles",
    },
    json: { type: "boolean", description: "print the report as one JSON object" },
  },
  run: async ({ args, rawArgs }) => {
    const udp = args.udp === true;
    const ability = canMakeNamespaces();
    if (!udp && ability.ok && ability.reenter) return (await reenter(["demo", ...rawArgs])) as ExitCode;
    const { runDemo } = await import("../ops/lab_demo.ts");
    const options = { seconds: args.seconds, udp, wire: args.wire, keep: args.keep === true };
    await stoppable((stop) => runDemo({ ...options, stop }, args.json === true ? jsonReport() : textReport));
    return ExitCode.ok;
  },
});
