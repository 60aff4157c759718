/**
 * The client of the native wire: virtual clients, each a session that delivers its values once and in order. Values go out
 * in sequence, are sent again from the first that is missing, and wait while proposers are busy; they are done when an
 * acknowledgement, the client's own learner, a device or a learner host says so, whichever is first. Pure.
 *
 * Invariants: a value is told delivered once, after all before it in its session; none is given up but by the end of its
 * session, and then it is told uncertain unless it was never sent.
 */
import { EntryFlag } from "../batch.ts";
import { NumberIndex } from "../number_index.ts";
import type { Outbox } from "../outbox.ts";
import { Retry } from "../retry.ts";
import { AckKind, type Ballot, type Busy, MAX_IID } from "../types.ts";
import { ActiveRing } from "./active_ring.ts";
import type { Client, ClientSink, SessionClientOptions } from "./client.ts";
import { ClientSessions, drawNonce } from "./client_sessions.ts";
import { EntryPacker } from "./entry_packer.ts";
import { ProposerChoice } from "./proposer_choice.ts";
import { SendWindow } from "./send_window.ts";
import { ValueRuns } from "./value_runs.ts";
import type { ValueSource } from "./value_source.ts";

const CHECK_US = 10_000;
/** Nothing is sent again sooner: a busy machine is late by this. */
const LEAST_RETRY_US = 40_000;
/** Pieces of a session that may be under way, where they are more than its values. */
const PIECES_IN_FLIGHT = 128;

export class SessionClient implements Client {
  readonly counters = {
    submitted: 0,
    delivered: 0,
    resent: 0,
    duplicates: 0,
    uncertain: 0,
    opened: 0,
    expired: 0,
  };
  /** Sessions may be opened: before `ready`, which is about values. */
  opens = false;
  readonly sessions: ClientSessions;
  readonly #options: SessionClientOptions;
  readonly #source: ValueSource;
  readonly #sink: ClientSink;
  readonly #packer: EntryPacker;
  readonly #runs: ValueRuns;
  readonly #byId: NumberIndex;
  readonly #byNonce: NumberIndex;
  readonly #choice: ProposerChoice;
  readonly #retry: Retry;
  readonly #window: SendWindow;
  /** Of each session: since when something is waited for, how often that was sent again, the last gap and when it was told. */
  readonly #waitUs: Float64Array;
  readonly #tries: Uint8Array;
  readonly #isOpening: Uint8Array;
  readonly #gapAt: Float64Array;
  readonly #gapUs: Float64Array;
  /** The highest sequence that came as a delivery, not as an acknowledgement. */
  readonly #heardTo: Float64Array;
  readonly #active: ActiveRing;
  /** The session that was found last. */
  #found = -1;
  /** Sessions whose opening was sent and not answered yet. */
  #openings = 0;
  #ready = false;
  #limit: number;
  #outstanding = 0;
  #checkUs = 0;
  #nowUs = 0;

  constructor(options: SessionClientOptions, source: ValueSource, outbox: Outbox, sink: ClientSink) {
    const { clients, outstanding } = options;
    this.#options = options;
    this.#source = source;
    this.#sink = sink;
    this.#limit = options.values;
    this.sessions = new ClientSessions(clients, outstanding);
    this.#packer = new EntryPacker(outbox, options.batching);
    this.#runs = new ValueRuns(this.sessions, source, this.#packer, sink);
    this.#byId = new NumberIndex(this.sessions.id);
    this.#byNonce = new NumberIndex(this.sessions.nonce);
    this.#choice = new ProposerChoice(options.proposerId, options.proposers, options.followsLeader);
    this.#retry = new Retry(options.timeoutMs * 1000, LEAST_RETRY_US);
    this.#window = new SendWindow(clients, options.random, options.queueDelayMs * 1000);
    this.#waitUs = new Float64Array(clients);
    this.#tries = new Uint8Array(clients);
    this.#isOpening = new Uint8Array(clients);
    this.#gapAt = new Float64Array(clients);
    this.#gapUs = new Float64Array(clients);
    this.#heardTo = new Float64Array(clients);
    this.#active = new ActiveRing(clients);
    for (let client = 0; client < clients; client++) {
      this.sessions.nonce[client] = this.#newNonce();
      this.#byNonce.add(client);
      this.#active.add(client);
    }
  }

