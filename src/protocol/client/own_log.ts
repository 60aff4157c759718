/**
 * What a client sees of its own values in the log (native wire). Its learner starts in the present, so it has no session table,
 * and needs none: a session that began before its eyes it can follow by itself, entry by entry, until there might be
 * something that it does not know. Then only acknowledgements count for that session.
 *
 * That is when instances were skipped; when a value comes in pieces, which others' pieces could have pushed out; and when as many
 * entries went by since the session's last one as the table has sessions: only then can the session have been evicted. Where
 * all sessions begin anew there is nothing left to follow.
 */
import { BatchReader, EntryFlag } from "../batch.ts";
import type { Application } from "../learner/learner.ts";
import { isReset } from "../reset_entry.ts";
import { MAX_IID } from "../types.ts";
import type { SessionClient } from "./session_client.ts";

export class OwnLog implements Application {
  readonly #client: SessionClient;
  readonly #sessionLimit: number;
  readonly #onSkipped: (first: number, last: number) => void;
  readonly #reader = new BatchReader();
  /** Entries that went by. */
  #entries = 0;
  /** Of each virtual client: the session that is followed (0: none), its nonce, its next sequence, and when it was last used. */
  readonly #nonce: Float64Array;
  readonly #session: Float64Array;
  readonly #next: Float64Array;
  readonly #usedAt: Float64Array;

  constructor(client: SessionClient, sessionLimit: number, onSkipped: (first: number, last: number) => void) {
    this.#client = client;
    this.#sessionLimit = sessionLimit;
    this.#onSkipped = onSkipped;
    this.#nonce = new Float64Array(client.sessions.count);
    this.#session = new Float64Array(client.sessions.count);
    this.#next = new Float64Array(client.sessions.count);
    this.#usedAt = new Float64Array(client.sessions.count);
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const reader = this.#reader;
    if (isReset(bytes, offset, length)) {
      this.#session.fill(0);
      this.#nonce.fill(0);
      return true;
    }
    reader.open(bytes, offset, length);
    while (reader.next()) {
      this.#entries++;
      if ((reader.flags & EntryFlag.open) !== 0) this.#opening(iid);
      else this.#entry(iid);
    }
    return true;
  }

  skipped(first: number, last: number): void {
    this.#session.fill(0);
    this.#onSkipped(first, last);
  }

  acknowledged(): number {
    return MAX_IID;
  }

  /** The first time that the log has a nonce of ours, its session opens there; the proposer tells the client so. */
  #opening(iid: number): void {
    const { index, session: nonce } = this.#reader;
    const client = index === 0 ? this.#client.findNonce(nonce) : -1;
    if (client < 0) return;
    this.#usedAt[client] = this.#entries;
    if (this.#nonce[client] === nonce) return;
    this.#nonce[client] = nonce;
    this.#session[client] = iid;
    this.#next[client] = 1;
  }

  #entry(iid: number): void {
    const { session, sequence, flags } = this.#reader;
    const client = this.#client.find(session);
    if (client < 0 || this.#session[client] !== session) return;
    if (this.#entries - this.#usedAt[client]! - 1 >= this.#sessionLimit) {
      this.#session[client] = 0;
      return;
    }
    this.#usedAt[client] = this.#entries;
    if (sequence !== this.#next[client]) return;
    if ((flags & (EntryFlag.more | EntryFlag.close)) !== 0) {
      this.#session[client] = 0;
      return;
    }
    // The rest of its run goes the same way: each is of this session, and the next.
    const rest = this.#reader.restOfRun();
    this.#reader.skipRun();
    this.#entries += rest;
    this.#usedAt[client] = this.#entries;
    this.#next[client] = sequence + rest + 1;
    this.#client.deliveredHere(client, sequence + rest, iid);
  }
}
