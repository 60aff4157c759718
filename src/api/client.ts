/**
 * A client in this process: values go to the log through a session, and are waited for. It applies nothing and needs no learner of
 * the configuration. What TypeScript programs import as `kpaxos/client`; docs/library.md says how it is used.
 *
 * Invariants: a value's promise is settled once; values are chosen in the order in which they were given, as long as the session
 * lasts.
 */
import type { Config } from "../config/config.ts";
import { oneGroup } from "../config/groups.ts";
import { asGuest } from "../config/guest.ts";
import { buildGivenClient } from "../delivery/given_client.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { Bell } from "../node/bell.ts";
import type { Built, Context } from "../node/context.ts";
import { drawId, LAST_ID } from "../node/identity.ts";
import { Process } from "../node/process.ts";
import type { Client as ClientCore } from "../protocol/client/client.ts";
import { GivenValues } from "../protocol/client/value_source.ts";
import { Role } from "../protocol/types.ts";
import { WAITING_BYTES } from "./build_replica.ts";
import { PENDING_LIMIT } from "./machine_host.ts";
import { lateness, OutcomeUnknownError } from "./state_machine.ts";

export { OutcomeUnknownError } from "./state_machine.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
/** Values under way in the cluster; more wait here. */
const OUTSTANDING = 1024;
const EXPIRE_US = 100_000;

export interface ClientOptions {
  /** As `readConfig` returns it. */
  readonly config: Config;
  /** Which group's log the values go to, where the configuration has several. */
  readonly group?: number;
  /** No two processes of a cluster may have the same; 0 to 65 534; drawn from 4096 on unless given. */
  readonly id?: number;
  /** The proposer that gets the values; unless given, whoever leads. */
  readonly proposer?: number;
  /** How long a value is waited for, in milliseconds; 10 000 unless given. */
  readonly timeoutMs?: number;
  /**
   * The thread is the cluster's, as a role's is: what the file says of `cpu`, `scheduling`, `busy-poll` and `keep-awake` is for it,
   * too. Unless given only what `readConfig` was told beside the file is.
   */
  readonly tuneThread?: boolean;
  readonly log: Log;
}