  get ready(): boolean {
    return this.#ready;
  }
  set ready(ready: boolean) {
    this.#ready = ready;
    if (!ready) return;
    this.opens = true;
    this.#activateAll();
  }

  get limit(): number {
    return this.#limit;
  }
  set limit(limit: number) {
    this.#limit = limit;
    this.#activateAll();
  }

  get proposerId(): number {
    return this.#choice.id;
  }
  /** How often the client went on with another proposer. */
  get switches(): number {
    return this.#choice.switches;
  }
  get outstanding(): number {
    return this.#outstanding;
  }
  get isWaiting(): boolean {
    return this.#outstanding + this.#openings > 0;
  }
  get isDone(): boolean {
    return this.counters.submitted >= this.#limit && this.#outstanding === 0;
  }

  /** Which virtual client this session is, −1: none. */
  find(session: number): number {
    // Mostly it is the one that was asked for before.
    if (this.#found < 0 || this.sessions.id[this.#found] !== session || session === 0)
      this.#found = this.#byId.find(session);
    return this.#found;
  }
  findNonce(nonce: number): number {
    return this.#byNonce.find(nonce);
  }

  // ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────

  /** The session of this nonce is open, as a proposer says that knows it: it takes values of it now. */
  opened(nonce: number, session: number): void {
    const { sessions } = this;
    const client = this.#byNonce.find(nonce);
    if (client < 0 || sessions.id[client] !== 0 || this.#byId.find(session) >= 0) return;
    sessions.id[client] = session;
    this.#byId.add(client);
    this.#openings -= this.#isOpening[client]!;
    this.#isOpening[client] = 0;
    this.#heardTo[client] = 0;
    this.counters.opened++;
    this.#progress(client);
    this.#active.add(client);
  }

  onDelivered(session: number, sequence: number, iid: number): void {
    const client = this.find(session);
    if (client >= 0) this.deliveredHere(client, sequence, iid);
  }

  /** A value of this virtual client was seen delivered. */
  deliveredHere(client: number, sequence: number, iid: number): void {
    if (sequence <= this.#heardTo[client]!) {
      this.counters.duplicates++;
      return;
    }
    this.#heardTo[client] = sequence;
    this.#deliveredTo(client, sequence, iid);
  }

  onAcknowledge(kind: AckKind, session: number, sequence: number, iid: number, proposerId = -1): void {
    if (kind === AckKind.opened) {
      if (this.#byNonce.find(sequence) < 0) return;
      this.#choice.heard(this.#nowUs);
      this.opened(sequence, session);
      return;
    }
    const client = this.find(session);
    if (client < 0) return;
    if (kind === AckKind.gap && this.#choice.calls(proposerId, this.#nowUs)) this.#switched();
    this.#choice.heard(this.#nowUs);
    if (kind === AckKind.expired) this.#expired(client);
    else if (kind === AckKind.gap) this.#gap(client, sequence + 1);
    else this.#deliveredTo(client, sequence, iid);
  }

  onLeader(ballot: Ballot): void {
    if (this.#choice.follows(ballot, this.#nowUs)) this.#switched();
  }

  onBusy(reason: Busy): void {
    this.#choice.refused(reason, this.#nowUs);
    if (!this.#window.isPaused) this.#window.refused(this.#nowUs, this.sessions.mostInFlight());
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    const window = this.#window;
    if (window.isPaused) {
      if (nowUs < window.resumeUs) return;
      window.resumeUs = -1;
      // Nothing was sent meanwhile, so nothing could be answered.
      this.#choice.heard(nowUs);
      if (!this.#switches()) this.#goBackAll(window.pausedUs);
      return;
    }
    if (nowUs < this.#checkUs) return;
    this.#checkUs = nowUs + CHECK_US;
    for (let client = 0; client < this.sessions.count; client++) {
      if (!this.#isWaiting(client)) continue;
      const dueUs = this.#waitUs[client]! + this.#retry.pauseUs(this.#tries[client]! + 1);
      if (nowUs >= dueUs && this.#timeout(client)) return;
    }
  }

  nextTickUs(): number {
    if (this.#window.isPaused) return this.#window.resumeUs;
    return this.isWaiting ? this.#checkUs : Number.POSITIVE_INFINITY;
  }

  pump(_wallUs: number): boolean {
    if (!this.opens || this.#window.isPaused) return false;
    let more = false;
    for (let left = this.#active.count; left > 0; left--) {
      more = !this.#serve(this.#active.first);
      if (more) break;
      this.#active.shift();
    }
    this.#packer.flush(this.#choice.id);
    return more;
  }

  /** Ends the sessions of which nothing is under way; a last word, nothing waits for it. */
  close(): void {
    const { sessions } = this;
    for (let client = 0; client < sessions.count; client++) {
      if (sessions.id[client] === 0 || sessions.underWay(client) > 0) continue;
      const session = sessions.id[client]!;
      const sequence = sessions.nextSequence[client]!;
      if (this.#packer.begin(session, sequence, 0, EntryFlag.close, this.#choice.id) < 0) break;
    }
    this.#packer.flush(this.#choice.id);
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what the session has to send now; false: there is no room. */
  #serve(client: number): boolean {
    const { sessions } = this;
    if (sessions.id[client] === 0) return this.#sendOpening(client);
    if (!this.#ready) return true;
    const limit = Math.min(this.#window.size, Math.max(sessions.outstanding, PIECES_IN_FLIGHT));
    const inFlight = sessions.inFlight(client);
    let most = Math.floor(limit - inFlight);
    let hasRoom = true;
    while (most > 0) {
      if (sessions.hasToSend(client)) hasRoom = this.#sendNext(client);
      else if (!this.#sendNew(client, most)) break;
      if (!hasRoom) break;
      most = Math.floor(limit - sessions.inFlight(client));
    }
    if (inFlight === 0 && sessions.inFlight(client) > 0) this.#waitUs[client] = this.#nowUs;
    return hasRoom;
  }

  /** Makes new values, and sends those that are easily sent; false: there are none, or as many are under way as may be. */
  #sendNew(client: number, most: number): boolean {
    const { sessions, counters } = this;
    const places = sessions.outstanding - sessions.underWay(client);
    const count = Math.min(most, places, this.#limit - counters.submitted);
    if (count <= 0) return false;
    this.#expects();
    const made = this.#runs.send(client, count, this.#choice.id, this.#nowUs);
    this.#outstanding += made;
    counters.submitted += made;
    return true;
  }

  /** Sends a piece, or again what was sent before; false: there is no room. */
  #sendNext(client: number): boolean {
    const { sessions } = this;
    const { pieceBytes, bytes } = this.#packer;
    const number = sessions.sending[client]!;
    const place = sessions.sendingAt[client]!;
    const sequence = sessions.sendNext[client]!;
    const last = sessions.lastSequence[place]!;
    const from = (sequence - last + sessions.pieces[place]! - 1) * pieceBytes;
    const length = Math.min(pieceBytes, sessions.size[place]! - from);
    const session = sessions.id[client]!;
    const flags = sequence < last ? EntryFlag.more : 0;
    const at = this.#packer.begin(session, sequence, length, flags, this.#choice.id);
    if (at < 0) return false;
    this.#source.copy(client, number, from, length, bytes, at);
    if (sessions.sent(client, this.#nowUs)) this.counters.resent++;
    return true;
  }

  /** An opening has to be the first of its message. */
  #sendOpening(client: number): boolean {
    this.#packer.flush(this.#choice.id);
    const nonce = this.sessions.nonce[client]!;
    if (this.#packer.begin(nonce, 0, 0, EntryFlag.open, this.#choice.id) < 0) return false;
    if (this.#isOpening[client] === 0) {
      this.#expects();
      this.#isOpening[client] = 1;
      this.#openings++;
    }
    this.#waitUs[client] = this.#nowUs;
    return true;
  }

  /** Something is about to be waited for; if it is the first, answers are expected from now on. */
  #expects(): void {
    if (!this.isWaiting) this.#choice.expects(this.#nowUs);
  }

  // ── what becomes of values ───────────────────────────────────────────────────────────────────────────────────

  #deliveredTo(client: number, sequence: number, iid: number): void {
    const { sessions } = this;
    const before = sessions.done[client]!;
    const inFlight = sessions.inFlight(client);
    if (!sessions.deliveredTo(client, sequence)) return;
    this.#window.delivered(sequence - before, inFlight);
    const count = this.#runs.takeOff(client, iid, this.#nowUs);
    this.#outstanding -= count;
    this.counters.delivered += count;
    // Of what came at once: how long the first was under way, which is waited for, and the last, which tells of queues.
    const { firstAt, lastAt } = this.#runs;
    if (firstAt >= 0) {
      this.#retry.sample(this.#nowUs - sessions.sentUs[firstAt]!);
      this.#window.sample(this.#nowUs - sessions.sentUs[lastAt]!, this.#nowUs);
    }
    this.#progress(client);
    this.#active.add(client);
  }

  /** What was sent from `sequence` on was not taken. */
  #gap(client: number, sequence: number): void {
    // The same comes again of what was sent before it was heard.
    const isNews =
      this.#gapAt[client] !== sequence || this.#nowUs - this.#gapUs[client]! >= this.#window.leastUs;
    if (!isNews || sequence >= this.sessions.sendNext[client]!) return;
    this.#lost();
    this.#gapAt[client] = sequence;
    this.#gapUs[client] = this.#nowUs;
    const before = this.#waitUs[client]!;
    this.#goBack(client, sequence);
    // What others answer is no progress.
    this.#waitUs[client] = before;
  }

  #expired(client: number): void {
    const { sessions } = this;
    this.counters.expired++;
    this.#byId.remove(client);
    this.#byNonce.remove(client);
    while (sessions.mayHeadBeDelivered(client)) {
      const number = sessions.head[client]!;
      sessions.takeHead(client);
      this.#outstanding--;
      this.counters.uncertain++;
      this.#sink.uncertain?.(client, number);
      this.#source.release(client, number);
    }
    sessions.restart(client, this.#newNonce());
    this.#byNonce.add(client);
    this.#tries[client] = 0;
    this.#active.add(client);
  }

  #progress(client: number): void {
    this.#choice.progress(this.#nowUs);
    this.#waitUs[client] = this.#nowUs;
    this.#tries[client] = 0;
  }

  #isWaiting(client: number): boolean {
    if (this.sessions.id[client] === 0) return this.#isOpening[client] === 1;
    return this.sessions.inFlight(client) > 0;
  }

  /** Nothing came back in time. True: another proposer is in use, and everything was set back. */
  #timeout(client: number): boolean {
    this.#tries[client] = Math.min(30, this.#tries[client]! + 1);
    if (this.#switches()) return true;
    this.#lost();
    this.#goBack(client, 0);
    return false;
  }

  #lost(): void {
    if (this.#window.isNewLoss(this.#nowUs)) this.#window.lost(this.#nowUs, this.sessions.mostInFlight());
  }

  /** Whether it was time for another proposer. */
  #switches(): boolean {
    if (!this.#choice.review(this.#nowUs, this.#retry.firstUs())) return false;
    this.#switched();
    return true;
  }

  /** Everything is sent to the proposer that is in use now. */
  #switched(): void {
    this.#window.switched();
    this.#goBackAll(Number.POSITIVE_INFINITY);
  }

  #goBack(client: number, sequence: number): void {
    this.sessions.goBack(client, sequence);
    this.#waitUs[client] = this.#nowUs;
    this.#active.add(client);
  }

  /** Everything is sent again that is not known to be wanted from further on, by a gap told since then. */
  #goBackAll(sinceUs: number): void {
    const { count } = this.sessions;
    // From anyone on: what a proposer has no room for is always of those who are served last.
    this.#active.addAll(Math.floor(this.#options.random() * count));
    for (let client = 0; client < count; client++) {
      if (!this.#isWaiting(client)) continue;
      this.#tries[client] = 0;
      if (this.#gapUs[client]! < sinceUs) this.#goBack(client, 0);
    }
  }

  #activateAll(): void {
    for (let client = 0; client < this.sessions.count; client++) this.#active.add(client);
  }

  #newNonce(): number {
    const nonce = drawNonce(this.#options.random);
    // Drawn again in the case that never happens.
    return nonce >= 1 && nonce <= MAX_IID && this.#byNonce.find(nonce) < 0 ? nonce : this.#newNonce();
  }
}
