/**
 * `kpaxos key`: makes the file that `cluster-key` names, and takes it through a rotation. Prints keys only where they are
 * asked for (`key new` without a file); everything else speaks of fingerprints.
 */
import {
  fingerprint,
  newKeyLine,
  parseKeys,
  readKeyFile,
  readKeyText,
  withKeyAdded,
  withKeyDropped,
  withKeyPromoted,
  writeKeyFile,
} from "../node/key_file.ts";
import { standardError, standardOutput } from "../streams.ts";
import { usageError } from "./args.ts";
import { defineKpaxosCommand, type KpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";

const ROTATION = [
  "A rotation, without a pause: key add on one host and copy the file to all; restart every process, one after the " +
    "other. Then key promote, copy, restart all. Then key drop, copy, restart all. See docs/security.md.",
] as const;

const fileArg = { type: "positional", valueHint: "FILE", description: "the key file" } as const;
const json = { type: "boolean", description: "one JSON object on standard output" } as const;

const newCommand = defineKpaxosCommand({
  meta: {
    name: "new",
    description: "make a key",
    examples: [
      { command: "kpaxos key new cluster.key", what: "a key file that only its owner can read" },
      { command: "kpaxos key new", what: "the line of a key file, on standard output" },
    ],
    notes: [
      "Every host of the cluster gets the same file. Then paxos.conf names it: cluster-key cluster.key",
    ],
  },
  args: {
    force: { type: "boolean", description: "replace a file that is there: its key is lost" },
    file: { ...fileArg, required: false },
  },
  run: ({ args }) => {
    const line = newKeyLine();
    if (args.file === undefined) {
      if (args.force === true) throw usageError("--force without a file", "name the file to replace");
      standardOutput().write(line);
      return;
    }
    refuseEmpty("new", args.file);
    writeKeyFile(args.file, line, args.force === true);
    say(args.file, line);
  },
});

const showCommand = defineKpaxosCommand({
  meta: {
    name: "show",
    description: "which keys a file holds, by their fingerprints",
    examples: [{ command: "kpaxos key show cluster.key", what: "the same on every host?" }],
    notes: ["A fingerprint is the beginning of the key's SHA-256: safe to show and to compare."],
  },
  args: { json, file: fileArg },
  run: ({ args }) => {
    refuseEmpty("show", args.file);
    const keys = readKeyFile(args.file);
    if (args.json === true) {
      const list = keys.map((key, i) => ({ fingerprint: fingerprint(key), use: useOf(i) }));
      printJson({ file: args.file, keys: list });
      return;
    }
    for (const [i, key] of keys.entries()) print(`${fingerprint(key)}  ${useOf(i)}`);
  },
});

/** A variable of the shell that is not set. */
function refuseEmpty(step: string, path: string): void {
  if (path === "")
    throw usageError("the name of the key file is empty", `name it: kpaxos key ${step} cluster.key`);
}

function useOf(index: number): string {
  return index === 0 ? "signs" : "accepted";
}

function edit(
  name: string,
  description: string,
  what: string,
  change: (text: string, path: string) => string,
): KpaxosCommand {
  return defineKpaxosCommand({
    meta: {
      name,
      description,
      examples: [{ command: `kpaxos key ${name} cluster.key`, what }],
      notes: ROTATION,
    },
    args: { file: fileArg },
    run: ({ args }) => {
      refuseEmpty(name, args.file);
      const text = change(readKeyText(args.file), args.file);
      writeKeyFile(args.file, text, true);
      say(args.file, text);
    },
  });
}

export const keyCommand: KpaxosCommand = defineKpaxosCommand({
  meta: {
    name: "key",
    description: "make and rotate the key of a cluster",
    examples: [
      { command: "kpaxos key new cluster.key", what: "then, in paxos.conf: cluster-key cluster.key" },
      { command: "kpaxos key show cluster.key", what: "fingerprints, to compare hosts" },
    ],
    notes: ROTATION,
  },
  subCommands: {
    new: newCommand,
    show: showCommand,
    add: edit("add", "add a second key, which is accepted", "the first step of a rotation", withKeyAdded),
    promote: edit("promote", "let the second key sign", "the second step", withKeyPromoted),
    drop: edit("drop", "remove the second key", "the last step", withKeyDropped),
  },
});

function say(path: string, text: string): void {
  const keys = parseKeys(text, path).map((key, i) => `${fingerprint(key)} ${useOf(i)}`);
  standardError().write(`${path}: ${keys.join(", ")}\n`);
}
