/**
 * `kpaxos cluster kill|start|add`: what is done to the roles of a running cluster.
 */
import { readConfig } from "../config/read.ts";
import { CliError, ExitCode } from "../error.ts";
import { addLearner, addUserLearner, killSeat, restartSeats } from "../ops/cluster.ts";
import { configPath } from "../ops/cluster_roles.ts";
import { type ClusterState, groupsOf, nameOf, type SeatState } from "../ops/cluster_state.ts";
import { isAlive } from "../ops/process_id.ts";
import { standardError } from "../streams.ts";
import { clientLine, clusterArgs, seatOf, withState } from "./cluster_common.ts";
import { defineKpaxosCommand } from "./command.ts";
import { print } from "./output.ts";
import { stoppable } from "./stoppable.ts";

const SIGNALS = ["KILL", "TERM", "INT", "STOP", "CONT"] as const;
const FORMS = SIGNALS.flatMap((name) => [name, `SIG${name}`]);

const FORGOT =
  "back with an empty memory: it votes again when it has recovered what the others hold (storage-backend sqlite or log keeps it)";
const FORGOT_AND_VOTES =
  "back with an empty memory: it votes all the same, and may contradict what it said before (storage-backend sqlite or log keeps it)";

export const killCommand = defineKpaxosCommand({
  meta: {
    name: "kill",
    description: "send a signal to a role",
    examples: [
      { command: "kpaxos cluster kill acceptor/1", what: "it crashes: SIGKILL" },
      { command: "kpaxos cluster kill learner/0 --signal TERM", what: "it ends in order" },
      { command: "kpaxos cluster kill proposer/0 --signal STOP", what: "it hangs, until --signal CONT" },
    ],
  },
  args: {
    ...clusterArgs,
    role: { type: "positional", valueHint: "ROLE/ID", completes: "roles", description: "which role" },
    signal: {
      type: "enum",
      alias: "s",
      options: FORMS,
      valueHint: SIGNALS.join("|"),
      default: "KILL",
      description: "the signal",
    },
  },
  run: async ({ args }) =>
    await withState(args, async (state) => {
      const seat = seatOf(state, args.role);
      const signal = `SIG${args.signal.replace(/^SIG/, "")}` as NodeJS.Signals;
      const ended = await killSeat(seat, signal);
      print(`${nameOf(seat)}: ${signal}${ended ? ", it has ended" : ""}`);
    }),
});

export const startCommand = defineKpaxosCommand({
  meta: {
    name: "start",
    description: "start roles that have ended",
    examples: [
      { command: "kpaxos cluster start acceptor/1", what: "one of them" },
      { command: "kpaxos cluster start", what: "all that do not run" },
    ],
    notes: [
      "An acceptor or replica in memory comes back with nothing, and votes again when it has recovered what a majority " +
        "of the others holds. Where a majority has forgotten, nobody votes: start anew with cluster up --replace.",
    ],
  },
  args: {
    ...clusterArgs,
    role: {
      type: "positional",
      valueHint: "ROLE/ID",
      completes: "roles",
      required: false,
      description: "only this role",
    },
  },
  run: async ({ args }) =>
    await stoppable((stop) =>
      withState(args, async (state) => {
        const seats =
          args.role === undefined
            ? state.seats.filter((seat) => !isAlive(seat.process))
            : [seatOf(state, args.role)];
        await restartSeats(state, seats, { stop });
        sayWhoForgot(state, seats);
        for (const seat of seats) print(`${nameOf(seat)}: ready, pid ${seat.process?.pid}`);
        if (seats.length === 0) print(`every role of cluster ${state.name} runs`);
      }),
    ),
});

function sayWhoForgot(state: ClusterState, seats: readonly SeatState[]): void {
  // As the roles read it, which hear of no variable of this process.
  const { settings } = readConfig(configPath(state), { env: {} });
  if (settings.storageBackend !== "memory" && !settings.acceptorTrashFiles) return;
  const forgetful = seats.filter(({ role }) => role === "acceptor" || role === "replica").map(nameOf);
  const what = settings.wire === "native" ? FORGOT : FORGOT_AND_VOTES;
  if (forgetful.length > 0) standardError().write(`${forgetful.join(", ")}: ${what}\n`);
}

/** The learner or replica beside which a user-learner runs. */
function besideOf(state: ClusterState, word: string | undefined): SeatState {
  const delivers = ({ role }: SeatState): boolean => role === "learner" || role === "replica";
  const seat = word === undefined ? state.seats.find(delivers) : seatOf(state, word);
  if (seat !== undefined && delivers(seat) && (groupsOf(state) === 1 || seat.group !== undefined))
    return seat;
  if (seat !== undefined && delivers(seat)) {
    throw new CliError(`${nameOf(seat)} is of all groups, and sessions are of one`, {
      exitCode: ExitCode.usage,
      hint: "a user-learner reads the device of one group's learner or replica: --beside learner/0@0",
    });
  }
  const message =
    seat === undefined ? `cluster ${state.name} has no learner` : `${nameOf(seat)} has no delivery device`;
  throw new CliError(message, {
    exitCode: ExitCode.usage,
    hint: "a user-learner reads a learner's or replica's device: --beside learner/0",
  });
}

export const addCommand = defineKpaxosCommand({
  meta: {
    name: "add",
    description: "add a learner, or a user-learner beside one",
    examples: [
      { command: "kpaxos cluster add learner", what: "a new host with a learner; nothing is restarted" },
      { command: "kpaxos cluster add user-learner --beside learner/0", what: "for clients on other hosts" },
    ],
    notes: [
      "A learner needs no line in paxos.conf. It gets what is chosen from now on, and all from the beginning where the " +
        "cluster was started with --learner-catch-up.",
    ],
  },
  args: {
    ...clusterArgs,
    what: { type: "positional", options: ["learner", "user-learner"], description: "what to add" },
    beside: {
      type: "string",
      valueHint: "ROLE/ID",
      completes: "roles",
      description: "user-learner: the learner or replica it reads from (unless given: the first)",
    },
  },
  run: async ({ args }) =>
    await stoppable((stop) =>
      withState(args, async (state) => {
        if (args.what === "learner") {
          if (args.beside !== undefined) {
            throw new CliError("--beside is for a user-learner", {
              exitCode: ExitCode.usage,
              hint: "a new learner gets a host of its own",
            });
          }
          const seat = await addLearner(state, { stop });
          print(`${nameOf(seat)}: ready, pid ${seat.process?.pid} ${seat.address}`.trimEnd());
          return;
        }
        const seat = await addUserLearner(state, besideOf(state, args.beside), { stop });
        print(`${nameOf(seat)}: ready, pid ${seat.process?.pid} ${seat.address}`);
        print("a client that it serves:");
        const group = seat.group === undefined ? [] : ["--group", `${seat.group}`];
        print(`  ${clientLine(state, [...group, "--learner", seat.address])}`);
      }),
    ),
});
