/**
 * Which client values a proposer takes (native wire), and what it tells clients of their sessions: what is delivered, from where
 * to send again, which session is not known, which was opened. Deduplication is decided at delivery; this only sees to it
 * that little has to be discarded there. Pure.
 *
 * A proposer with a queue of its own takes a session's values in sequence, each once; one that forwards lets pass what it
 * cannot judge. Acknowledgements come from this node's own deliveries, cumulative, one a session a turn, and go to whoever used
 * the session here last. What is kept of a session is in the table's place for it, so the table's limit bounds it.
 */
import { BatchReader, ENTRY_HEADER_BYTES, EntryFlag, writeEntryHeader } from "../batch.ts";
import { copyBytes } from "../bytes.ts";
import type { EntryListener, SessionFilter } from "../learner/session_filter.ts";
import { Outcome } from "../learner/session_table.ts";
import type { Outbox } from "../outbox.ts";
import { AckKind, NO_PEER, type Peer } from "../types.ts";
import { Openings } from "./openings.ts";
import { SessionsAhead } from "./sessions_ahead.ts";

/** How strictly values are judged. */
export const Judging = {
  /** They are forwarded: only what is delivered or unknown is answered here. */
  pass: 0,
  /** They are queued, but what is delivered may not be known here as far as it is: the first of a session is believed. */
  lenient: 1,
  /** They are queued by a leader that has delivered everything from before its time. */
  strict: 2,
} as const;
export type Judging = (typeof Judging)[keyof typeof Judging];

const ROOM_RESERVE = 8;

/** What is still to be said of a session. */
const Say = { nothing: 0, delivered: 1, gap: 2 } as const;

export class Admission implements EntryListener {
  readonly counters = {
    taken: 0,
    duplicates: 0,
    underWay: 0,
    gaps: 0,
    expired: 0,
    acknowledged: 0,
    forbidden: 0,
  };
  /** After `next`: the values to take. */
  bytes: Uint8Array;
  offset = 0;
  length = 0;
  readonly #filter: SessionFilter;
  readonly #outbox: Outbox;
  readonly #reader = new BatchReader();
  /**
   * By the table's places: whose this is (0: nobody's), who used it last, the next sequence to take, the first that was
   * taken, or could have been, and since which beginning.
   */
  readonly #owner: Float64Array;
  readonly #peer: Int32Array;
  readonly #wanted: Float64Array;
  readonly #first: Float64Array;
  readonly #since: Uint32Array;
  /** The highest sequence that came from there. */
  readonly #heardTo: Float64Array;
  /** Where the last value delivered is. */
  readonly #iid: Float64Array;
  readonly #say: Uint8Array;
  readonly #gapAfter: Float64Array;
  /** Places with something to say. */
  readonly #sayers: Int32Array;
  #sayerCount = 0;
  readonly openings = new Openings();
  readonly #ahead = new SessionsAhead();
  /** Grows when what was taken may have been lost. */
  #beginning = 1;
  /** The message being read. */
  #message: Uint8Array;
  /** Where a run is written whose first entry is a short one in its message. */
  readonly #apart: Uint8Array;
  readonly #apartView: DataView;
  /** Where the values of the run begin in the message. */
  #valuesAt = 0;
  #from: Peer = NO_PEER;
  #isForwarded = false;
  #judging: Judging = Judging.pass;
  /** The reader stands at an entry that is still to be judged. */
  #isHeld = false;
  /** What was answered at once in this message; 0: nothing. */
  #answered = 0;

  constructor(filter: SessionFilter, outbox: Outbox) {
    const { sessions } = filter.table.limits;
    this.#filter = filter;
    this.#outbox = outbox;
    this.#owner = new Float64Array(sessions);
    this.#peer = new Int32Array(sessions);
    this.#wanted = new Float64Array(sessions);
    this.#first = new Float64Array(sessions);
    this.#since = new Uint32Array(sessions);
    this.#heardTo = new Float64Array(sessions);
    this.#iid = new Float64Array(sessions);
    this.#say = new Uint8Array(sessions);
    this.#gapAfter = new Float64Array(sessions);
    this.#sayers = new Int32Array(sessions);
    this.#apart = new Uint8Array(outbox.maxValue);
    this.#apartView = new DataView(this.#apart.buffer);
    this.#message = this.bytes = this.#apart;
    filter.listen(this);
  }

  /** Whose values are new can be told: else none can be queued. */
  get knowsSessions(): boolean {
    return this.#filter.isWhole;
  }

