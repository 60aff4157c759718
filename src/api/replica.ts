/**
 * A replica of a state machine in this process: a learner that applies the log, a client that submits to it, and, where the
 * configuration has a `replica` line for it, an acceptor and a proposer as well. What TypeScript programs use; `kpaxos kv serve`
 * is one.
 */
import type { Config, Member } from "../config/config.ts";
import { oneGroup } from "../config/groups.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { BusyNote } from "../node/busy_note.ts";
import type { Built, Context } from "../node/context.ts";
import { Process } from "../node/process.ts";
import type { Extra } from "../node/roles.ts";
import { StageLog } from "../node/stage_log.ts";
import { Busy, Role } from "../protocol/types.ts";
import { buildReplica, type ReplicaParts, type ReplicaPlan } from "./build_replica.ts";
import { ENVELOPE_BYTES, ENVELOPE_LIMIT } from "./envelope.ts";
import { MachineHost } from "./machine_host.ts";
import type { ReadMode, Replicated, StateMachine } from "./state_machine.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const BEGIN_EMPTY_BY = "`beginEmpty: true` among the options of this Replica";

export interface ReplicaOptions {
  /** As `readConfig` returns it. */
  readonly config: Config;
  /** Which group's log it applies, where the configuration has several. */
  readonly group?: number;
  readonly machine: StateMachine;
  /** Its id: of a `replica` line with `votes`, else of a learner. */
  readonly id: number;
  /** It is a replica line's process: acceptor and proposer too. */
  readonly votes?: boolean;
  /**
   * The log is trimmed, and nobody offers a state of this machine for 5 seconds: it begins as it is, behind the newest instance
   * that is offered, instead of waiting. For the first replica of a machine on an older log only: what came before is not in
   * its state, and two that begin so at different places differ for ever.
   */
  readonly beginEmpty?: boolean;
  /** What people are told to do where `beginEmpty` helps; unless given, to set that. */
  readonly beginEmptyBy?: string;
  /** How long results and reads are waited for, in milliseconds; 10 000 unless given. */
  readonly timeoutMs?: number;
  readonly log: Log;
  /** SIGINT and SIGTERM close it. Unless given they are the program's affair. */
  readonly handlesSignals?: boolean;
}

export interface ReplicaStatus {
  /** The last instance that was applied. */
  readonly applied: number;
  /** The last instance that is known to be in the log, chosen or about to be. */
  readonly known: number;
  readonly commands: number;
  readonly pending: number;
  /** The log has more than was applied, or it is not known yet how far it goes: reads wait. */
  readonly isBehind: boolean;
  /** Nobody else has its state, which is in memory: so the log is not trimmed. */
  readonly isAlone: boolean;
  /** Of a process with a proposer: what it does. */
  readonly stage: string | undefined;
  /** `Replica.reasons()`. */
  readonly reasons: readonly string[];
}

export class Replica implements Replicated {
  /** Bytes of the largest command. */
  readonly maxCommandBytes: number;
  readonly #host: MachineHost;
  readonly #machine: StateMachine;
  readonly #process: Process;
  readonly #busy = new BusyNote();
  #parts!: ReplicaParts;
  #ended: Promise<ExitCode> | undefined;
  #isOpen = true;

  /** Opens its link and files, and throws a `CliError` when it cannot. It works from `run` on. */
  constructor(options: ReplicaOptions) {
    const { id, log, machine, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const config = oneGroup(options.config, options.group);
    if (config.settings.wire !== "native") {
      throw new CliError(
        "a replicated state machine needs sessions and snapshots, which only wire native has",
        {
          exitCode: ExitCode.config,
          hint: "write wire native in paxos.conf",
        },
      );
    }
    this.#machine = machine;
    this.maxCommandBytes = config.settings.maxValueBytes - ENVELOPE_BYTES;
    const tag = Math.floor(Math.random() * ENVELOPE_LIMIT);
    this.#host = new MachineHost({ machine, tag, timeoutMs, nowMs: () => performance.now() });
    this.#host.reason = () => this.reasons()[0];
    const votes = options.votes === true;
    const plan = {
      votes,
      timeoutMs,
      beginsEmpty: options.beginEmpty,
      beginEmptyBy: options.beginEmpty === true ? undefined : (options.beginEmptyBy ?? BEGIN_EMPTY_BY),
    };
    const owns = votes ? Role.acceptor | Role.proposer | Role.learner : Role.learner;
    this.#process = new Process(
      {
        config,
        log,
        id,
        member: memberOf(config, id, votes),
        listens: owns | Role.learner | Role.client,
        owns,
        handlesSignals: options.handlesSignals ?? false,
      },
      (context) => this.#build(context, plan),
    );
  }

