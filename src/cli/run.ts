/**
 * `kpaxos run ROLE`: one process of a cluster.
 */
import { defineKpaxosCommand } from "./command.ts";

export const runCommand = defineKpaxosCommand({
  meta: {
    name: "run",
    description: "run one role of a cluster, or a client",
    examples: [
      { command: "kpaxos run acceptor --id 0 -f paxos.conf", what: "an acceptor" },
      { command: "kpaxos run learner -f paxos.conf --print", what: "a learner that prints what it delivers" },
      { command: "kpaxos run client --outstanding 10 --seconds 5", what: "a client that measures" },
    ],
    notes: ["Roles may be started in any order. SIGINT and SIGTERM end them cleanly."],
  },
  subCommands: {
    acceptor: {
      description: "promise and accept: the memory of the cluster",
      load: async () => (await import("./run_roles.ts")).acceptorCommand,
    },
    proposer: {
      description: "take client values and have them chosen",
      load: async () => (await import("./run_roles.ts")).proposerCommand,
    },
    learner: {
      description: "deliver what is chosen, in order, to the applications of this host",
      load: async () => (await import("./run_roles.ts")).learnerCommand,
    },
    replica: {
      description: "acceptor, proposer and learner in one process",
      load: async () => (await import("./run_roles.ts")).replicaCommand,
    },
    client: {
      description: "submit values and measure",
      load: async () => (await import("./run_client.ts")).clientCommand,
    },
    "user-learner": {
      description: "serve remote clients from a local learner's device",
      load: async () => (await import("./run_user_learner.ts")).userLearnerCommand,
    },
  },
});
