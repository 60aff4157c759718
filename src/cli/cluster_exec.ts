/**
 * `kpaxos cluster exec`: a command on a host of a local cluster, also inside an ordinary user's namespaces.
 */
import { CliError, ExitCode } from "../error.ts";
import { commandOn } from "../ops/cluster_place.ts";
import { clusterEnvironment } from "../ops/cluster_roles.ts";
import { CLIENT, clusterArgs, seatOf, stateOf } from "./cluster_common.ts";
import { defineKpaxosCommand } from "./command.ts";

export const execCommand = defineKpaxosCommand({
  meta: {
    name: "exec",
    description: "run a command on the host of a role, or on that for clients",
    examples: [
      {
        command: "kpaxos cluster exec client -- kpaxos run client --outstanding 100 --seconds 5",
        what: "values and figures",
      },
      { command: "kpaxos cluster exec acceptor/0 -- ip -s link show eth0", what: "frames it saw" },
      { command: "kpaxos cluster exec client -- sh", what: "a shell there" },
    ],
    notes: [
      "The command finds `kpaxos` in its PATH and the cluster's paxos.conf by KPAXOS_CONFIG, so that -f is not needed; " +
        "it runs in the present directory. Its exit code becomes that of this command.",
      "On UDP there is one host, this machine.",
    ],
  },
  args: {
    ...clusterArgs,
    role: {
      type: "positional",
      valueHint: "ROLE/ID|client",
      completes: "hosts",
      description: "on whose host",
    },
    command: {
      type: "positional",
      valueHint: "-- COMMAND",
      repeat: true,
      isCommand: true,
      description: "the command and its arguments",
    },
  },
  run: async ({ args }) => {
    const state = stateOf(args);
    const host = args.role === CLIENT ? state.clientHost : seatOf(state, args.role, [CLIENT]).host;
    const env = clusterEnvironment(state);
    const [program] = args.command;
    if (program === undefined || Bun.which(program, { PATH: env.PATH ?? "" }) === null) {
      throw noProgram(program, args.role);
    }
    const child = Bun.spawn(commandOn(state, host, args.command), {
      stdio: ["inherit", "inherit", "inherit"],
      env,
    });
    const onTerminate = (): void => child.kill("SIGTERM");
    // A terminal delivers Ctrl-C to both; without one it is up to us.
    const onInterrupt = (): void => {
      if (process.stdin.isTTY !== true) child.kill("SIGINT");
    };
    process.on("SIGTERM", onTerminate);
    process.on("SIGINT", onInterrupt);
    try {
      return (await child.exited) as ExitCode;
    } finally {
      process.off("SIGTERM", onTerminate);
      process.off("SIGINT", onInterrupt);
    }
  },
});

function noProgram(program: string | undefined, role: string): CliError {
  const how = (command: string): string => `kpaxos cluster exec ${role} -- ${command}`;
  const exitCode = ExitCode.usage;
  if (program === undefined) return new CliError("no command is given", { exitCode, hint: how("COMMAND") });
  const hint = program.includes("/")
    ? "correct its path"
    : `install it, or give its path: ${how(`/PATH/TO/${program}`)}`;
  return new CliError(`there is no program ${program}`, { exitCode, hint });
}
