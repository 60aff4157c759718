/**
 * One process: opens its link, is given its cores, runs until a signal, an end of its own, or trouble, and leaves
 * cleanly. What the cores are is `build.ts`; what the command line says is `cli/run*.ts`.
 */
import type { Config, Member } from "../config/config.ts";
import { ALL_GROUPS } from "../config/groups.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { formatAddress } from "../net/address.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { assert } from "../protocol/assert.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Life, Peer } from "../protocol/types.ts";
import { Role } from "../protocol/types.ts";
import { MemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import type { KernelPaxosOutbox } from "../wire/kernel_paxos_outbox.ts";
import type { NativeOutbox } from "../wire/native_outbox.ts";
import { openAcceptorStorage } from "./acceptor_storage.ts";
import { type Claim, Claims } from "./claims.ts";
import { newLife } from "./identity.ts";
import { type Opened, open } from "./open.ts";
import { type Cores, type Extra, Roles } from "./roles.ts";
import { nowUs, Runner, type Sleeper } from "./run.ts";
import { traceOutbox, traceReceiver } from "./trace.ts";
import { Node } from "./turn.ts";
import { Watch } from "./watch.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export interface ProcessOptions {
  readonly config: Config;
  readonly log: Log;
  readonly id: number;
  /** Its place in the configuration, if it has one. */
  readonly member: Member | undefined;
  /** Bits of the roles it listens for, and of those it is as a member of the configuration. */
  readonly listens: number;
  readonly owns: number;
  /** SIGINT and SIGTERM end it; true unless given. */
  readonly handlesSignals?: boolean;
}

/** What cores are made with, whatever they are reached through. */
export interface CoreContext {
  readonly config: Config;
  readonly log: Log;
  readonly id: number;
  readonly life: Life;
  readonly native: boolean;
  readonly peers: Peers;
  /** What the acceptor of this process journals to; the node commits it. */
  readonly storage: Storage;
  /** Uniform in 0…1. */
  readonly random: () => number;
  /** The outbox of one role; it claims that role and this process's id. */
  outbox(role: Role): NativeOutbox | KernelPaxosOutbox;
}

/** What the cores of a process are made with. */
export interface Context extends CoreContext {
  readonly opened: Opened;
}

export interface Built {
  readonly cores: Omit<Cores, "pairsAccepts" | "acceptorOf" | "wallOffsetUs" | "extras">;
  readonly extras?: readonly Extra[];
  readonly sleeper?: Sleeper;
  /** The proposer a client sends to now, and the last `busy` it was answered. */
  readonly client?: { readonly proposerId: () => number; readonly busy: () => number };
  /** A number that grows while the process does its work; null: there is nothing to do now. */
  progress(): number | null;
  /** Last words, said in a last turn. */
  farewell?(): void;
  /** Gives back what is not the link's. */
  close?(): void;
}

export class Process {
  readonly log: Log;
  readonly opened: Opened;
  readonly node: Node;
  /** Set when the process is to end by itself. */
  exitCode: ExitCode = ExitCode.ok;
  readonly #built: Built;
  readonly #runner: Runner;
  readonly #watch: Watch;
  readonly #handlesSignals: boolean;
  #fatal: CliError | undefined;

  constructor(options: ProcessOptions, build: (context: Context) => Built) {
    const { config, log, id } = options;
    assert(config.group !== ALL_GROUPS, "a process has the configuration of one group");
    const life = newLife();
    this.log = log;
    this.#handlesSignals = options.handlesSignals ?? true;
    // Before the link: what comes while a large database is read would only pile up.
    const isAcceptor = (options.owns & Role.acceptor) !== 0;
    const storage = isAcceptor ? openAcceptorStorage(config, id, log) : new MemoryStorage();
    try {
      this.opened = open({ ...options, life });
    } catch (error) {
      storage.close();
      throw error;
    }
    const { link, wire, peers, members, where } = this.opened;
    const claims: Claim[] = [];
    const name = (peer: number): string =>
      peer < 0 ? "nobody" : formatAddress(config.link, peers.addresses, peer * ADDRESS_WORDS);
    const context: Context = {
      config,
      log,
      id,
      life,
      opened: this.opened,
      native: config.settings.wire === "native",
      peers,
      storage,
      random: Math.random,
      outbox: (role) => {
        const plain = wire.outbox(role, id);
        const outbox = log.enabled("debug") ? traceOutbox(plain, log, name) : plain;
        claims.push({ role, roleName: roleName(role), outbox: outbox satisfies Outbox });
        return outbox;
      },
    };
    try {
      this.#built = build(context);
    } catch (error) {
      link.close();
      storage.close();
      throw error;
    }
    const built = this.#built;
    const places = new Claims(claims, id, life, peers, where, (message) =>
      this.fail(new CliError(message, { hint: "give this process another --id, or end the other one" })),
    );
    this.#watch = new Watch(
      log,
      () => built.progress(),
      (at) => ({
        config,
        where,
        cores: this.node.roles.cores,
        wire: wire.counters,
        link: link.counters(),
        peers,
        members,
        busy: built.client?.busy() ?? 0,
        proposerId: built.client?.proposerId(),
        nowUs: at,
      }),
    );
    const roles = new Roles({
      ...built.cores,
      extras: [...(built.extras ?? []), places, this.#watch],
      pairsAccepts: context.native && link.kind === "ethernet",
      acceptorOf: (peer: Peer) => members.acceptors.indexOf(peer),
      proposerOf: (peer: Peer) => members.proposers.indexOf(peer),
      wallOffsetUs: Date.now() * 1000 - nowUs(),
    });
    const receiver = log.enabled("debug") ? traceReceiver(roles, log, name) : roles;
    this.node = new Node(link, wire, storage, roles, receiver);
    this.#runner = new Runner(this.node, link, built.sleeper);
  }

  /** Why nothing moves, as far as this process can tell. */
  reasons(): string[] {
    return this.#watch.reasons();
  }

  /** Runs to the end; throws what ended it, unless that was asked for. */
  async run(): Promise<ExitCode> {
    const onSignal = (signal: NodeJS.Signals): void => {
      this.log.info(`${signal}: ending`);
      this.stop();
    };
    const signals = this.#handlesSignals ? SIGNALS : [];
    for (const signal of signals) process.on(signal, onSignal);
    this.log.info(`ready on ${this.opened.where}, wire ${this.opened.wire.name}`);
    try {
      await this.#runner.run();
    } finally {
      for (const signal of signals) process.off(signal, onSignal);
      this.opened.link.close();
      this.node.storage.close();
      this.#built.close?.();
    }
    if (this.#fatal !== undefined) throw this.#fatal;
    return this.exitCode;
  }

  stop(exitCode: ExitCode = ExitCode.ok): void {
    this.exitCode = exitCode;
    this.#runner.stop(() => this.#built.farewell?.());
  }

  /** Ends with an error. */
  fail(error: CliError): void {
    this.#fatal ??= error;
    this.stop();
  }
}

function roleName(role: Role): string {
  return Object.entries(Role).find(([, bit]) => bit === role)![0];
}
