/**
 * What a process is told, what its cores are made with, and what it gets from who makes them: `process.ts` runs it, in each
 * group a `lane.ts`.
 */
import type { Config, Member } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Peers } from "../net/peers.ts";
import type { WindowSize } from "../protocol/proposer/proposer_window.ts";
import type { Receiver } from "../protocol/receiver.ts";
import type { Life, Role } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import type { KernelPaxosOutbox } from "../wire/kernel_paxos_outbox.ts";
import type { NativeOutbox } from "../wire/native_outbox.ts";
import type { Opened } from "./open.ts";
import type { Cores, Extra } from "./roles.ts";
import type { Sleeper } from "./run.ts";

/** What a process is in one group. */
export interface Place {
  /** That group's view of the configuration. */
  readonly config: Config;
  readonly log: Log;
  /** Its place in the configuration, if it has one. */
  readonly member: Member | undefined;
}

export interface ProcessOptions extends Place {
  /** It belongs to these groups too: a client of several, or who merges them. */
  readonly others?: readonly Place[];
  /** For what concerns all of them; the first one's unless given. */
  readonly wholeLog?: Log;
  readonly id: number;
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
  /** Of a simulation, where it is smaller than in life. */
  readonly proposerWindow?: WindowSize | undefined;
  /** The outbox of one role; it claims that role and this process's id. */
  outbox(role: Role): NativeOutbox | KernelPaxosOutbox;
}

/** What the cores of a process are made with. */
export interface Context extends CoreContext {
  readonly opened: Opened;
}

/** What the diagnosis asks a client. */
export interface ClientView {
  /** The proposer it sends to now. */
  readonly proposerId: () => number;
  /** The last `busy` it was answered, 0 for none. */
  readonly busy: () => number;
  /** The learner host that was asked and does not answer. */
  readonly silentHost?: (() => string | undefined) | undefined;
  /** It waits for an answer that is no value's. */
  readonly isAsking?: () => boolean;
}

export interface Built {
  readonly cores: Omit<Cores, "pairsAccepts" | "acceptorOf" | "wallOffsetUs" | "extras">;
  readonly extras?: readonly Extra[];
  readonly sleeper?: Sleeper;
  /** Hears the messages in place of the cores (`inquiry.ts`). */
  readonly receiver?: Receiver;
  readonly client?: ClientView;
  /** For people: how a process that waits for a snapshot is told to begin empty; undefined: it was told so, or may not be. */
  readonly beginEmptyBy?: string | undefined;
  /** Whether nothing in this process waits for the event loop after a turn now: bursts may sleep (`run.ts`). */
  dozes?(): boolean;
  /** A number that grows while the process does its work; null: there is nothing to do now. Without it: one that only asks. */
  progress?(): number | null;
  /** False: those are silent from whom there may come something to do. */
  hears?(): boolean;
  /** Last words, said in a last turn. */
  farewell?(): void;
  /** Gives back what is not the link's. */
  close?(): void;
}
