/**
 * `kpaxos frame decode|encode`: shows and makes single frames of either wire. A frame that is refused is an answer, not
 * a crash: the others are still read, and the exit code says that one was refused.
 */
import { createInterface } from "node:readline";
import { ExitCode } from "../error.ts";
import { KERNEL_PAXOS_FIRST } from "../net/ethertypes.ts";
import { standardError } from "../streams.ts";
import { nearest } from "../text/nearest.ts";
import {
  type EncodeOptions,
  type FrameFields,
  formatEtherType,
  formatHex,
  type Refusal,
} from "../wire/frame_fields.ts";
import {
  type DecodeOptions,
  decodeHex,
  encodeFields,
  formatMessage,
  parseEtherType,
  parseFields,
} from "../wire/frame_text.ts";
import { MESSAGE_NAMES } from "../wire/kernel_paxos_message.ts";
import { usageError } from "./args.ts";
import { defineKpaxosCommand, type KpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";

const WIRES = ["native", "kernel-paxos"] as const;

/** Flags of `encode` that are fields of a message, and the fields' names. */
const FIELD_FLAGS = {
  aid: "aid",
  iid: "iid",
  "promise-iid": "promiseIid",
  ballot: "ballot",
  "value-ballot": "valueBallot",
  from: "from",
  to: "to",
  "trim-iid": "trimIid",
} as const;

const numberArg = (description: string) => ({ type: "integer", description, min: 0 }) as const;

const decodeCommand = defineKpaxosCommand({
  meta: {
    name: "decode",
    description: "show what a frame says",
    examples: [
      {
        command: "kpaxos frame decode --ethertype 0xcafc 00000001000000000000000a000000026869",
        what: "an accept of the Kernel_Paxos wire",
      },
      { command: "kpaxos frame decode --udp --json - < datagrams.txt", what: "datagrams, one in hex a line" },
    ],
    notes: [
      `EtherTypes of the Kernel_Paxos wire: ${MESSAGE_NAMES.map((name, i) => `${formatEtherType(KERNEL_PAXOS_FIRST + i)} ${name}`).join(", ")}.`,
      "A payload that the wire refuses prints an error (with --json on standard output) and makes the exit code 1.",
    ],
  },
  args: {
    wire: {
      type: "enum",
      options: WIRES,
      description: "whose frames; by default what --ethertype, --frame or --udp say, else native",
    },
    ethertype: { type: "string", valueHint: "E", description: "EtherType of the frame: 0xcafc, or decimal" },
    udp: { type: "boolean", description: "datagrams; of the Kernel_Paxos wire unless --wire says otherwise" },
    frame: { type: "boolean", description: "whole Ethernet frames: 14 bytes of header, then the payload" },
    "cluster-key": {
      type: "string",
      valueHint: "FILE",
      description: "the key file of the cluster whose frames they are (native wire)",
    },
    json: { type: "boolean", description: "one JSON object a line" },
    hex: {
      type: "positional",
      valueHint: "HEX|-",
      default: "-",
      description: "a payload in hex; - reads one a line from standard input",
    },
  },
  run: async ({ args }) => {
    const options = { ...decodeOptions(args), keys: await keysOf(args) };
    const json = args.json === true;
    return await eachLine(args.hex, json, async (line, refuse) => {
      const frame = await decodeHex(line, options);
      if ("error" in frame) {
        refuse(frame);
        return;
      }
      const notes = frame.notes.length === 0 ? "" : `  (${frame.notes.join("; ")})`;
      for (const message of frame.messages) {
        if (json) printJson(message);
        else print(`${formatMessage(message)}${notes}`);
      }
    });
  },
});

async function keysOf(args: {
  readonly wire: string | undefined;
  readonly "cluster-key": string | undefined;
}): Promise<Uint8Array[]> {
  const path = args["cluster-key"];
  if (path === undefined) return [];
  if (args.wire === "kernel-paxos")
    throw usageError("frames of the Kernel_Paxos wire have no MAC", "leave --cluster-key away");
  const { readKeyFile } = await import("../node/key_file.ts");
  return readKeyFile(path);
}

function decodeOptions(args: {
  readonly wire: (typeof WIRES)[number] | string | undefined;
  readonly ethertype: string | undefined;
  readonly udp: boolean | undefined;
  readonly frame: boolean | undefined;
}): DecodeOptions {
  const udp = args.udp === true;
  const frame = args.frame === true;
  const wire = WIRES.find((name) => name === args.wire);
  const etherType = args.ethertype === undefined ? undefined : parseEtherType(args.ethertype);
  if (args.ethertype !== undefined && etherType === undefined) {
    throw usageError(`--ethertype expects a number up to 0xffff, got "${args.ethertype}"`, "write 0xcafc");
  }
  if (udp && (frame || etherType !== undefined)) {
    throw usageError("a datagram has no EtherType", "give either --udp or --ethertype or --frame");
  }
  if (frame && etherType !== undefined) {
    throw usageError("--frame reads the EtherType from the header", "leave --ethertype away");
  }
  if (wire === "kernel-paxos" && !udp && !frame && etherType === undefined) {
    throw usageError(
      "in the Kernel_Paxos wire the EtherType says which message it is",
      "add --ethertype (0xcafa to 0xcb05), or --frame if the hex begins with the Ethernet header, or --udp",
    );
  }
  return { wire, etherType, udp, frame };
}

const encodeCommand = defineKpaxosCommand({
  meta: {
    name: "encode",
    description: "make a frame; prints its payload in hex",
    examples: [
      {
        command: "kpaxos frame encode --wire kernel-paxos accept --iid 1 --ballot 10 --text hi",
        what: "an accept of the Kernel_Paxos wire",
      },
      {
        command: "kpaxos frame encode --wire kernel-paxos - < messages.json",
        what: "one JSON object a line, as frame decode --json prints them",
      },
    ],
    notes: [`Messages of the Kernel_Paxos wire: ${MESSAGE_NAMES.join(", ")}.`],
  },
  args: {
    wire: { type: "enum", options: WIRES, description: "whose frame; native unless --udp or --cut is given" },
    udp: { type: "boolean", description: "the datagram form" },
    cut: {
      type: "boolean",
      description: "without its last 4 bytes, as Kernel_Paxos sends accept and accepted",
    },
    json: { type: "boolean", description: "print EtherType and payload as JSON" },
    aid: numberArg("acceptor id"),
    iid: numberArg("instance"),
    "promise-iid": numberArg("instance whose promise rides along (0: none)"),
    ballot: numberArg("ballot"),
    "value-ballot": numberArg("ballot at which the value was accepted"),
    from: numberArg("first instance of a repeat"),
    to: numberArg("last instance of a repeat"),
    "trim-iid": numberArg("instance up to which the acceptor has trimmed"),
    value: { type: "string", valueHint: "HEX", description: "the value, in hex" },
    text: { type: "string", valueHint: "TEXT", description: "the value, as text" },
    message: {
      type: "positional",
      valueHint: "MESSAGE|-",
      default: "-",
      description: "name of the message; - reads one JSON object a line from standard input",
    },
  },
  run: async ({ args }) => {
    const lone = args.udp === true || args.cut === true;
    const wire = WIRES.find((name) => name === args.wire) ?? (lone ? "kernel-paxos" : "native");
    const options: EncodeOptions = { wire, udp: args.udp === true, cut: args.cut === true };
    const json = args.json === true;
    const given: Record<string, string | number> = {};
    for (const [flag, field] of Object.entries(FIELD_FLAGS)) {
      const value = args[flag as keyof typeof FIELD_FLAGS];
      if (value !== undefined) given[field] = value;
    }
    if (args.value !== undefined && args.text !== undefined) {
      throw usageError("--value and --text both give the value", "give one of them");
    }
    if (args.value !== undefined) given.value = args.value;
    if (args.text !== undefined) given.value = formatHex(new TextEncoder().encode(args.text));
    await checkMessage(args.message, wire, Object.keys(given));
    return await eachLine(args.message, json, async (line, refuse) => {
      const fields: FrameFields | Refusal =
        args.message === "-" ? parseFields(line) : { message: line, ...given };
      const frame = isRefusal(fields) ? fields : await encodeFields(fields, options);
      if (isRefusal(frame)) {
        refuse(frame);
        return;
      }
      for (const note of frame.notes) standardError().write(`warning: ${note}\n`);
      const payload = formatHex(frame.payload);
      if (!json) print(payload);
      else if (frame.etherType === undefined) printJson({ payload });
      else printJson({ etherType: formatEtherType(frame.etherType), payload });
    });
  },
});

async function checkMessage(message: string, wire: string, given: readonly string[]): Promise<void> {
  if (message === "-") {
    if (given.length > 0)
      throw usageError(`${given[0]} belongs to a message`, "name the message, or put it into the JSON");
    return;
  }
  if (message.trimStart().startsWith("{"))
    throw usageError("JSON is read from standard input", `printf '%s' '{…}' | kpaxos frame encode`);
  const isNative = wire !== "kernel-paxos";
  const names: readonly string[] = isNative
    ? Object.keys((await import("../wire/native_layout.ts")).NATIVE_MESSAGES)
    : MESSAGE_NAMES;
  if (names.includes(message)) return;
  const near = nearest(message, names);
  throw usageError(
    `the ${isNative ? "native" : "Kernel_Paxos"} wire has no message "${message}"`,
    near === undefined ? `messages: ${names.join(", ")}` : `did you mean ${near}?`,
  );
}

function isRefusal(result: object): result is Refusal {
  return "error" in result;
}

/** Handles one argument, or each line of standard input; the exit code tells whether any was refused. */
async function eachLine(
  argument: string,
  json: boolean,
  handle: (line: string, refuse: (refusal: Refusal) => void) => Promise<void>,
): Promise<ExitCode> {
  let number = 0;
  let refused = 0;
  const refuse = ({ error }: Refusal): void => {
    refused++;
    if (json) printJson({ error });
    else standardError().write(`refused: ${number > 0 ? `line ${number}: ` : ""}${error}\n`);
  };
  if (argument !== "-") {
    await handle(argument, refuse);
  } else {
    for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
      number++;
      await handle(line, refuse);
    }
    // A variable that is not set makes `-` of an argument.
    if (number === 0) refuse({ error: "standard input was empty: give an argument, or one a line there" });
  }
  return refused === 0 ? ExitCode.ok : ExitCode.failure;
}

export const frameCommand: KpaxosCommand = defineKpaxosCommand({
  meta: {
    name: "frame",
    description: "decode and encode frames",
    examples: [
      {
        command: "kpaxos frame decode --ethertype 0xcaff 0000000100000002",
        what: "which instances are asked for?",
      },
      { command: "kpaxos frame encode --wire kernel-paxos learnerHi", what: "the frame that says hello" },
    ],
  },
  subCommands: { decode: decodeCommand, encode: encodeCommand },
});
