/**
 * The command tree. Every subcommand is a module of its own, loaded only when it is used: start-up is paid for by
 * the command that needs it.
 */
import { defineKpaxosCommand, type KpaxosCommand } from "./command.ts";

export const rootCommand: KpaxosCommand = defineKpaxosCommand({
  meta: {
    name: "kpaxos",
    description: "a replicated log with Paxos, over raw Ethernet frames or UDP",
    examples: [
      { command: "kpaxos demo", what: "a whole cluster on this machine, under load" },
      { command: "kpaxos cluster up", what: "a cluster on this machine, to work with" },
      { command: "kpaxos run learner --id 0 -f paxos.conf", what: "one role of a cluster" },
      { command: "kpaxos config check -f paxos.conf", what: "is the configuration right?" },
      { command: "kpaxos frame decode --ethertype 0xcaff 0000000100000005", what: "what does a frame say?" },
    ],
  },
  args: {
    version: { type: "boolean", alias: "V", description: "print version, runtime and platform" },
    json: { type: "boolean", description: "with --version: as JSON" },
  },
  subCommands: {
    run: {
      description: "run one role of a cluster, or a client",
      load: async () => (await import("./run.ts")).runCommand,
    },
    tail: {
      description: "print the values that a learner of this host delivers",
      load: async () => (await import("./tail.ts")).tailCommand,
    },
    submit: {
      description: "have values chosen, and exit 0 once they are",
      load: async () => (await import("./submit.ts")).submitCommand,
    },
    status: {
      description: "ask a cluster how it is: who leads, what each acceptor holds, who is silent",
      load: async () => (await import("./status.ts")).statusCommand,
    },
    config: {
      description: "check a paxos.conf, show the effective configuration",
      load: async () => (await import("./config.ts")).configCommand,
    },
    frame: {
      description: "decode and encode frames",
      load: async () => (await import("./frame.ts")).frameCommand,
    },
    kv: {
      description: "a replicated key-value store",
      load: async () => (await import("./kv.ts")).kvCommand,
    },
    key: {
      description: "make and rotate the key of a cluster",
      load: async () => (await import("./key.ts")).keyCommand,
    },
    cluster: {
      description: "local clusters of real processes",
      load: async () => (await import("./cluster.ts")).clusterCommand,
    },
    demo: {
      description: "a local cluster under load, from start to end",
      load: async () => (await import("./demo.ts")).demoCommand,
    },
    bench: {
      description: "measure clusters: throughput, latency, processor time, frames",
      load: async () => (await import("./bench.ts")).benchCommand,
    },
    sim: {
      description: "simulate clusters in which things go wrong",
      load: async () => (await import("./sim.ts")).simCommand,
    },
    completion: {
      description: "print a completion script for bash, zsh or fish",
      load: async () => (await import("./completion.ts")).completionCommand(rootCommand),
    },
  },
  run: async ({ args }) => {
    const { usageError } = await import("./args.ts");
    if (args.version !== true) throw usageError("no command given", "kpaxos --help lists the commands");
    const { printVersion } = await import("./version.ts");
    printVersion(args.json === true);
  },
});
