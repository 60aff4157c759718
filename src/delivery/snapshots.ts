/**
 * A learner's snapshots: taken between two instances, kept, served, fetched from others when the log cannot be read on, and
 * what of the log may be trimmed because of them. Stands between the learner and the state its log makes.
 *
 * Invariants: what is reported for trimming is acknowledged by the applications and covered by a snapshot that can be
 * served: from the file if there is one, else by another process, too. A state is begun at instance 1, empty, or with a
 * snapshot, never in between, unless that is asked for (`beginning.ts`), or it is of sessions alone (`unknown_sessions.ts`).
 */
import { CliError, messageOf } from "../error.ts";
import type { Log } from "../log.ts";
import type { Extra } from "../node/roles.ts";
import { assert } from "../protocol/assert.ts";
import type { Application, Learner } from "../protocol/learner/learner.ts";
import { MAX_SNAPSHOT_BYTES, SnapshotFetch } from "../protocol/learner/snapshot_transfer.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Peer } from "../protocol/types.ts";
import { Beginning, type BeginningOptions } from "./beginning.ts";
import { CatchUpNote } from "./catch_up_note.ts";
import { LogCheck } from "./log_check.ts";
import { SecondHolder } from "./second_holder.ts";
import {
  decodeSnapshot,
  type Encoded,
  encodedOf,
  encodeSnapshot,
  kindOf,
  SESSIONS_ONLY,
  type Snapshot,
} from "./snapshot.ts";
import type { Loaded, SnapshotPlace } from "./snapshot_file.ts";
import { SnapshotPolicy, type SnapshotPolicyOptions } from "./snapshot_policy.ts";
import { SnapshotServer } from "./snapshot_server.ts";
import { SnapshotShelf } from "./snapshot_shelf.ts";
import { StandstillNote } from "./standstill_note.ts";
import { UnknownSessions } from "./unknown_sessions.ts";

/** What the log makes: the table of sessions, and what is behind it (`SessionFilter`). */
export interface LogState extends Application {
  /** The last instance that is in it as a whole. */
  readonly iid: number;
  /** It is that of the whole log up to `iid`. */
  readonly isWhole: boolean;
  /** The state as of `iid`; null in the middle of an instance. */
  snapshot(): Uint8Array | null;
  /** Goes on behind `iid`. Null, or why not: then nothing has changed. */
  restore(bytes: Uint8Array, iid: number): string | null;
  /** Goes on behind `iid` without the state: nothing of it is delivered until it is whole again by itself. */
  beginUnknown(iid: number): void;
}

/** The state of an application that has one (`api/state_machine.ts`). */
export interface SnapshotMachine {
  readonly name: string;
  snapshot(): Uint8Array;
  /** Throws when the bytes are none of its states. */
  restore(snapshot: Uint8Array): void;
  /** Its state, which is empty, is that behind the instance that its log is at now. */
  beginEmpty(): void;
}

export interface SnapshotsOptions extends SnapshotPolicyOptions, Omit<BeginningOptions, "kind"> {
  readonly clusterId: number;
  readonly state: LogState;
  readonly machine?: SnapshotMachine | undefined;
  /** Told of what a snapshot has left out, where there is no machine that it was put into. */
  readonly onGap: (first: number, last: number) => void;
  /** For people: how it is told to begin empty; undefined: it was told so, or may not be. */
  readonly beginEmptyBy?: string | undefined;
  readonly learnerTimeoutMs: number;
  readonly file?: SnapshotPlace | undefined;
  /** Only processes that the configuration lists can be asked. */
  readonly isListed: boolean;
  readonly log: Log;
}

/** A snapshot that is asked for is taken at most so often; where the last one would do, and has an application's state, less. */
const FRESH_US = 100_000;
const FRESH_MACHINE_US = 1_000_000;
const ASKERS = 32;
/** How often it is looked whether a snapshot is needed still, while one is. */
const LOOK_US = 50_000;
const NEVER = Number.POSITIVE_INFINITY;
const NOTHING = new Uint8Array(0);

