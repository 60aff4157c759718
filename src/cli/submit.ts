/**
 * `kpaxos submit VALUE|-`: has values chosen from the shell. Exit code 0 says that all of them are.
 */
import { ClientApplication } from "../delivery/applications.ts";
import { LearnerGate } from "../delivery/client_gates.ts";
import { CliError, ExitCode } from "../error.ts";
import { buildLearner } from "../node/build.ts";
import { BusyNote } from "../node/busy_note.ts";
import { type Built, type Context, Process } from "../node/process.ts";
import type { Extra } from "../node/roles.ts";
import { ENTRY_HEADER_BYTES } from "../protocol/batch.ts";
import { Client, type ValueFormat } from "../protocol/client.ts";
import { GivenValues } from "../protocol/given_values.ts";
import { NativeValues } from "../protocol/native_values.ts";
import { Role } from "../protocol/types.ts";
import { CLIENT_RECORD_BYTES } from "../wire/client_record.ts";
import { KernelPaxosValues } from "../wire/kernel_paxos_values.ts";
import { defineKpaxosCommand } from "./command.ts";
import { printJson } from "./output.ts";
import { memberOf, roleArgs, start } from "./run_common.ts";

/** Lines read ahead of what is chosen. */
const READ_AHEAD = 256;
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
    "proposer-id": {
      type: "integer",
      alias: "p",
      min: 0,
      max: 65534,
      default: 0,
      description: "which proposer gets the values",
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
    memberOf(config.proposers, args["proposer-id"], "proposer", config);
    const parse = args.hex === true ? fromHex : fromText;
    const submission = new Submission(args.timeout * 1_000_000, args.confirm === true);
    const listens = Role.client | Role.learner;
    const id = 1024 + Math.floor(Math.random() * 64000);
    const process = new Process({ config, log, id, member: undefined, listens, owns: 0 }, (context) =>
      submission.build(context, args["proposer-id"]),
    );
    submission.attach(process);
    const fed =
      args.value === "-" ? submission.feed(Bun.stdin.stream(), parse) : submission.give(parse(args.value));
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
  #values!: GivenValues;
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
    const { config, id, life, native, opened } = context;
    const overhead = native ? ENTRY_HEADER_BYTES : CLIENT_RECORD_BYTES;
    this.#maxSize = opened.wire.maxValue - overhead;
    const inner: ValueFormat = native
      ? new NativeValues(Math.max(1, life - 1), 1, 1, this.#maxSize)
      : new KernelPaxosValues(id + 0x10000, 1, this.#maxSize);
    this.#values = new GivenValues(inner);
    const outbox = context.outbox(Role.client);
    const timeoutMs = config.settings.clientTimeoutMs;
    const busy = new BusyNote();
    const shape = { clients: 1, outstanding: 1, leastSize: 0, mostSize: 0, values: 0 };
    this.#client = new Client({ ...shape, proposerId, timeoutMs, random: () => 0 }, this.#values, outbox, {
      delivered: () => undefined,
    });
    const application = new ClientApplication(() => undefined);
    application.attach(this.#client);
    const plan = { role: Role.client, catchUp: false, canTrim: false };
    const learner = buildLearner(context, plan, outbox, application);
    return {
      cores: { client: this.#client, learner },
      extras: [new LearnerGate(this.#client, learner, config.acceptors.length, native), busy, this],
      client: { proposerId, busy: () => busy.reason },
      progress: () => (this.#client.ready && this.#client.outstanding === 0 ? null : this.chosen),
      farewell: () => learner.close(),
    };
  }

  attach(process: Process): void {
    this.#process = process;
  }

  async give(value: Uint8Array): Promise<void> {
    this.#add(value);
    this.#complete = true;
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
        while (this.#values.waiting >= READ_AHEAD && this.#error === undefined) await Bun.sleep(1);
        if (this.#error !== undefined) return;
      }
      rest = bytes.subarray(from);
    }
    if (rest.length > 0) this.#add(parse(decoder.decode(rest)));
    this.#complete = true;
  }

  /** Ends the process; `check` says why. */
  abort(error: unknown): void {
    this.#error ??= error;
    this.#process.stop(ExitCode.failure);
  }

  check(): void {
    if (this.#error !== undefined) throw this.#error;
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
    const sent = this.#client.counters.submitted > this.chosen;
    const reasons = this.#process.reasons().join("; ");
    const fate = sent ? "it was sent and may still be chosen" : "it was not sent";
    this.abort(
      new CliError(`value ${this.chosen + 1} is not confirmed: ${fate}`, {
        ...(reasons === "" ? {} : { hint: reasons }),
      }),
    );
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  pump(): boolean {
    if (this.#confirms && this.chosen > this.#confirmed) {
      this.#confirmed = this.chosen;
      process.stdout.write(`${this.#confirmed}\n`);
    }
    if (this.#complete && this.#client.isDone) this.#process.stop();
    return false;
  }

  #add(value: Uint8Array): void {
    if (value.length > this.#maxSize) {
      throw new CliError(
        `value ${this.#given + 1} has ${value.length} bytes, one instance carries ${this.#maxSize}`,
        {
          exitCode: ExitCode.usage,
          hint: "values larger than a frame cannot be submitted in this version",
        },
      );
    }
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
