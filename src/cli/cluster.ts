/**
 * `kpaxos cluster`: local clusters of real processes, in one command.
 */
import { defineKpaxosCommand } from "./command.ts";

export const clusterCommand = defineKpaxosCommand({
  meta: {
    name: "cluster",
    description: "local clusters of real processes, each role on a host of its own",
    examples: [
      {
        command: "kpaxos cluster up",
        what: "3 acceptors, a proposer, a learner, on raw Ethernet if possible",
      },
      { command: "kpaxos cluster exec client -- kpaxos run client --seconds 5", what: "send values to it" },
      { command: "kpaxos cluster kill acceptor/1", what: "see that it goes on" },
      { command: "kpaxos cluster down", what: "leave nothing behind" },
    ],
    notes: [
      "Each role runs in a network namespace of its own, with its own MAC on a bridge that nobody else sees: for root, " +
        "and for ordinary users where the kernel lets them have user namespaces. Elsewhere the roles talk UDP on " +
        "127.0.0.1; `up` says which, and why.",
      "A cluster goes on after the command that started it, until `kpaxos cluster down` or the end of the machine. Its " +
        "paxos.conf and logs are in its directory, which `up` and `status` print.",
    ],
  },
  subCommands: {
    up: {
      description: "start a cluster and wait until it is ready",
      load: async () => (await import("./cluster_up.ts")).upCommand,
    },
    down: {
      description: "end a cluster and remove everything of it",
      load: async () => (await import("./cluster_up.ts")).downCommand,
    },
    status: {
      description: "its roles: which run, where, since when, and their last trouble",
      load: async () => (await import("./cluster_status.ts")).statusCommand,
    },
    list: {
      description: "the clusters of this user",
      load: async () => (await import("./cluster_status.ts")).listCommand,
    },
    logs: {
      description: "what its roles log",
      load: async () => (await import("./cluster_status.ts")).logsCommand,
    },
    kill: {
      description: "send a signal to a role",
      load: async () => (await import("./cluster_roles.ts")).killCommand,
    },
    start: {
      description: "start roles that have ended",
      load: async () => (await import("./cluster_roles.ts")).startCommand,
    },
    add: {
      description: "add a learner, or a user-learner beside one",
      load: async () => (await import("./cluster_roles.ts")).addCommand,
    },
    exec: {
      description: "run a command on the host of a role, or on that for clients",
      load: async () => (await import("./cluster_exec.ts")).execCommand,
    },
  },
});
