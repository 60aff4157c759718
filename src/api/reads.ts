/**
 * Linearizable reads of a replica: asks the leader for a point of the log at or after everything that was acknowledged, and
 * lets the reads go on when this replica has applied that far. Reads that come while one question is under way share
 * the next one: an answer counts only for reads that began before it was asked.
 */
import type { Extra } from "../node/roles.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Peer } from "../protocol/types.ts";
import { lateness } from "./state_machine.ts";

const AGAIN_FIRST_US = 20_000;
const AGAIN_MAX_US = 200_000;
/** Reads that wait at once; more are refused. */
const READS_LIMIT = 65_536;

/** Who is told that the read may go on, once. */
export interface Reader {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Waiting extends Reader {
  /** Infinite until a turn has seen it: the last one may be long ago. */
  deadlineUs: number;
}

/** Reads that wait for the same point. */
interface Batch {
  readonly nonce: number;
  readonly reads: Waiting[];
  /** −1: not known yet. */
  iid: number;
}

export interface ReadsOptions {
  readonly proposers: number;
  readonly timeoutMs: number;
  /** No question of an earlier life may have the same nonce: where they begin, a random whole number. */
  readonly firstNonce: number;
  /** The last instance that this replica has applied. */
  readonly applied: () => number;
  /** Why nothing moves, if that is known: for people. */
  readonly reason: () => string | undefined;
}

export class Reads implements Extra {
  readonly counters = { asked: 0, confirmed: 0, refused: 0 };
  readonly #options: ReadsOptions;
  readonly #outbox: Outbox;
  /** Reads that no question was asked for yet. */
  #next: Waiting[] = [];
  /** Reads that began since the last tick. */
  readonly #fresh: Waiting[] = [];
  #asking: Batch | undefined;
  /** Their point is known and not applied here yet. */
  readonly #known: Batch[] = [];
  #nonce: number;
  #proposer = 0;
  #dueUs = 0;
  #pauseUs = AGAIN_FIRST_US;
  #nowUs = 0;

  constructor(options: ReadsOptions, outbox: Outbox) {
    this.#options = options;
    this.#outbox = outbox;
    this.#nonce = options.firstNonce;
  }

  /** Reads that wait. */
  get waiting(): number {
    const known = this.#known.reduce((sum, { reads }) => sum + reads.length, 0);
    return this.#next.length + (this.#asking?.reads.length ?? 0) + known;
  }

  /** Resolves when this replica has applied everything that was acknowledged before the call. */
  confirm(): Promise<void> {
    return new Promise((resolve, reject) => this.begin({ resolve, reject }));
  }

  /** The same without a promise: who waits is told within a turn. */
  begin({ resolve, reject }: Reader): void {
    if (this.waiting >= READS_LIMIT) {
      this.counters.refused++;
      reject(new Error(`${READS_LIMIT} reads wait already`));
      return;
    }
    const waiting = { deadlineUs: Number.POSITIVE_INFINITY, resolve, reject };
    this.#next.push(waiting);
    this.#fresh.push(waiting);
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    const deadlineUs = nowUs + this.#options.timeoutMs * 1000;
    for (let i = 0; i < this.#fresh.length; i++) this.#fresh[i]!.deadlineUs = deadlineUs;
    this.#fresh.length = 0;
    this.#expire(nowUs);
    if (this.#asking === undefined || nowUs < this.#dueUs) return;
    // It may be dead, or lead no more.
    this.#proposer = (this.#proposer + 1) % this.#options.proposers;
    this.#pauseUs = Math.min(2 * this.#pauseUs, AGAIN_MAX_US);
    this.#ask(this.#asking);
  }

  nextTickUs(): number {
    return this.#asking === undefined ? Number.POSITIVE_INFINITY : this.#dueUs;
  }

  pump(): boolean {
    const applied = this.#options.applied();
    for (let i = this.#known.length - 1; i >= 0; i--) {
      const { iid, reads } = this.#known[i]!;
      if (iid > applied) continue;
      this.#known.splice(i, 1);
      for (const { resolve } of reads) resolve();
    }
    if (this.#asking === undefined && this.#next.length > 0) {
      this.#asking = { nonce: ++this.#nonce, reads: this.#next, iid: -1 };
      this.#next = [];
      this.#pauseUs = AGAIN_FIRST_US;
      this.#ask(this.#asking);
    }
    return false;
  }

  onReadIndex(_from: Peer, nonce: number, iid: number, confirmed: boolean): void {
    const batch = this.#asking;
    if (batch === undefined || nonce !== batch.nonce) return;
    if (!confirmed) {
      // Asked again soon, not at once: while there is no leader everyone would be asked without end.
      this.#dueUs = Math.min(this.#dueUs, this.#nowUs + AGAIN_FIRST_US / 4);
      return;
    }
    this.counters.confirmed += batch.reads.length;
    batch.iid = iid;
    this.#known.push(batch);
    this.#asking = undefined;
  }

  /** The replica ends: nobody waits any more. */
  close(reason: Error): void {
    const batches = [this.#next, this.#asking?.reads ?? [], ...this.#known.map(({ reads }) => reads)];
    for (const { reject } of batches.flat()) reject(reason);
    this.#next = [];
    this.#asking = undefined;
    this.#known.length = 0;
  }

  #ask(batch: Batch): void {
    this.counters.asked++;
    this.#outbox.readAsk(this.#proposer, batch.nonce);
    this.#dueUs = this.#nowUs + this.#pauseUs;
  }

  #expire(nowUs: number): void {
    this.#next = this.#alive(this.#next, nowUs, "no leader confirmed the read");
    const asking = this.#asking;
    if (asking !== undefined) {
      const reads = this.#alive(asking.reads, nowUs, "no leader confirmed the read");
      if (reads !== asking.reads) this.#asking = reads.length === 0 ? undefined : { ...asking, reads };
    }
    for (let i = this.#known.length - 1; i >= 0; i--) {
      const batch = this.#known[i]!;
      const reads = this.#alive(
        batch.reads,
        nowUs,
        `this replica has not caught up to instance ${batch.iid}`,
      );
      if (reads.length === 0) this.#known.splice(i, 1);
      else if (reads !== batch.reads) this.#known[i] = { ...batch, reads };
    }
  }

  /** Without those whose time is over; the same array when all have time. They are in the order of their deadlines. */
  #alive(reads: Waiting[], nowUs: number, why: string): Waiting[] {
    let late = 0;
    while (late < reads.length && reads[late]!.deadlineUs <= nowUs) late++;
    if (late === 0) return reads;
    const { timeoutMs, reason } = this.#options;
    const text = lateness(`${why} within ${timeoutMs} ms`, reason());
    for (const { reject } of reads.slice(0, late)) {
      reject(new Error(text));
    }
    return reads.slice(late);
  }
}
