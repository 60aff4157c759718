/**
 * `kpaxos kv get|put|delete|cas|list`: the replicated key-value store from the shell.
 */
import { CliError, ExitCode } from "../error.ts";
import type { WriteCondition, WriteOutcome } from "../kv/client.ts";
import { standardOutput } from "../streams.ts";
import { defineKpaxosCommand } from "./command.ts";
import { base64, kvClient, kvClients, placeArgs, readArg } from "./kv_common.ts";
import { printJson } from "./output.ts";

const keyArg = { type: "positional", valueHint: "KEY", description: "the key" } as const;
const valueArg = {
  type: "positional",
  valueHint: "VALUE|-",
  description: "the value, or - for standard input",
} as const;
const versionArg = {
  version: { type: "integer", min: 0, description: "only if the key has this version (0: does not exist)" },
} as const;

/** What the other exit codes tell. */
const UNKNOWN = "75: it may have taken effect, or may still";
const UNAVAILABLE = "69: no server answers, or it cannot, and nothing was done";

export const getCommand = defineKpaxosCommand({
  meta: {
    name: "get",
    description: "print the value of a key",
    examples: [
      { command: "kpaxos kv get greeting", what: "its value" },
      {
        command: "kpaxos kv get greeting --read local",
        what: "as this replica has it, without asking anybody",
      },
    ],
    notes: [`Exit code 1: there is no such key; ${UNAVAILABLE}.`],
  },
  args: { key: keyArg, ...readArg, ...placeArgs },
  run: async ({ args }) => {
    const found = await (await kvClient(args)).get(args.key, args.read);
    if (found === undefined) throw new CliError(`no key ${JSON.stringify(args.key)}`);
    if (args.json === true) printJson({ key: args.key, version: found.version, value: base64(found.value) });
    else print(found.value);
  },
});

export const putCommand = defineKpaxosCommand({
  meta: {
    name: "put",
    description: "set a key",
    examples: [
      { command: "kpaxos kv put greeting 'hello, world'", what: "whatever it was" },
      { command: "kpaxos kv put lock me --absent", what: "only if nobody was first" },
      { command: "kpaxos kv put config - < file", what: "bytes from standard input" },
    ],
    notes: [`Exit code 1: the condition did not hold; ${UNKNOWN}; ${UNAVAILABLE}.`],
  },
  args: {
    key: keyArg,
    value: valueArg,
    absent: { type: "boolean", description: "only if the key does not exist" },
    ...versionArg,
    ...placeArgs,
  },
  run: async ({ args }) => {
    if (args.absent === true && args.version !== undefined) {
      throw new CliError("--absent and --version exclude each other", { exitCode: ExitCode.usage });
    }
    const condition: WriteCondition = {
      ...(args.absent === true ? { absent: true } : {}),
      ...(args.version === undefined ? {} : { version: args.version }),
    };
    const value = await givenValue(args.value);
    report(args, await (await kvClient(args)).put(args.key, value, condition), "the condition does not hold");
  },
});

export const deleteCommand = defineKpaxosCommand({
  meta: {
    name: "delete",
    description: "remove a key",
    examples: [{ command: "kpaxos kv delete greeting", what: "remove it" }],
    notes: [`Exit code 1: there was no such key, or the condition did not hold; ${UNKNOWN}; ${UNAVAILABLE}.`],
  },
  args: { key: keyArg, ...versionArg, ...placeArgs },
  run: async ({ args }) => {
    const condition = args.version === undefined ? {} : { version: args.version };
    const outcome = await (await kvClient(args)).delete(args.key, condition);
    report(args, outcome, outcome.version === 0 ? "there is no such key" : "the condition does not hold");
  },
});

export const casCommand = defineKpaxosCommand({
  meta: {
    name: "cas",
    description: "compare and swap: set a key if it has the value expected",
    examples: [{ command: "kpaxos kv cas counter 1 2", what: "2, if it was 1" }],
    notes: [
      `Exit code 1: it has another value, or does not exist; ${UNKNOWN}; ${UNAVAILABLE}. For a key that must not exist: put --absent.`,
    ],
  },
  args: {
    key: keyArg,
    expected: { type: "positional", valueHint: "EXPECTED", description: "the value it must have" },
    value: valueArg,
    ...placeArgs,
  },
  run: async ({ args }) => {
    const expected = new TextEncoder().encode(args.expected);
    const outcome = await (await kvClient(args)).put(args.key, await givenValue(args.value), {
      value: expected,
    });
    report(args, outcome, outcome.version === 0 ? "there is no such key" : "it has another value");
  },
});

export const listCommand = defineKpaxosCommand({
  meta: {
    name: "list",
    description: "list keys",
    examples: [
      { command: "kpaxos kv list", what: "all keys" },
      { command: "kpaxos kv list users/ --values", what: "keys with this beginning, and their values" },
    ],
    notes: [
      `Exit code ${UNAVAILABLE}.`,
      "With groups each group's keys are as of another time: a list is not a snapshot of the whole store.",
    ],
  },
  args: {
    prefix: {
      type: "positional",
      valueHint: "PREFIX",
      required: false,
      description: "what the keys begin with",
    },
    values: { type: "boolean", description: "print the values too, behind a tab" },
    ...readArg,
    ...placeArgs,
  },
  run: async ({ args }) => {
    const lists = (await kvClients(args)).map((client) => client.list(args.prefix ?? "", args.read));
    for await (const { key, version, value } of inOrder(lists)) {
      if (args.json === true) printJson({ key, version, value: base64(value) });
      else standardOutput().write(args.values === true ? `${key}\t${Buffer.from(value)}\n` : `${key}\n`);
    }
  },
});

/** Lists in the order of keys as one; each is read as far as it is needed. */
async function* inOrder<T extends { readonly key: string }>(
  lists: readonly AsyncGenerator<T>[],
): AsyncGenerator<T> {
  const heads = await Promise.all(lists.map(async (list) => await list.next()));
  for (;;) {
    let first = -1;
    for (let i = 0; i < heads.length; i++) {
      const head = heads[i]!;
      if (head.done === true) continue;
      const best = first < 0 ? undefined : heads[first]!;
      if (best === undefined || best.done === true || head.value.key < best.value.key) first = i;
    }
    if (first < 0) return;
    yield heads[first]!.value as T;
    heads[first] = await lists[first]!.next();
  }
}

function report(
  args: { readonly key: string; readonly json: boolean | undefined },
  outcome: WriteOutcome,
  why: string,
): void {
  if (args.json === true) printJson({ key: args.key, ...outcome });
  if (outcome.done) return;
  const at = outcome.version === 0 ? "" : ` (version ${outcome.version})`;
  throw new CliError(`${JSON.stringify(args.key)} was not changed: ${why}${at}`);
}

async function givenValue(text: string): Promise<Uint8Array> {
  return text === "-" ? await Bun.stdin.bytes() : new TextEncoder().encode(text);
}

/** A last line without its end would run into the shell's prompt. */
function print(value: Uint8Array): void {
  const output = standardOutput();
  output.write(value);
  if (output.isTTY === true && value.at(-1) !== 0x0a) output.write("\n");
}