interface Pending {
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Client {
  /** Bytes of the largest value. */
  readonly maxValueBytes: number;
  readonly #timeoutMs: number;
  readonly #values = new GivenValues();
  readonly #bell = new Bell();
  readonly #process: Process;
  /** By number; the oldest first. */
  readonly #pending = new Map<number, Pending>();
  #core!: ClientCore;
  #ended: Promise<ExitCode> | undefined;
  #isOpen = true;
  #given = 0;
  #dueUs = 0;

  /** Opens its link, and throws a `CliError` when it cannot. It works from `run` on. */
  constructor(options: ClientOptions) {
    const { log, proposer, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const group = oneGroup(options.config, options.group);
    const config = options.tuneThread === true ? group : asGuest(group);
    if (config.settings.wire !== "native") {
      throw new CliError("a client that tells of each value needs sessions, which only wire native has", {
        exitCode: ExitCode.config,
        hint: "write wire native in paxos.conf, or use kpaxos submit",
      });
    }
    if (proposer !== undefined && !config.proposers.some(({ id }) => id === proposer)) {
      throw new CliError(`${config.file} has no proposer ${proposer}`, { exitCode: ExitCode.config });
    }
    if (!(timeoutMs > 0)) throw new RangeError(`timeoutMs ${timeoutMs}: a number of milliseconds above 0`);
    this.#timeoutMs = timeoutMs;
    const id = options.id ?? drawId();
    if (!(Number.isInteger(id) && id >= 0 && id <= LAST_ID))
      throw new RangeError(`id ${id}: a client's is a whole number from 0 to ${LAST_ID}`);
    const roles = { listens: Role.client | Role.learner, owns: 0, handlesSignals: false };
    this.#process = new Process({ config, log, id, member: undefined, ...roles }, (context) =>
      this.#build(context, proposer),
    );
    this.maxValueBytes = config.settings.maxValueBytes;
  }

  /** Takes part in the cluster until `close` or trouble, with which it rejects. */
  run(): Promise<ExitCode> {
    this.#ended ??= this.#process.run().finally(() => {
      this.#isOpen = false;
      this.#failAll();
    });
    return this.#ended;
  }

  /**
   * Has a value chosen, and resolves once it is. Rejects with an `OutcomeUnknownError` when it may have been chosen, or may still
   * be; with any other error it was not submitted. The bytes are not to be changed before it is settled.
   */
  submit(value: Uint8Array): Promise<void> {
    if (!this.#isOpen) return Promise.reject(new Error("the client ended; the value was not submitted"));
    if (value.length > this.maxValueBytes) {
      const text = `a value of ${value.length} bytes: at most ${this.maxValueBytes}, by max-value-size`;
      return Promise.reject(new RangeError(text));
    }
    const { count, bytes } = this.#values;
    if (count >= PENDING_LIMIT || bytes + value.length > WAITING_BYTES) {
      return Promise.reject(
        new Error("too many values wait for the cluster already; this one was not submitted"),
      );
    }
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + this.#timeoutMs;
      this.#pending.set(this.#given++, { deadlineMs, resolve, reject });
      this.#values.give(value);
      this.#core.limit = this.#given;
      this.#bell.ring();
    });
  }

  /** Values that are waited for. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Ends it at once: what is pending rejects. It takes its leave of the cluster, then `run` resolves. */
  async close(): Promise<void> {
    const ended = this.run();
    this.#process.stop();
    await ended;
  }

  /** Why nothing moves, as far as this process can tell. */
  reasons(): string[] {
    return this.#process.reasons();
  }

  #build(context: Context, proposer: number | undefined): Built {
    const { config } = context;
    const proposerId = proposer ?? config.group % config.proposers.length;
    const expiry = {
      tick: (nowUs: number) => this.#expire(nowUs),
      nextTickUs: () => (this.#pending.size === 0 ? Number.POSITIVE_INFINITY : this.#dueUs),
    };
    const { client, built } = buildGivenClient(
      context,
      {
        proposerId,
        followsLeader: proposer === undefined,
        outstanding: OUTSTANDING,
        extras: [expiry, this.#bell],
      },
      this.#values,
      {
        delivered: (_latencyUs, _bytes, _client, first, count) => {
          for (let number = first; number < first + count; number++) {
            this.#pending.get(number)?.resolve();
            this.#pending.delete(number);
          }
        },
        uncertain: (_client, number) =>
          this.#fail(
            number,
            "the cluster has forgotten the client's session; the value may have been chosen",
          ),
      },
    );
    this.#core = client;
    return built;
  }

  /** Gives up waiting for what did not come in time; it is sent all the same. */
  #expire(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + EXPIRE_US;
    const nowMs = performance.now();
    // One diagnosis for all that are late.
    let text: string | undefined;
    for (const [number, { deadlineMs }] of this.#pending) {
      if (deadlineMs > nowMs) return;
      text ??= lateness(
        `not confirmed within ${this.#timeoutMs} ms; the value may still be chosen`,
        this.#process.reasons()[0],
      );
      this.#fail(number, text);
    }
  }

  /** The client ended. What it did not begin to send nobody has. */
  #failAll(): void {
    const { begun } = this.#values;
    for (const [number, { reject }] of [...this.#pending]) {
      if (number < begun) this.#fail(number, "the client ended; the value may still be chosen");
      else reject(new Error("the client ended; the value was not submitted"));
    }
    this.#pending.clear();
  }

  #fail(number: number, why: string): void {
    const pending = this.#pending.get(number);
    if (pending === undefined) return;
    this.#pending.delete(number);
    pending.reject(new OutcomeUnknownError(why));
  }
}