  /** What was taken before may be lost: whoever sends it again is believed. */
  begin(): void {
    this.#beginning++;
  }

  /** What was sent on is lost: whoever waits for some of it is told from where to send again. Openings are asked again here. */
  wantAgain(): void {
    this.openings.loseAll();
    const { table } = this.#filter;
    for (let slot = 0; slot < this.#owner.length; slot++) {
      if (this.#owner[slot] === 0 || this.#owner[slot] !== table.idAt(slot)) continue;
      const done = table.nextAt(slot) - 1;
      if (this.#heardTo[slot]! > done) this.#markGap(slot, done);
    }
  }

  /** A message of client values; `next` tells which of them to take. */
  open(
    from: Peer,
    bytes: Uint8Array,
    offset: number,
    length: number,
    isForwarded: boolean,
    judging: Judging,
  ): void {
    this.#message = bytes;
    this.#from = from;
    this.#isForwarded = isForwarded;
    this.#judging = judging;
    this.#isHeld = false;
    this.#answered = 0;
    this.#reader.open(bytes, offset, length);
  }

  /** The next run of values to take, in `bytes`; an opening is always the first of a run. False: no more. */
  next(): boolean {
    const reader = this.#reader;
    let end = -1;
    while (this.#isHeld || reader.next()) {
      const isOpening = (reader.flags & EntryFlag.open) !== 0;
      if (isOpening && end >= 0) {
        this.#isHeld = true;
        break;
      }
      this.#isHeld = false;
      // Only a leader has sessions begin anew; and without a nonce nobody can be told what was opened.
      const isForbidden = (reader.flags & EntryFlag.reset) !== 0 || (isOpening && reader.session === 0);
      if (isForbidden) this.counters.forbidden++;
      if (isForbidden || !(isOpening ? this.#takesOpening() : this.#takes())) {
        if (end >= 0) break;
        continue;
      }
      if (end < 0) this.#beginRun();
      this.#takeRest();
      end = reader.valueEnd;
    }
    if (end < 0) return false;
    this.#endRun(end);
    return true;
  }

  /** At its first entry. A short one gets the header that its predecessor in the message had. */
  #beginRun(): void {
    const { isShort, session, sequence, flags, valueOffset, valueLength } = this.#reader;
    this.bytes = isShort ? this.#apart : this.#message;
    this.offset = isShort ? 0 : valueOffset - ENTRY_HEADER_BYTES;
    this.#valuesAt = valueOffset;
    if (isShort) writeEntryHeader(this.#apartView, 0, session, sequence, valueLength, flags);
  }

  #endRun(end: number): void {
    const length = end - this.#valuesAt;
    if (this.bytes !== this.#message)
      copyBytes(this.#message, this.#valuesAt, this.bytes, ENTRY_HEADER_BYTES, length);
    this.length = ENTRY_HEADER_BYTES + length;
  }

  /**
   * The run of `next` was not taken after all: its sessions want it again, and their client is told from where to send. The
   * rest of the message is not read.
   */
  refused(): void {
    const reader = this.#reader;
    const { table } = this.#filter;
    this.#answered = 0;
    reader.open(this.bytes, this.offset, this.length);
    while (reader.next()) {
      this.counters.taken--;
      if ((reader.flags & EntryFlag.open) !== 0) {
        this.openings.forget(reader.session);
        continue;
      }
      const slot = table.find(reader.session);
      if (slot < 0) this.#wantAheadFrom(reader.session, reader.sequence);
      else if (this.#owner[slot] === reader.session) this.#wantFrom(slot, reader.session, reader.sequence);
    }
    this.length = 0;
  }

  #wantFrom(slot: number, session: number, sequence: number): void {
    if (this.#judging !== Judging.pass) {
      if (this.#since[slot] !== this.#beginning) return;
      if (this.#wanted[slot]! > sequence) this.#wanted[slot] = sequence;
      // That all before it is on its way was believed, and nothing of the session was taken: it has to say so again.
      const isFirst = sequence <= this.#first[slot]!;
      if (isFirst) this.#since[slot] = 0;
      if (isFirst && sequence > this.#filter.table.nextAt(slot)) return;
    }
    const isLowest = (this.#say[slot]! & Say.gap) === 0 || this.#gapAfter[slot]! >= sequence;
    if (this.#isForwarded) this.#answer(AckKind.gap, session, sequence - 1, 0);
    else if (isLowest) this.#markGap(slot, sequence - 1);
  }

  #wantAheadFrom(session: number, sequence: number): void {
    const ahead = this.#ahead;
    const place = ahead.find(session, this.#beginning);
    if (place < 0) return;
    if (sequence <= ahead.first[place]!) return ahead.forget(session);
    if (ahead.wanted[place]! <= sequence) return;
    ahead.wanted[place] = sequence;
    this.#answer(AckKind.gap, session, sequence - 1, 0);
  }

  /** What the leader says about a session whose values we forwarded. */
  passOn(kind: AckKind, session: number, sequence: number, iid: number): void {
    const slot = this.#filter.table.find(session);
    if (slot < 0 || kind === AckKind.opened || this.#owner[slot] !== session) return;
    this.#tell(this.#peer[slot]! as Peer, kind, session, sequence, iid);
  }

  /** Says what is to be said; true: frames ran out before. */
  flush(): boolean {
    const { table } = this.#filter;
    while (this.#sayerCount > 0) {
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      const slot = this.#sayers[--this.#sayerCount]!;
      const say = this.#say[slot]!;
      this.#say[slot] = Say.nothing;
      const session = table.idAt(slot);
      const peer = this.#peer[slot]! as Peer;
      // What was to be said may be of a session that has ended since, and the place of one that nobody here has sent anything of.
      if (this.#owner[slot] !== session || peer === NO_PEER) continue;
      const done = table.nextAt(slot) - 1;
      const iid = this.#iid[slot]!;
      this.counters.acknowledged++;
      if ((say & Say.delivered) !== 0) this.#outbox.acknowledge(peer, AckKind.delivered, session, done, iid);
      if ((say & Say.gap) !== 0)
        this.#outbox.acknowledge(peer, AckKind.gap, session, Math.max(done, this.#gapAfter[slot]!), iid);
    }
    return false;
  }

  onEntry(outcome: Outcome, slot: number, iid: number, session: number, sequence: number): void {
    if (outcome === Outcome.opened || outcome === Outcome.reopened) return this.#opened(slot, session);
    if (outcome === Outcome.gap) this.#ahead.forget(session);
    if (slot < 0 || this.#owner[slot] !== session) return;
    switch (outcome) {
      case Outcome.deliver:
      case Outcome.piece:
        this.#iid[slot] = iid;
        // What came another way is acknowledged there: its client has gone on.
        if (sequence <= this.#heardTo[slot]!) this.#mark(slot, Say.delivered);
        break;
      case Outcome.duplicate:
        this.#mark(slot, Say.delivered);
        break;
      case Outcome.gap:
        // What was to come between is lost, or behind us in the log: it is wanted again.
        this.#wanted[slot] = this.#filter.table.nextAt(slot);
        this.#markGap(slot, this.#wanted[slot]! - 1);
        break;
      case Outcome.oversized:
        this.#owner[slot] = 0;
        this.counters.expired++;
        this.#tell(this.#peer[slot]! as Peer, AckKind.expired, session, sequence, iid);
        break;
      default:
        this.#owner[slot] = 0;
    }
  }

  onTableReplaced(): void {
    this.#owner.fill(0);
    this.#say.fill(Say.nothing);
    this.#sayerCount = 0;
    this.begin();
  }

  #takes(): boolean {
    const { session, sequence } = this.#reader;
    const { table, iid, isWhole } = this.#filter;
    const slot = table.find(session);
    if (slot < 0) {
      if (session > iid && this.#judging !== Judging.pass) return this.#isInSequenceAhead(session, sequence);
      // What was opened further up in the log than we are, or before we came to it, is decided by those who know.
      if (session > iid || !isWhole) return true;
      this.counters.expired++;
      this.#answer(AckKind.expired, session, 0, 0);
      return false;
    }
    if (!this.#isForwarded) {
      this.#claim(slot, session, this.#from);
      if (sequence > this.#heardTo[slot]!) this.#heardTo[slot] = sequence;
    }
    const next = table.nextAt(slot);
    if (sequence < next) {
      this.counters.duplicates++;
      if (this.#isForwarded) this.#answer(AckKind.delivered, session, next - 1, 0);
      else this.#mark(slot, Say.delivered);
      return false;
    }
    return this.#judging === Judging.pass || this.#isInSequence(slot, session, sequence, next);
  }

  /** The entry was taken: so are the values that follow it in its session. */
  #takeRest(): void {
    const reader = this.#reader;
    const { session } = reader;
    const rest = reader.restOfRun();
    this.counters.taken += 1 + rest;
    if (rest === 0) return;
    reader.skipRun();
    const { table, iid } = this.#filter;
    const isJudged = this.#judging !== Judging.pass;
    const slot = table.find(session);
    if (slot < 0) {
      if (session > iid && isJudged) this.#ahead.wanted[this.#ahead.find(session, this.#beginning)]! += rest;
      return;
    }
    if (!this.#isForwarded) this.#heardTo[slot] = Math.max(this.#heardTo[slot]!, reader.sequence);
    if (isJudged) this.#wanted[slot]! += rest;
  }

  #isInSequence(slot: number, session: number, sequence: number, next: number): boolean {
    if (this.#owner[slot] !== session) this.#claim(slot, session, NO_PEER);
    if (this.#since[slot] !== this.#beginning) this.#begins(slot, session, sequence, next);
    const wanted = Math.max(next, this.#wanted[slot]!);
    this.#wanted[slot] = wanted;
    if (sequence < wanted) {
      this.counters.underWay++;
      return false;
    }
    if (sequence > wanted) {
      this.counters.gaps++;
      if (this.#isForwarded) this.#answer(AckKind.gap, session, wanted - 1, 0);
      else this.#markGap(slot, wanted - 1);
      return false;
    }
    this.#wanted[slot] = sequence + 1;
    return true;
  }

  /** The first of the session since the beginning: from where on it is taken. */
  #begins(slot: number, session: number, sequence: number, next: number): void {
    const ahead = this.#ahead;
    const place = ahead.find(session, this.#beginning);
    const first = this.#judging === Judging.lenient ? Math.max(next, sequence) : next;
    this.#wanted[slot] = place >= 0 ? ahead.wanted[place]! : first;
    this.#first[slot] = place >= 0 ? ahead.first[place]! : first;
    this.#since[slot] = this.#beginning;
  }

  /** The first is believed: what is below may be on its way by another proposer. */
  #isInSequenceAhead(session: number, sequence: number): boolean {
    const ahead = this.#ahead;
    const place = ahead.find(session, this.#beginning);
    if (place < 0) {
      ahead.begin(session, sequence, this.#beginning);
      return true;
    }
    const wanted = ahead.wanted[place]!;
    if (sequence < wanted) this.counters.underWay++;
    else if (sequence > wanted) this.#answer(AckKind.gap, session, wanted - 1, 0);
    if (sequence !== wanted) return false;
    ahead.wanted[place] = sequence + 1;
    return true;
  }

  #takesOpening(): boolean {
    const { session: nonce } = this.#reader;
    const { table } = this.#filter;
    const slot = table.findNonce(nonce);
    if (slot >= 0) {
      const session = table.idAt(slot);
      if (!this.#isForwarded) this.#claim(slot, session, this.#from);
      this.#tell(this.#from, AckKind.opened, session, nonce, session);
      return false;
    }
    const opening = this.openings.ask(nonce, this.#isForwarded ? NO_PEER : this.#from);
    if (this.#judging === Judging.pass) return true;
    const isNew = this.openings.begin(opening, this.#beginning);
    if (!isNew) this.counters.underWay++;
    return isNew;
  }

  #opened(slot: number, nonce: number): void {
    const peer = this.openings.openerOf(nonce);
    this.openings.forget(nonce);
    if (peer === NO_PEER) return;
    const session = this.#filter.table.idAt(slot);
    this.#claim(slot, session, peer);
    this.#tell(peer, AckKind.opened, session, nonce, session);
  }

  /** The session in this place is `session`, and `peer` uses it. */
  #claim(slot: number, session: number, peer: Peer): void {
    if (this.#owner[slot] !== session) {
      this.#owner[slot] = session;
      this.#since[slot] = 0;
      this.#heardTo[slot] = 0;
      this.#iid[slot] = session;
    }
    this.#peer[slot] = peer;
  }

  /** Answers the sender at once, of each session once a message. */
  #answer(kind: AckKind, session: number, sequence: number, iid: number): void {
    if (this.#answered === session) return;
    this.#answered = session;
    this.#tell(this.#from, kind, session, sequence, iid);
  }

  #tell(peer: Peer, kind: AckKind, session: number, sequence: number, iid: number): void {
    if (peer !== NO_PEER) this.#outbox.acknowledge(peer, kind, session, sequence, iid);
  }

  #mark(slot: number, say: number): void {
    if (this.#peer[slot] === NO_PEER) return;
    if (this.#say[slot] === Say.nothing) this.#sayers[this.#sayerCount++] = slot;
    this.#say[slot] = this.#say[slot]! | say;
  }

  #markGap(slot: number, after: number): void {
    this.#gapAfter[slot] = after;
    this.#mark(slot, Say.gap);
  }
}
