/**
 * `kpaxos tail`: what a learner of this host delivers, a line each, read from its socket.
 */
import type { Config } from "../config/config.ts";
import { learnerSocket } from "../delivery/deliveries.ts";
import type { StartAt } from "../delivery/log_record.ts";
import { Outflow } from "../delivery/outflow.ts";
import { parsePosition, range } from "../delivery/position.ts";
import { SocketReader } from "../delivery/socket_reader.ts";
import { type ValueForm, valueLine } from "../delivery/value_text.ts";
import { CliError, ExitCode } from "../error.ts";
import { standardError } from "../streams.ts";
import { type ArgsDef, type ArgValues, defineKpaxosCommand } from "./command.ts";
import { groupArg, startAll } from "./run_common.ts";
import { fileArg, settingArgs } from "./settings.ts";

/** Output that waits for its reader; above it the learner keeps what follows, as long as its log reaches. */
const FLUSH_CHARACTERS = 1 << 15;

const tailArgs = {
  id: {
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    default: 0,
    lookedForAs: ["learner", "replica", "device"],
    description: "the learner (or replica) whose values are printed",
  },
  from: {
    type: "string",
    default: "present",
    valueHint: "present|oldest|IID[.INDEX]",
    completes: async () => ["present", "oldest"],
    description: "where to begin",
  },
  text: {
    type: "boolean",
    description: "position and value; 0x and hex where it is no plain text (the default)",
  },
  hex: { type: "boolean", description: "position and value in hex" },
  json: { type: "boolean", description: "one JSON object a value, with the value in hex" },
  raw: {
    type: "boolean",
    description: "Kernel_Paxos wire: the whole record of the client, not only the value in it",
  },
  count: { type: "integer", alias: "n", min: 1, valueHint: "N", description: "end after so many values" },
  ...groupArg,
  ...fileArg,
  ...settingArgs,
} as const satisfies ArgsDef;

export const tailCommand = defineKpaxosCommand({
  meta: {
    name: "tail",
    description: "print the values that a learner of this host delivers",
    examples: [
      { command: "kpaxos tail", what: "learner 0, from now on" },
      { command: "kpaxos tail --from oldest --count 10", what: "the oldest ten that it still has" },
      { command: "kpaxos tail --id 2 --from 5000.0 --json", what: "from a position on, for a program" },
    ],
    notes: [
      "It waits for a learner that does not run, and goes on where it was when one that ended comes back. Values that cannot be had any more are named on standard error.",
    ],
  },
  args: tailArgs,
  run: async ({ args }) => await tail(args),
});

async function tail(args: ArgValues<typeof tailArgs>): Promise<ExitCode> {
  const from = startOf(args.from);
  const form = formOf(args);
  const { config, log } = startAll(args, "tail");
  const unwrap = config.settings.wire === "kernel-paxos" && args.raw !== true;
  const limit = args.count ?? Number.POSITIVE_INFINITY;
  return await new Promise<ExitCode>((resolve) => {
    let text = "";
    let count = 0;
    const out = new Outflow(() => reader.resume());
    const flush = (): void => {
      if (text === "") return;
      out.write(text);
      text = "";
      if (out.isFull) reader.pause();
    };
    const end = (): void => {
      reader.close();
      flush();
      process.off("SIGINT", end);
      process.off("SIGTERM", end);
      resolve(ExitCode.ok);
    };
    const reader = new SocketReader(
      () => learnerSocket(config, args.id, args.group),
      {
        onWelcome: () => log.info(`reads ${reader.path}`),
        onGone: (reason) => log.warn(`${reader.path}: ${reason}; waiting for ${awaited(config, args.id)}`),
        onValue: (iid, index, _isLast, session, sequence, bytes, offset, length) => {
          if (count >= limit) return;
          // What one piece of the stream brought is written together.
          if (text === "") setImmediate(flush);
          text += valueLine(form, unwrap, iid, index, session, sequence, bytes, offset, length);
          if (text.length >= FLUSH_CHARACTERS) flush();
          if (++count === limit) end();
        },
        onMissed: (...positions) => {
          flush();
          standardError().write(`missed ${range(...positions)}\n`);
        },
      },
      { from },
    );
    process.on("SIGINT", end);
    process.on("SIGTERM", end);
    reader.start();
  });
}

/** One without a line in the configuration may run all the same, over Ethernet; more likely another one is meant. */
function awaited({ learners, file }: Config, id: number): string {
  if (learners.length === 0 || learners.some((one) => one.id === id)) return `learner ${id}`;
  return `learner ${id} (${file} has learner ${learners.map((one) => one.id).join(", ")})`;
}

function startOf(text: string): StartAt {
  if (text === "present" || text === "oldest") return text;
  const position = parsePosition(text);
  if (position !== undefined) return position;
  throw new CliError(`--from ${text} is no position`, {
    exitCode: ExitCode.usage,
    hint: "write present, oldest, an instance (5000) or a value in it (5000.3)",
  });
}

function formOf(args: ArgValues<typeof tailArgs>): ValueForm {
  const given = (["text", "hex", "json"] as const).filter((form) => args[form] === true);
  if (given.length <= 1) return given[0] ?? "text";
  throw new CliError(`--${given.join(" and --")} exclude each other`, { exitCode: ExitCode.usage });
}