  /** Takes part in the cluster until `close` or trouble, with which it rejects. */
  run(): Promise<ExitCode> {
    this.#ended ??= this.#process.run().finally(() => {
      this.#isOpen = false;
      this.#host.close();
      this.#parts.reads.close(new Error("the replica ended"));
    });
    return this.#ended;
  }

  submit(command: Uint8Array): Promise<Uint8Array> {
    if (!this.#isOpen) return Promise.reject(new Error("the replica ended; the command was not submitted"));
    if (command.length > this.maxCommandBytes) {
      const text = `a command of ${command.length} bytes: at most ${this.maxCommandBytes}, by max-value-size`;
      return Promise.reject(new RangeError(text));
    }
    return this.#host.submit(command, (value) => this.#parts.submit(value));
  }

  async read(mode: ReadMode): Promise<void> {
    if (mode === "local") return;
    if (!this.#isOpen) throw new Error("the replica ended");
    if (mode === "log") {
      await this.#host.read((value) => this.#parts.submit(value));
      return;
    }
    const confirmed = this.#parts.reads.confirm();
    this.#parts.wake();
    await confirmed;
  }

  /** Ends it: takes its leave of the cluster, then `run` resolves. */
  async close(): Promise<void> {
    const ended = this.run();
    this.#process.stop();
    await ended;
  }

  /** Why nothing moves, or would not, as far as this process can tell; the likeliest first. */
  reasons(): string[] {
    const { loneliness } = this.#parts.snapshots;
    const reasons = this.#process.reasons();
    if (loneliness === null) return reasons;
    // It is in nobody's way before the acceptors are full.
    return this.#busy.reason === Busy.windowFull ? [loneliness, ...reasons] : [...reasons, loneliness];
  }

  status(): ReplicaStatus {
    const { learner, proposer } = this.#parts.cores;
    return {
      applied: this.#host.applied,
      known: learner.highestIid,
      commands: this.#host.counters.applied,
      pending: this.#host.pending,
      isBehind: learner.next === 0 || learner.isBehind || learner.waitsForSnapshot,
      isAlone: this.#parts.snapshots.loneliness !== null,
      stage: proposer?.stage,
      reasons: this.reasons(),
    };
  }

  #build(context: Context, plan: Omit<ReplicaPlan, "host" | "machine">): Built {
    const host = this.#host;
    const parts = buildReplica(context, { host, machine: this.#machine, ...plan });
    this.#parts = parts;
    const { client, learner, proposer } = parts.cores;
    const extras: Extra[] = [...parts.extras, this.#busy];
    if (proposer !== undefined) extras.push(new StageLog(context, proposer));
    return {
      cores: parts.cores,
      extras,
      client: {
        proposerId: () => client.proposerId,
        busy: () => this.#busy.reason,
        isAsking: () => parts.reads.waiting > 0,
      },
      beginEmptyBy: plan.beginEmptyBy,
      progress: () => (host.pending > 0 || learner.isBehind ? host.counters.applied : null),
      hears: () => learner.hearsQuorum,
      farewell: () => {
        client.close();
        // Who has what nobody else has, and may come back for it, counts for as long as any that fell silent.
        if (parts.snapshots.loneliness === null) learner.close();
      },
    };
  }
}

function memberOf(config: Config, id: number, votes: boolean): Member | undefined {
  const list = votes ? config.replicas : config.learners;
  const member = list.find((one) => one.id === id);
  if (member === undefined && votes) {
    throw new CliError(`${config.file} has no replica ${id}`, {
      exitCode: ExitCode.config,
      hint: `add a line: replica ${id} ADDRESS`,
    });
  }
  return member;
}
