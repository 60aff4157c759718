/**
 * `kpaxos submit VALUE|-`: has values chosen from the shell. Exit code 0 says that all of them are.
 */
import { LearnerGate } from "../delivery/client_gates.ts";
import { CliError, ExitCode } from "../error.ts";
import { buildLearner } from "../node/build.ts";
import {
  type BuiltClient,
  buildRecordClient,
  buildSessionClient,
  ownApplication,
} from "../node/build_client.ts";
import { BusyNote } from "../node/busy_note.ts";
import { type Built, type Context, Process } from "../node/process.ts";
import type { Extra } from "../node/roles.ts";
import type { Client, ClientSink } from "../protocol/client/client.ts";
import { GivenRecords } from "../protocol/client/given_values.ts";
import { GivenValues } from "../protocol/client/value_source.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { Role } from "../protocol/types.ts";
import { CLIENT_RECORD_BYTES } from "../wire/client_record.ts";
import { KernelPaxosValues } from "../wire/kernel_paxos_values.ts";
import { defineKpaxosCommand } from "./command.ts";
import { printJson } from "./output.ts";
import { memberOf, roleArgs, start } from "./run_common.ts";

/** Lines read ahead of what is chosen, and how many bytes of them at most. */
const READ_AHEAD = 256;
const READ_AHEAD_BYTES = 16 << 20;
/** A byte of a value is written in no more bytes of a line. */
const MOST_TEXT = 4;
/** Values under way (native wire: they are delivered in order all the same). */
const OUTSTANDING = 64;
const LOOK_US = 100_000;
const NEWLINE = 0x0a;

export const submitCommand = defineKpaxosCommand({
  meta: {
    name: "submit",
    description: "have values chosen, and exit 0 once they are",
    examples: [
      { command: "kpaxos submit 'hello, world'", what: "one value" },
      { command: "seq 1000 | kpaxos submit -", what: "one value a line, in order" },
      { command: "kpaxos submit --hex 00ff10", what: "bytes" },
      { command: "kpaxos submit --key user/17 'hello'", what: "with groups: to the group of this key" },
      { command: "kpaxos submit --whole - < image.png", what: "a whole file as one value" },
    ],
    notes: ["A value that was not confirmed in time may still be chosen; the error says so."],
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
    whole: { type: "boolean", description: "with -: all of standard input is one value, as it is" },
    "proposer-id": {
      type: "integer",
      alias: "p",
      min: 0,
      max: 65534,
      description:
        "which proposer gets the values; unless given 0, with groups the one that leads when all is well",
    },
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
    const { config, log } = start(args, "submit");
    if (args.key !== undefined && args.group !== undefined) {
      throw new CliError("--key and --group exclude each other", { exitCode: ExitCode.usage });
    }
    const proposer = args["proposer-id"] ?? config.group % config.proposers.length;
    memberOf(config.proposers, proposer, "proposer", config);
    const parse = args.hex === true ? fromHex : fromText;
    const submission = new Submission(args.timeout * 1_000_000, args.confirm === true);
    const listens = Role.client | Role.learner;
    const id = 1024 + Math.floor(Math.random() * 64000);
    const process = new Process({ config, log, id, member: undefined, listens, owns: 0 }, (context) =>
      submission.build(context, proposer),
    );
    submission.attach(process);
    const input = Bun.stdin.stream();
    const fed =
      args.value !== "-"
        ? submission.give(parse(args.value))
        : args.whole === true
          ? submission.giveAll(input)
          : submission.feed(input, parse);
    const [exitCode] = await Promise.all([
      process.run(),
      fed.catch((error: unknown) => submission.abort(error)),
    ]);
    if (args.json === true) printJson({ values: submission.chosen });
    submission.check();
    return exitCode;
  },
});

class Submission implements Extra {
  readonly #patienceUs: number;
  readonly #confirms: boolean;
  #confirmed = 0;
  /** Chosen before the first of which that is not certain: the first so many are. */
  #certain = Number.POSITIVE_INFINITY;
  readonly #values = new GivenValues();
  #client!: Client;
  #process!: Process;
  #maxSize = 0;
  #complete = false;
  #given = 0;
  #last = -1;
  #movedUs = -1;
  #dueUs = 0;
  #error: unknown;

  constructor(patienceUs: number, confirms: boolean) {
    this.#patienceUs = patienceUs;
    this.#confirms = confirms;
  }

  get chosen(): number {
    return this.#client.counters.delivered;
  }

