import type { Ballot, Life } from "./types.ts";

/** What an acceptor writes down: appended in order, made durable by the node before anything is revealed. */
export interface Journal {
  /** A promise for every instance ≥ `from`. */
  promised(from: number, ballot: Ballot, life: Life): void;
  /** A promise for one instance (Kernel_Paxos wire). */
  promisedAt(iid: number, ballot: Ballot): void;
  accepted(iid: number, ballot: Ballot, life: Life, bytes: Uint8Array, offset: number, length: number): void;
  trimmed(iid: number): void;
}
