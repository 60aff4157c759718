/**
 * `kpaxos demo`: a whole cluster on this machine, under load, and a short report. Nothing stays afterwards unless told.
 */
import { ExitCode } from "../error.ts";
import { configPath } from "../ops/cluster_roles.ts";
import type { ClusterState } from "../ops/cluster_state.ts";
import type { Agreement, DemoListener, Outage, Place, Run } from "../ops/demo.ts";
import { grouped } from "../text/grouped.ts";
import { clientLine, clusterLine } from "./cluster_common.ts";
import { defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { stoppable } from "./stoppable.ts";

function row(name: string, text: string): void {
  print(`  ${name.padEnd(11)} ${text}`);
}

function time(us: number): string {
  return us >= 10_000 ? `${(us / 1000).toFixed(1)} ms` : `${Math.round(us)} µs`;
}

/** What to type to work with a cluster that is kept. */
function joinLines(state: ClusterState): string[] {
  return [
    clientLine(state, ["--seconds", "5"]),
    clusterLine(state, "status"),
    clusterLine(state, "kill", ["acceptor/1"]),
    clusterLine(state, "down"),
  ];
}

function comeback(recovered: Outage["recovered"]): string {
  if (recovered === null)
    return "it came back with an empty memory, and voted at once: the Kernel_Paxos wire has no words to ask the others";
  const { seconds, records, upTo } = recovered;
  return `it came back with an empty memory, took up ${grouped(records)} records (to instance ${grouped(upTo)}) from the others, and voted again after ${seconds.toFixed(1)} s`;
}

const textReport: DemoListener = {
  place: ({ description, reason }: Place) => print(`kpaxos demo: ${description} (${reason})`),
  started: (names: readonly string[], seconds: number) =>
    row("started", `${names.join(", ")}; ready after ${seconds.toFixed(2)} s`),
  ran: ({ window, valueSize, seconds, valuesPerSecond, latencyUs }: Run) =>
    row(
      `window ${window}`,
      `${grouped(valuesPerSecond)} values/s, p50 ${time(latencyUs.p50)}, p99 ${time(latencyUs.p99)} ` +
        `(${valueSize} B values, ${seconds.toFixed(1)} s)`,
    ),
  survived: ({ acceptor, downSeconds, recovered, window, clients }: Outage) => {
    row(
      "killed",
      `acceptor ${acceptor}, and started again ${downSeconds.toFixed(1)} s later; values went on:`,
    );
    for (const { deliveries, valuesPerSecond, latencyUs, resent } of clients) {
      const whose =
        deliveries === "own learner" ? "client with its own learner" : "remote client, user-learner";
      row(
        "",
        `${whose}: ${grouped(valuesPerSecond)} values/s, p50 ${time(latencyUs.p50)}, ` +
          `p99 ${time(latencyUs.p99)}, ${grouped(resent)} sent again (window ${window})`,
      );
    }
    row("", comeback(recovered));
  },
  agreed: ({ learners, values, sha256 }: Agreement) =>
    row(
      "learners",
      `${learners} delivered the same ${grouped(values)} values in one order (${sha256.slice(0, 12)}…)`,
    ),
  acceptors: (lastInstances: readonly (number | undefined)[]) => {
    const known = lastInstances.map((instance) => (instance === undefined ? "not known" : grouped(instance)));
    const same = lastInstances.every((instance) => instance === lastInstances[0]);
    const differs = same ? "" : ": not the same, but what is chosen a majority of them has";
    row("acceptors", `last instance ${known.join(", ")}${differs}`);
  },
  kept: (state: ClusterState) => {
    row("running", `cluster ${state.name}; for example:`);
    for (const line of joinLines(state)) print(`    ${line}`);
  },
  stopped: (processes: number) => row("stopped", `${processes} processes ended cleanly, nothing is left`),
};

/** One object at the end. */
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
    survived: (outage) => {
      facts.outage = outage;
    },
    kept: (state) => {
      const { name, directory } = state;
      const kept = { name, directory, config: configPath(state), commands: joinLines(state) };
      printJson({ ...facts, runs, kept });
    },
    stopped: (processes) => printJson({ ...facts, runs, stopped: processes }),
  };
}

export const demoCommand = defineKpaxosCommand({
  meta: {
    name: "demo",
    description:
      "start a cluster, load it, kill an acceptor meanwhile, compare what the learners got, remove it",
    examples: [
      { command: "kpaxos demo", what: "raw Ethernet between network namespaces, else UDP" },
      { command: "kpaxos demo --keep", what: "leave the cluster up, for kpaxos cluster" },
      { command: "kpaxos demo --udp --seconds 10 --json", what: "UDP on 127.0.0.1, longer, as JSON" },
    ],
    notes: [
      "3 acceptors, a proposer, 2 learners, a user-learner and clients, each a process of this very executable. As root, " +
        "or where the kernel lets ordinary users have namespaces, they talk raw Ethernet over a bridge nobody else sees.",
      "Exit code 1, with the reason: no value was chosen, values stopped, the acceptor does not vote or accept again, or the learners differ.",
    ],
  },
  args: {
    seconds: {
      type: "number",
      min: 0.5,
      max: 3600,
      default: 2,
      description: "duration of each of the two loads",
    },
    keep: { type: "boolean", description: "leave the cluster up, named demo" },
    udp: { type: "boolean", description: "UDP on 127.0.0.1, even where raw Ethernet is possible" },
    wire: {
      type: "enum",
      options: ["native", "kernel-paxos"],
      default: "native",
      description: "message format between the roles",
    },
    json: { type: "boolean", description: "print the report as one JSON object" },
  },
  run: async ({ args }) => {
    const { runDemo } = await import("../ops/demo.ts");
    const options = {
      seconds: args.seconds,
      udp: args.udp === true,
      wire: args.wire,
      keep: args.keep === true,
    };
    await stoppable((stop) => runDemo({ ...options, stop }, args.json === true ? jsonReport() : textReport));
    return ExitCode.ok;
  },
});