  build(context: Context, proposerId: number): Built {
    const { config, native, opened, log } = context;
    const { maxValueBytes } = config.settings;
    this.#maxSize = native ? maxValueBytes : opened.wire.maxValue - CLIENT_RECORD_BYTES;
    const outbox = context.outbox(Role.client);
    const busy = new BusyNote();
    const built = this.#buildClient(context, proposerId, outbox);
    const { client, sessions } = built;
    this.#client = client;
    const application = ownApplication(context, built, (first, last) =>
      log.debug(`instances ${first} to ${last} were trimmed before this client's learner got them`),
    );
    const plan = { role: Role.client, catchUp: false, canTrim: false };
    const learner = buildLearner(context, plan, outbox, application);
    return {
      cores: { client, learner },
      extras: [new LearnerGate(client, learner, config.acceptors.length, native), busy, this],
      client: { proposerId: () => client.proposerId, busy: () => busy.reason },
      progress: () => (client.ready && !client.isWaiting ? null : this.chosen),
      farewell: () => {
        sessions?.close();
        learner.close();
      },
    };
  }

  #buildClient(context: Context, proposerId: number, outbox: Outbox): BuiltClient {
    const shape = { clients: 1, leastSize: 0, mostSize: 0, values: 0, proposerId };
    const sink: ClientSink = {
      delivered: () => undefined,
      uncertain: () => {
        this.#certain = Math.min(this.#certain, this.chosen);
      },
    };
    if (context.native)
      return buildSessionClient(context, { ...shape, outstanding: OUTSTANDING }, this.#values, outbox, sink);
    const records = new KernelPaxosValues(context.id + 0x10000, 1, this.#maxSize);
    const format = new GivenRecords(records, this.#values);
    return buildRecordClient(context, { ...shape, outstanding: 1 }, format, outbox, sink);
  }

  attach(process: Process): void {
    this.#process = process;
  }

  async give(value: Uint8Array): Promise<void> {
    this.#add(value);
    this.#complete = true;
  }

  /** All that comes is one value. */
  async giveAll(stream: ReadableStream<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of stream) {
      parts.push(chunk);
      length += chunk.length;
      this.#checkSize(length);
    }
    await this.give(Buffer.concat(parts));
  }

  /** Reads one value a line, no further ahead than it must. */
  async feed(stream: ReadableStream<Uint8Array>, parse: (text: string) => Uint8Array): Promise<void> {
    const decoder = new TextDecoder();
    let rest = new Uint8Array(0);
    for await (const chunk of stream) {
      const bytes = Buffer.concat([rest, chunk]);
      let from = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
        this.#add(parse(decoder.decode(bytes.subarray(from, end))));
        from = end + 1;
        while (this.#isAhead() && this.#error === undefined) await Bun.sleep(1);
        if (this.#error !== undefined) return;
      }
      rest = bytes.subarray(from);
      // However it is written, this is too long.
      if (rest.length > MOST_TEXT * this.#maxSize) this.#checkSize(rest.length);
    }
    if (rest.length > 0) this.#add(parse(decoder.decode(rest)));
    this.#complete = true;
  }

  #isAhead(): boolean {
    return this.#values.waiting >= READ_AHEAD || this.#values.bytes >= READ_AHEAD_BYTES;
  }

  /** Ends the process; `check` says why. */
  abort(error: unknown): void {
    this.#error ??= error;
    this.#process.stop(ExitCode.failure);
  }

  check(): void {
    if (this.#error !== undefined) throw this.#error;
    const { uncertain } = this.#client.counters;
    if (uncertain > 0) {
      throw new CliError(
        `${uncertain} of ${this.#given} values may or may not be chosen: the cluster has forgotten this client's session`,
        { hint: "the session was silent for too long, or session-limit is too low for so many clients" },
      );
    }
    if (!this.#complete || this.chosen < this.#given) {
      throw new CliError(`ended with ${this.chosen} of ${this.#given} values chosen`);
    }
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    if (this.chosen !== this.#last || this.#client.limit === this.chosen) {
      this.#last = this.chosen;
      this.#movedUs = nowUs;
      return;
    }
    if (nowUs - this.#movedUs < this.#patienceUs) return;
    const { submitted, uncertain } = this.#client.counters;
    const known = this.chosen + uncertain;
    const fate = submitted > known ? "it was sent and may still be chosen" : "it was not sent";
    const reasons = this.#process.reasons().join("; ");
    this.abort(
      new CliError(`value ${known + 1} is not confirmed: ${fate}`, {
        ...(reasons === "" ? {} : { hint: reasons }),
      }),
    );
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  pump(): boolean {
    const certain = Math.min(this.chosen, this.#certain);
    if (this.#confirms && certain > this.#confirmed) {
      this.#confirmed = certain;
      process.stdout.write(`${this.#confirmed}\n`);
    }
    if (this.#complete && this.#client.isDone) this.#process.stop();
    return false;
  }

  #checkSize(length: number): void {
    if (length <= this.#maxSize) return;
    throw new CliError(`value ${this.#given + 1} has ${length} bytes or more: at most ${this.#maxSize}`, {
      exitCode: ExitCode.usage,
      hint: "raise max-value-size on every host (the Kernel_Paxos wire carries what fits a frame)",
    });
  }

  #add(value: Uint8Array): void {
    this.#checkSize(value.length);
    this.#given++;
    this.#values.give(value);
    this.#client.limit++;
  }
}

function fromText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
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
