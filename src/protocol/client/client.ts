/**
 * What every client is, in either wire: values go out, deliveries and answers come in. Native wire: `session_client.ts`;
 * Kernel_Paxos wire: `record_client.ts`.
 */
import type { AckKind, Ballot, Busy } from "../types.ts";

export interface ClientSink {
  /** `count` new values of the client's are under way from now on, from number `first` on (its values count from 0). */
  made?(client: number, first: number, count: number): void;
  /**
   * `count` values of the client's are delivered, from number `first` on, each of `bytes` bytes and after `latencyUs`: told once, and
   * in order. `iid` 0: not known.
   */
  delivered(
    latencyUs: number,
    bytes: number,
    client: number,
    first: number,
    count: number,
    iid: number,
  ): void;
  /** It will never be known of a value that was sent whether it is (or still will be) delivered: its session is gone. */
  uncertain?(client: number, number: number): void;
}

export interface ClientCounters {
  submitted: number;
  delivered: number;
  /** Values sent again. */
  resent: number;
  /** Deliveries of a value that was delivered before: never, in the native wire. */
  duplicates: number;
  /** Values whose session was gone before they were known to be delivered. */
  uncertain: number;
}

export interface Client {
  readonly counters: ClientCounters;
  /** No value is sent before deliveries can be heard. */
  ready: boolean;
  /** Stop after so many values; may be raised while running. */
  limit: number;
  /** The proposer in use. */
  readonly proposerId: number;
  /** Values submitted and not known to be delivered yet. */
  readonly outstanding: number;
  readonly isDone: boolean;
  /** Something was sent that is to be answered or delivered. */
  readonly isWaiting: boolean;
  /**
   * A value was delivered: in the native wire one of this session and sequence (of a client of any process), in the
   * Kernel_Paxos wire one with these bytes.
   */
  onDelivered(
    session: number,
    sequence: number,
    iid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** `proposerId`: who says so, −1: not known. */
  onAcknowledge(kind: AckKind, session: number, sequence: number, iid: number, proposerId?: number): void;
  /** A leader speaks, at this ballot. */
  onLeader(ballot: Ballot): void;
  onBusy(reason: Busy): void;
  tick(nowUs: number): void;
  nextTickUs(): number;
  /** Sends what can be sent; true when frames ran out before. `wallUs` is the time of day. */
  pump(wallUs: number): boolean;
}

/** Of the native wire's. */
export interface SessionClientOptions {
  readonly clients: number;
  readonly outstanding: number;
  readonly proposerId: number;
  /** It goes on with each leader that it hears of. */
  readonly followsLeader?: boolean;
  readonly proposers: number;
  /** No value is sent again later than this after it was last sent. */
  readonly timeoutMs: number;
  /** What is under way may wait in queues for so long, before less of it is; 0: as long as it likes. */
  readonly queueDelayMs: number;
  /** Stop after so many values; `Infinity`: never. */
  readonly values: number;
  /** Values may share an instance. */
  readonly batching: boolean;
  readonly random: () => number;
}
