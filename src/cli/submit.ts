/**
 * `kpaxos submit VALUE|-`: has values chosen from the shell. Exit code 0 says that all of them are.
 */
import { configsOfGroups, groupOfKey } from "../config/groups.ts";
import { asGuest } from "../config/guest.ts";
import { CliError, ExitCode, messageOf } from "../error.ts";
import { drawId } from "../node/identity.ts";
import { Process } from "../node/process.ts";
import { Role } from "../protocol/types.ts";
import { usageError } from "./args.ts";
import { defineKpaxosCommand } from "./command.ts";
import { printJson } from "./output.ts";
import { memberOf, placeIn, proposerArg, roleArgs, start, startAll } from "./run_common.ts";
import { stoppable } from "./stoppable.ts";
import { Submission } from "./submission.ts";

const TAB = 0x09;

export const submitCommand = defineKpaxosCommand({
  meta: {
    name: "submit",
    description: "have values chosen, and exit 0 once they are",
    examples: [
      { command: "kpaxos submit 'hello, world'", what: "one value" },
      { command: "seq 1000 | kpaxos submit -", what: "one value a line, in order" },
      { command: "kpaxos submit --hex 00ff10", what: "bytes" },
      { command: "kpaxos submit --key user/17 'hello'", what: "with groups: to the group of this key" },
      {
        command: "kpaxos submit --keyed - < pairs.tsv",
        what: "with groups: each line to the group of its key",
      },
      { command: "kpaxos submit --whole - < image.png", what: "a whole file as one value" },
    ],
    notes: [
      "Exit code 75: a value was sent, was not confirmed in time, and may still be chosen; 69: it was not sent. Where - finds no line it warns, and exits with 0. Ended by SIGINT or SIGTERM it exits with 130 or 143, and says how many values are chosen, and how many may still be.",
    ],
  },
  args: {
    value: {
      type: "positional",
      valueHint: "VALUE|-",
      description: "the value, or - for one value a line on standard input",
    },
    hex: { type: "boolean", description: "values are hex digits" },
    key: {
      type: "string",
      valueHint: "KEY",
      description:
        "what the values are about: with groups it says which group they go to; all of one key keep their order",
    },
    keyed: {
      type: "boolean",
      description: "with -: each line is a key, a tab and a value, which goes to the group of that key",
    },
    whole: { type: "boolean", description: "with -: all of standard input is one value, as it is" },
    ...proposerArg,
    timeout: {
      type: "number",
      min: 0.1,
      default: 10,
      description: "give up after so many seconds without progress",
    },
    confirm: { type: "boolean", description: "print N as soon as the first N values are chosen" },
    json: { type: "boolean", description: 'print {"values":N} at the end' },
    ...roleArgs,
  },
  run: async ({ args }) => {
    refuseContradictions(args);
    const started = args.keyed === true ? startAll(args, "submit") : start(args, "submit");
    const { config, log } = { ...started, config: asGuest(started.config) };
    const proposer = args["proposer-id"];
    if (proposer !== undefined) memberOf(config.proposers, proposer, "proposer", config, "--proposer-id");
    const parse =
      args.hex === true ? (line: Uint8Array) => fromHex(toText(line)) : (line: Uint8Array) => line;
    const submission = new Submission(args.timeout * 1_000_000, args.confirm === true);
    const [first, ...others] = configsOfGroups(config).map((group) => placeIn(group, "submit", undefined));
    const id = drawId();
    const roles = { listens: Role.client | Role.learner, owns: 0, handlesSignals: false };
    const options = { ...first!, others, wholeLog: log, id, ...roles };
    const process = new Process(options, (context) => submission.build(context, proposer));
    submission.attach(process);
    const input = Bun.stdin.stream();
    const { settings } = config;
    const take = (line: Uint8Array): void => {
      if (args.keyed !== true) return submission.add(parse(line));
      const [key, value] = keyAndValue(line);
      submission.add(parse(value), groupOfKey(key, settings.groups));
    };
    const fed =
      args.value !== "-"
        ? submission.give(parse(fromText(args.value)))
        : args.whole === true
          ? submission.giveAll(input)
          : submission.feed(input, take);
    fed.catch((error: unknown) => submission.abort(error));
    await stoppable(async (stop) => {
      stop.addEventListener("abort", () => process.stop());
      // Whoever ends it waits for no more input.
      await process.run();
      if (args.json === true) printJson({ values: submission.chosen });
      if (!stop.aborted || submission.isDone) {
        submission.check();
        if (submission.given === 0) log.warn("nothing was submitted: standard input was empty");
        return;
      }
      log.error(submission.interrupted(messageOf(stop.reason)));
      stop.throwIfAborted();
    });
  },
});

function refuseContradictions(args: {
  readonly value: string;
  readonly key: string | undefined;
  readonly keyed: boolean | undefined;
  readonly group: number | undefined;
  readonly whole: boolean | undefined;
}): void {
  const whose = [
    args.key === undefined ? "" : "--key",
    args.keyed === true ? "--keyed" : "",
    args.group === undefined ? "" : "--group",
  ].filter((flag) => flag !== "");
  if (whose.length > 1) throw usageError(`${whose.join(" and ")} exclude each other`, "give one of them");
  if (args.keyed !== true) return;
  if (args.value !== "-" || args.whole === true)
    throw usageError("--keyed is for lines", "kpaxos submit --keyed -");
}

function keyAndValue(line: Uint8Array): [key: Uint8Array, value: Uint8Array] {
  const tab = line.indexOf(TAB);
  if (tab >= 0) return [line.subarray(0, tab), line.subarray(tab + 1)];
  throw usageError(
    `${JSON.stringify(toText(line).slice(0, 40))} has no tab`,
    "with --keyed a line is a key, a tab and a value",
  );
}

function fromText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function toText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function fromHex(text: string): Uint8Array {
  const digits = text.trim();
  if (digits.length % 2 === 0 && /^[0-9a-f]*$/i.test(digits))
    return Uint8Array.from(Buffer.from(digits, "hex"));
  throw new CliError(`${JSON.stringify(text.slice(0, 40))} is not hex`, {
    exitCode: ExitCode.usage,
    hint: "an even number of hex digits, or leave --hex out",
  });
}