export class Snapshots implements Application, Extra {
  readonly kind: number;
  readonly counters = { taken: 0, restored: 0, refused: 0 };
  readonly fetch: SnapshotFetch;
  readonly server: SnapshotServer;
  readonly policy: SnapshotPolicy;
  readonly second: SecondHolder;
  readonly #options: SnapshotsOptions;
  readonly #beginning: Beginning;
  readonly #note: CatchUpNote;
  readonly #standstill: StandstillNote;
  readonly #unknown: UnknownSessions;
  /** For people: what its snapshots are of. */
  readonly #what: string;
  /** Of this process's kind; and of sessions alone, for those that have no application. */
  readonly #own: SnapshotShelf;
  readonly #plain: SnapshotShelf;
  #learner: Learner | undefined;
  #nowUs = 0;
  readonly #ofLog: LogCheck;
  readonly #askers = new Int32Array(ASKERS);
  readonly #askedKind = new Uint32Array(ASKERS);
  readonly #askedAbove = new Float64Array(ASKERS);
  #asks = 0;

  constructor(options: SnapshotsOptions, outbox: Outbox) {
    this.#options = options;
    this.kind = options.machine === undefined ? SESSIONS_ONLY : kindOf(options.machine.name);
    this.#what = options.machine === undefined ? "the sessions" : `the application "${options.machine.name}"`;
    this.#own = new SnapshotShelf(this.kind);
    this.#plain = this.kind === SESSIONS_ONLY ? this.#own : new SnapshotShelf(SESSIONS_ONLY);
    this.fetch = new SnapshotFetch(outbox);
    this.#beginning = new Beginning({ ...options, kind: this.kind }, this.fetch);
    this.server = new SnapshotServer(outbox, this.#own);
    this.policy = new SnapshotPolicy(options, options.file);
    this.second = new SecondHolder(this.policy, {
      kind: this.kind,
      what: this.#what,
      needs: options.isListed ? " (over UDP each needs its line in paxos.conf)" : "",
      outbox,
      log: options.log,
    });
    this.#note = new CatchUpNote(options.log);
    this.#standstill = new StandstillNote(options.log);
    this.#unknown = new UnknownSessions(options);
    this.#ofLog = new LogCheck(options.file);
  }

  /** The learner whose application this is. Begins at once where that can be known. */
  attach(learner: Learner): void {
    this.#learner = learner;
    const { file, clusterId, start } = this.#options;
    const loaded = file?.load(clusterId, this.kind);
    if (loaded !== undefined) this.#begin(loaded, file!);
    else if (start === "first") learner.restored(0);
  }

  /** The process has ended: another one may keep its snapshot where this one's is. */
  release(): void {
    this.#options.file?.release?.();
  }

  /** Up to where its snapshots of a kind go; 0: it has none. */
  covers(kind: number): number {
    return this.#shelfOf(kind)?.newest?.iid ?? 0;
  }

  /** Why nothing is trimmed on this process's account, where another one is missing that has its state; null: none is. */
  get loneliness(): string | null {
    return this.second.aloneUs > 0 ? this.second.text(this.#theLearner.trimmedIid) : null;
  }

  // ── between the learner and its state ─────────────────────────────────────────────────────────────────────────

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    // A snapshot must not find us ahead of it; nor does a state take up what may be of another log.
    if ((this.#unknown.isBegun && this.fetch.isExpected) || this.#theLearner.isDoubted) return false;
    return this.#options.state.deliver(iid, bytes, offset, length);
  }

  skipped(first: number, last: number): void {
    this.#options.state.skipped(first, last);
  }

  acknowledged(): number {
    if (this.#theLearner.isDoubted) return 0;
    return Math.min(this.#options.state.acknowledged(), this.policy.reported);
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    this.#own.tick(nowUs);
    if (this.#plain !== this.#own) this.#plain.tick(nowUs);
    this.#ofLog.tick(nowUs, this.#theLearner);
    this.#need();
    this.fetch.tick(nowUs);
    const learner = this.#theLearner;
    this.policy.tick(nowUs, this.#options.state.acknowledged(), learner.isPressed);
    this.second.tick(nowUs, learner);
  }

  nextTickUs(): number {
    const waits = this.#theLearner.next === 0 || this.#theLearner.lostIid > 0;
    const lookUs = waits ? this.#nowUs + LOOK_US : NEVER;
    return Math.min(this.fetch.dueUs(), this.policy.dueUs(), this.second.dueUs(), lookUs);
  }

  pump(nowUs: number): boolean {
    this.#note.look(nowUs, this.#theLearner);
    if (this.#unknown.haveBegunAnew()) this.fetch.cancel();
    const learner = this.#theLearner;
    if (this.fetch.stage === "complete" && this.#ofLog.canTell(nowUs, learner)) this.#take();
    const { policy } = this;
    const { counters, isPressed } = learner;
    if (policy.isDue(nowUs, this.#options.state.iid, counters.deliveredBytes, isPressed)) {
      const snapshot = this.#snapshot(this.#own);
      if (snapshot !== null) {
        policy.taken(snapshot, counters.deliveredBytes, nowUs);
        policy.tick(nowUs, this.#options.state.acknowledged(), isPressed);
      }
    }
    for (let i = 0; i < this.#asks; i++) this.#answer(i);
    this.#asks = 0;
    return this.server.pump(nowUs);
  }

  // ── others' ───────────────────────────────────────────────────────────────────────────────────────────────────

  onSnapshotAsk(from: Peer, kind: number, above: number): void {
    if (this.#asks === ASKERS || this.#shelfOf(kind) === null || this.#theLearner.isDoubted) return;
    this.#askers[this.#asks] = from;
    this.#askedKind[this.#asks] = kind;
    this.#askedAbove[this.#asks++] = above;
  }

  onSnapshotInfo(from: Peer, kind: number, iid: number, size: number, checksum: number): void {
    this.second.onOffer(kind, iid);
    this.fetch.onInfo(from, kind, iid, size, checksum);
  }

  onSnapshotFetch(from: Peer, kind: number, iid: number, position: number, size: number): void {
    const shelf = this.#shelfOf(kind);
    if (shelf !== null) this.server.onFetch(from, shelf, iid, position, size);
  }

  onSnapshotChunk(
    from: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.fetch.onChunk(from, kind, iid, position, bytes, offset, length);
  }

  #shelfOf(kind: number): SnapshotShelf | null {
    if (kind === this.kind) return this.#own;
    return kind === SESSIONS_ONLY ? this.#plain : null;
  }

  /**
   * Who wants to begin (`above` 0) gets a snapshot of now, unless one was taken a moment ago; who wants to go on gets the newest
   * one that leads it far enough, for what the log has behind that it can still read.
   */
  #answer(i: number): void {
    const shelf = this.#shelfOf(this.#askedKind[i]!)!;
    const above = this.#askedAbove[i]!;
    const newest = shelf.newest?.iid ?? 0;
    const isUseless = newest <= above;
    const pauseUs = isUseless || shelf.kind === SESSIONS_ONLY ? FRESH_US : FRESH_MACHINE_US;
    const mayTake = this.#options.state.iid > Math.max(newest, above);
    if (mayTake && (isUseless || above === 0) && this.#nowUs - shelf.sinceUs >= pauseUs)
      this.#snapshot(shelf);
    this.server.offer(this.#askers[i]! as Peer, shelf, above, this.#nowUs);
  }

  /** Takes one of the state as it is; null when it is in the middle of an instance, or has nothing. */
  #snapshot(shelf: SnapshotShelf): Encoded | null {
    const { state, machine, clusterId } = this.#options;
    const { iid } = state;
    const { logId } = this.#theLearner;
    // Of a table with gaps in it nobody could go on rightly.
    if (iid < 1 || iid !== this.#theLearner.next - 1 || !state.isWhole) return null;
    if (shelf.newest?.iid === iid) return shelf.newest;
    const table = state.snapshot();
    if (table === null) return null;
    const application = machine !== undefined && shelf === this.#own ? machine.snapshot() : NOTHING;
    if (table.length + application.length > MAX_SNAPSHOT_BYTES - 64) {
      throw new CliError(`a snapshot of ${machine?.name} has ${application.length} bytes`, {
        hint: `no learner could fetch more than ${MAX_SNAPSHOT_BYTES} bytes: keep its state smaller`,
      });
    }
    const snapshot = encodeSnapshot({ kind: shelf.kind, iid, logId, table, application }, clusterId);
    shelf.put(snapshot, this.#nowUs);
    this.counters.taken++;
    return snapshot;
  }

  // ── fetching ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Asks for a snapshot where none can do without, and stops where one can. */
  #need(): void {
    const learner = this.#theLearner;
    const { fetch } = this;
    if (learner.next === 0) this.#beginning.look(learner, this.#nowUs);
    else if (learner.lostIid >= learner.next) {
      fetch.want(this.kind, learner.lostIid - 1, this.#nowUs);
    } else if (this.#unknown.isBegun) fetch.want(this.kind, this.#options.state.iid - 1, this.#nowUs);
    else if (fetch.stage !== "idle") fetch.cancel();
    // Else the state behind them would be wrong without what is trimmed.
    if (this.#options.machine === undefined) this.#unknown.look(this.#nowUs, learner, fetch.counters.offers);
    if (!learner.waitsForSnapshot && !this.#unknown.isBegun) this.#standstill.over();
    else if (fetch.stage === "asking") this.#saySo();
  }

  #saySo(): void {
    const { next, trimmedIid, lostIid } = this.#theLearner;
    const { machine, beginEmptyBy } = this.#options;
    this.#standstill.look(this.#nowUs, {
      trimmedIid: Math.max(trimmedIid, lostIid),
      what: this.#what,
      hasState: machine !== undefined,
      beginEmptyBy: next === 0 ? beginEmptyBy : undefined,
      sinceUs: next === 0 ? this.#beginning.standsSinceUs : this.fetch.askedSinceUs,
    });
  }

  /** What was fetched becomes the state, if it is of use still. */
  #take(): void {
    const { fetch } = this;
    const { bytes } = fetch;
    const snapshot = decodeSnapshot(bytes, this.#options.clusterId);
    if (typeof snapshot === "string" || snapshot.kind !== fetch.kind || snapshot.iid !== fetch.iid) {
      this.#refuse(`it is ${typeof snapshot === "string" ? `refused: ${snapshot}` : "not what was offered"}`);
      return;
    }
    const former = this.#ofLog.refusalOf(snapshot.logId, this.#theLearner);
    if (former !== null) return this.#refuse(former);
    const first = this.#theLearner.next;
    // Without the sessions even the state of just here is news.
    if (snapshot.iid < (this.#unknown.isBegun ? first - 1 : first)) return fetch.cancel();
    const refusal = this.#restore(snapshot, encodedOf(snapshot, bytes));
    if (refusal !== null) return this.#refuse(refusal);
    fetch.cancel();
    const { log, machine, onGap } = this.#options;
    log.info(`goes on behind instance ${snapshot.iid} with a snapshot of ${bytes.length} bytes`);
    if (first > 0 && first <= snapshot.iid && machine === undefined) onGap(first, snapshot.iid);
  }

  #refuse(why: string): void {
    this.counters.refused++;
    this.#options.log.once(
      "snapshot refused",
      "error",
      `a snapshot of ${this.#what} that was fetched is of no use: ${why}; others are asked for theirs`,
    );
    this.fetch.refuse();
  }

  #begin({ snapshot, encoded }: Loaded, file: SnapshotPlace): void {
    const refusal = this.#restore(snapshot, encoded);
    if (refusal !== null) throw file.refusal(refusal);
    this.#ofLog.began(snapshot, this.#theLearner);
    this.#options.log.info(`goes on behind instance ${snapshot.iid} with ${file.path}`);
  }

  /** Null, or why the snapshot is not taken: then nothing has changed. */
  #restore(snapshot: Snapshot, encoded: Encoded): string | null {
    const { state, machine } = this.#options;
    const { iid, table, kind } = snapshot;
    const former = state.snapshot();
    const formerIid = state.iid;
    const wasWhole = state.isWhole;
    if (former === null) return "an instance is delivered in part";
    const refusal = state.restore(table, iid);
    if (refusal !== null) return `its table of sessions is refused: ${refusal}`;
    if (machine !== undefined && kind === this.kind) {
      try {
        machine.restore(snapshot.application);
      } catch (error) {
        // One that had gaps has nothing to go back to, and loses this one, too, with the next instance.
        if (wasWhole) assert(state.restore(former, formerIid) === null, "a state goes back to what it was");
        return `${machine.name} says: ${messageOf(error)}`;
      }
    }
    this.#unknown.isBegun = false;
    this.#theLearner.restored(iid);
    const own = kind === this.kind ? encoded : this.#beginEmpty(iid);
    this.#own.put(own, this.#nowUs);
    this.policy.taken(own, this.#theLearner.counters.deliveredBytes, this.#nowUs);
    this.counters.restored++;
    return null;
  }

  #beginEmpty(iid: number): Encoded {
    this.#options.machine!.beginEmpty();
    this.#options.log.warn(
      `${this.#what} begins with an empty state behind instance ${iid}, as it was told to: what the log has for it up to there is not in it. Start others of it without being told so: they get this one's state`,
    );
    const own = this.#snapshot(this.#own);
    assert(own !== null, "there is a snapshot of a state that begins");
    this.policy.beganEmpty(iid);
    return own;
  }

  get #theLearner(): Learner {
    assert(this.#learner !== undefined, "snapshots have their learner");
    return this.#learner;
  }
}
