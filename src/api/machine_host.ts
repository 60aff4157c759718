/**
 * What a state machine is applied by: takes the values of the log in order, and tells whoever submitted one here its result.
 *
 * Invariants: every value is applied once, in log order; a command's promise is settled once.
 */
import { assert } from "../protocol/assert.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import { Envelope, seal } from "./envelope.ts";
import { lateRead, lateResult, OutcomeUnknownError, type StateMachine } from "./state_machine.ts";

/** Commands whose result is waited for; more are refused. */
export const PENDING_LIMIT = 65_536;
const NOTHING = new Uint8Array(0);

/** Who is told the result of a command, once. */
export interface Submitter {
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

interface Pending extends Submitter {
  readonly deadlineMs: number;
  /** It changes nothing, wherever in the log it comes. */
  readonly isRead: boolean;
}

export interface MachineHostOptions {
  readonly machine: StateMachine;
  /** Tells this replica's commands from others': random, and new at each start. */
  readonly tag: number;
  readonly timeoutMs: number;
  /** Milliseconds on a clock that does not jump. */
  readonly nowMs: () => number;
}

export class MachineHost implements ValueConsumer {
  /** The last instance that was applied as a whole. */
  applied = 0;
  readonly counters = { applied: 0, submitted: 0, unknown: 0 };
  readonly #options: MachineHostOptions;
  readonly #envelope = new Envelope();
  /** By number; the oldest first. */
  readonly #pending = new Map<number, Pending>();
  #number = 0;
  /** Told of a value that was delivered: the client in whose session it travelled. */
  onDelivered: (session: number, sequence: number, iid: number) => void = () => undefined;

  /** Whether a command of so many bytes can wait for being sent: those given up are sent all the same. */
  hasRoom: (bytes: number) => boolean = () => true;

  /** Why nothing moves, if that is known: for people. */
  reason: () => string | undefined = () => undefined;

  constructor(options: MachineHostOptions) {
    this.#options = options;
  }

  /** Commands whose result is waited for. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Gives the command its envelope, hands it to `send`, and waits for its result. */
  submit(command: Uint8Array, send: (value: Uint8Array) => void): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.begin(command, send, { resolve, reject }));
  }

  /** Has nothing applied, and resolves when that was its turn. */
  async read(send: (value: Uint8Array) => void): Promise<void> {
    await new Promise((resolve, reject) => this.begin(NOTHING, send, { resolve, reject }, true));
  }

  /** The same without a promise: who waits is told within a turn. */
  begin(
    command: Uint8Array,
    send: (value: Uint8Array) => void,
    { resolve, reject }: Submitter,
    isRead = false,
  ): void {
    if (this.#pending.size >= PENDING_LIMIT) {
      reject(new Error(`${PENDING_LIMIT} commands wait already; this one was not submitted`));
      return;
    }
    if (!this.hasRoom(command.length)) {
      reject(new Error("too many commands wait for the cluster already; this one was not submitted"));
      return;
    }
    const { tag, timeoutMs, nowMs } = this.#options;
    const number = this.#number++;
    this.counters.submitted++;
    this.#pending.set(number, { deadlineMs: nowMs() + timeoutMs, resolve, reject, isRead });
    send(seal(tag, number, command));
  }

  take(
    iid: number,
    index: number,
    _isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const value = bytes.subarray(offset, offset + length);
    const command = value.subarray(this.#envelope.open(value));
    // Nothing to apply: a read that went through the log.
    const result = command.length === 0 ? NOTHING : this.#options.machine.apply(command, { iid, index });
    this.counters.applied++;
    this.onDelivered(session, sequence, iid);
    if (this.#envelope.tag === this.#options.tag) this.#settle(this.#envelope.number, result);
    return true;
  }

  finished(iid: number): void {
    this.applied = iid;
  }

  skipped(first: number, last: number): void {
    assert(false, `a state machine leaves nothing out, not even instances ${first} to ${last}`);
  }

  acknowledged(): number {
    return this.applied;
  }

  /**
   * The machine was given the state as of `iid` by a snapshot: what of ours is in it will not be applied here. Commands from
   * number `begun` on were not sent yet.
   */
  restored(iid: number, begun: number): void {
    this.applied = iid;
    this.#failBelow(begun, "this replica went on with a snapshot", ", which may have the command in it");
  }

  /** The session that a command travelled in is gone. */
  uncertain(number: number): void {
    this.#fail(
      number,
      "the cluster has forgotten the session of this replica",
      "; the command may have been applied",
    );
  }

  /** Gives up waiting for results that did not come in time. */
  expire(): void {
    const { nowMs, timeoutMs } = this.#options;
    const now = nowMs();
    // One diagnosis for all that are late.
    let reason: { readonly text: string | undefined } | undefined;
    for (const [number, { deadlineMs, isRead, reject }] of this.#pending) {
      if (deadlineMs > now) return;
      reason ??= { text: this.reason() };
      const why = (isRead ? lateRead : lateResult)(timeoutMs, reason.text);
      this.#pending.delete(number);
      reject(isRead ? new Error(why) : new OutcomeUnknownError(why));
      if (!isRead) this.counters.unknown++;
    }
  }

  close(): void {
    this.#failBelow(this.#number, "the replica ended", "; the command may still be chosen");
  }

  #settle(number: number, result: Uint8Array): void {
    this.#pending.get(number)?.resolve(result);
    this.#pending.delete(number);
  }

  #failBelow(end: number, why: string, fate: string): void {
    for (const number of [...this.#pending.keys()]) if (number < end) this.#fail(number, why, fate);
  }

  /** `fate`: what may have become of a command. */
  #fail(number: number, why: string, fate: string): void {
    const pending = this.#pending.get(number);
    if (pending === undefined) return;
    this.#pending.delete(number);
    if (pending.isRead) {
      pending.reject(new Error(`${why}; nothing was read`));
      return;
    }
    this.counters.unknown++;
    pending.reject(new OutcomeUnknownError(`${why}${fate}`));
  }
}
