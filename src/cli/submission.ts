/**
 * Values on their way from the shell to the log: given one by one, to one group or to several, waited for, confirmed in the order
 * in which they were given.
 */
import { buildGivenClient, mostBytes } from "../delivery/given_client.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Built, Context } from "../node/context.ts";
import type { Process } from "../node/process.ts";
import type { Extra } from "../node/roles.ts";
import type { Client, ClientSink } from "../protocol/client/client.ts";
import { GivenValues } from "../protocol/client/value_source.ts";
import { standardOutput, whenReaderLeaves } from "../streams.ts";

/** Lines read ahead of what is chosen, and how many bytes of them at most. */
const READ_AHEAD = 256;
const READ_AHEAD_BYTES = 16 << 20;
/** A byte of a value is written in no more bytes of a line. */
const MOST_TEXT = 4;
/** Values under way. */
const OUTSTANDING = 64;
const LOOK_US = 100_000;
const NEWLINE = 0x0a;

/** Values of one group: mostly there is one. */
interface Part {
  readonly values: GivenValues;
  readonly client: Client;
  /** Of its values, so many are known to be chosen and counted with all that were given before them. */
  confirmed: number;
  /** Chosen before the first of which that is not certain: the first so many are. */
  certain: number;
}

export class Submission implements Extra {
  readonly #patienceUs: number;
  #confirms: boolean;
  readonly #parts: Part[] = [];
  /** Of the values that are not confirmed yet, in the order in which they were given: whose they are. */
  readonly #order: Part[] = [];
  #confirmed = 0;
  #told = 0;
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
    // Whether its values are chosen is told by the exit code, to whoever reads no confirmations any more.
    if (confirms) whenReaderLeaves(() => (this.#confirms = false));
  }

  get given(): number {
    return this.#given;
  }

  get chosen(): number {
    return this.#sum(({ client }) => client.counters.delivered);
  }

  /** Called for each group, in order. */
  build(context: Context, proposer: number | undefined): Built {
    const { config } = context;
    const proposerId = proposer ?? config.group % config.proposers.length;
    this.#maxSize = mostBytes(context);
    const values = new GivenValues();
    const sink: ClientSink = {
      delivered: () => undefined,
      uncertain: () => {
        part.certain = Math.min(part.certain, part.client.counters.delivered);
      },
    };
    const plan = {
      proposerId,
      followsLeader: proposer === undefined,
      outstanding: OUTSTANDING,
      extras: [this],
    };
    const { client, built } = buildGivenClient(context, plan, values, sink);
    const part: Part = { values, client, confirmed: 0, certain: Number.POSITIVE_INFINITY };
    this.#parts.push(part);
    return built;
  }

  attach(process: Process): void {
    this.#process = process;
  }

  async give(value: Uint8Array): Promise<void> {
    this.add(value);
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

  /** Reads one value a line, no further ahead than it must. What bytes a line has is nobody's business here. */
  async feed(stream: ReadableStream<Uint8Array>, take: (line: Uint8Array) => void): Promise<void> {
    let rest = new Uint8Array(0);
    for await (const chunk of stream) {
      const bytes = Buffer.concat([rest, chunk]);
      let from = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
        take(new Uint8Array(bytes.subarray(from, end)));
        from = end + 1;
        while (this.#isAhead() && this.#error === undefined) await Bun.sleep(1);
        if (this.#error !== undefined) return;
      }
      rest = bytes.subarray(from);
      // However it is written, this is too long.
      if (rest.length > MOST_TEXT * this.#maxSize) this.#checkSize(rest.length);
    }
    if (rest.length > 0) take(new Uint8Array(rest));
    this.#complete = true;
  }

  #isAhead(): boolean {
    const waiting = this.#sum(({ values }) => values.waiting);
    return waiting >= READ_AHEAD || this.#sum(({ values }) => values.bytes) >= READ_AHEAD_BYTES;
  }

  /** Ends the process; `check` says why. */
  abort(error: unknown): void {
    this.#error ??= error;
    this.#process.stop(ExitCode.failure);
  }

  /** All that was to be given is chosen. */
  get isDone(): boolean {
    return this.#complete && this.#error === undefined && this.chosen === this.#given;
  }

  /** What became of the values when somebody ended it: `how`. */
  interrupted(how: string): string {
    const underWay = this.#underWay + this.#uncertain;
    const unsent = this.#given - this.chosen - underWay;
    const fates = [`${this.chosen} of ${this.#given} values are chosen`];
    if (underWay > 0) fates.push(`sent, and may still be chosen: ${underWay}`);
    if (unsent > 0) fates.push(`not sent: ${unsent}`);
    return `${how}: ${this.#given === 0 ? "no value was submitted" : fates.join("; ")}`;
  }

  check(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#uncertain > 0) {
      throw new CliError(
        `${this.#uncertain} of ${this.#given} values may or may not be chosen: the cluster has forgotten this client's session`,
        {
          exitCode: ExitCode.unknownOutcome,
          hint: "the session was silent for too long, or session-limit is too low for so many clients",
        },
      );
    }
    if (this.isDone) return;
    const fate = this.#underWay > 0 ? `; ${this.#underWay} more were sent and may still be` : "";
    throw new CliError(`ended with ${this.chosen} of ${this.#given} values chosen${fate}`, {
      exitCode: fate === "" ? ExitCode.failure : ExitCode.unknownOutcome,
    });
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    const { chosen } = this;
    if (chosen !== this.#last || this.#given === chosen) {
      this.#last = chosen;
      this.#movedUs = nowUs;
      return;
    }
    if (nowUs - this.#movedUs < this.#patienceUs) return;
    const isSent = this.#underWay > 0;
    const fate = isSent ? "it was sent and may still be chosen" : "it was not sent";
    this.abort(
      new CliError(`value ${chosen + this.#uncertain + 1} is not confirmed: ${fate}`, {
        exitCode: isSent ? ExitCode.unknownOutcome : ExitCode.unavailable,
        ...this.#hint(),
      }),
    );
  }

  /** Nothing is said twice: what is in the log is not said again. */
  #hint(): { readonly hint?: string } {
    const untold = this.#process.untoldReasons();
    if (untold.length > 0) return { hint: untold.join("; ") };
    return this.#process.reasons().length > 0 ? { hint: "the warnings above say why" } : {};
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  pump(): boolean {
    this.#confirm();
    if (this.#confirms && this.#confirmed > this.#told) {
      this.#told = this.#confirmed;
      standardOutput().write(`${this.#told}\n`);
    }
    if (this.#complete && this.#parts.every(({ client }) => client.isDone)) this.#process.stop();
    return false;
  }

  /** The first values of all that were given are confirmed, one after the other. */
  #confirm(): void {
    let count = 0;
    for (const part of this.#order) {
      if (part.confirmed >= Math.min(part.client.counters.delivered, part.certain)) break;
      part.confirmed++;
      count++;
    }
    this.#order.splice(0, count);
    this.#confirmed += count;
  }

  /** Nobody will know of so many whether they are chosen. */
  get #uncertain(): number {
    return this.#sum(({ client }) => client.counters.uncertain);
  }

  /** So many were sent, and nothing is known of them yet. */
  get #underWay(): number {
    return this.#sum(({ client }) => client.counters.submitted) - this.chosen - this.#uncertain;
  }

  #sum(of: (part: Part) => number): number {
    let sum = 0;
    for (const part of this.#parts) sum += of(part);
    return sum;
  }

  #checkSize(length: number): void {
    if (length <= this.#maxSize) return;
    throw new CliError(`value ${this.#given + 1} has ${length} bytes or more: at most ${this.#maxSize}`, {
      exitCode: ExitCode.usage,
      hint: "raise max-value-size on every host (the Kernel_Paxos wire carries what fits a frame)",
    });
  }

  /** `group`: which of those that were built. */
  add(value: Uint8Array, group = 0): void {
    this.#checkSize(value.length);
    this.#given++;
    const part = this.#parts[group]!;
    part.values.give(value);
    part.client.limit++;
    this.#order.push(part);
  }
}
