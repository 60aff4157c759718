/**
 * The messages of the native wire: one at a time from words to a call of the receiver. Every number is checked for range; who
 * may say what is checked against the frame's header.
 */
import { type Area, Port } from "../net/link.ts";
import { RecordFlag } from "../protocol/acceptor/journal.ts";
import { EntryFlag, isBatch } from "../protocol/batch.ts";
import type { Receiver } from "../protocol/receiver.ts";
import { isStanding } from "../protocol/standing.ts";
import {
  AckKind,
  type Ballot,
  Busy,
  type Life,
  MAX_IID,
  NO_PEER,
  type Peer,
  RepeatFlag,
  Role,
  Standing,
  StateFlag,
} from "../protocol/types.ts";
import type { Members } from "./members.ts";
import { BUNDLE_FLAGS, MORE, NativeType, SPEAKERS, VOTED } from "./native_layout.ts";
import { PromiseHeads } from "./promise_heads.ts";

const HIGH = 2 ** 32;
/** Above 53 bits a pair of words is no number of ours. */
const HIGH_LIMIT = 2 ** 21;
const BAD = -1;
/** Whether promise records may follow; `unheard`: the promise they go on with is not known here, so they are not told. */
const Promising = { no: 0, told: 1, unheard: 2 } as const;
type Promising = (typeof Promising)[keyof typeof Promising];

export class NativeMessages {
  readonly heads: PromiseHeads;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #acceptors: number;
  readonly #members: Members;
  readonly #maxValue: number;
  #promising: Promising = Promising.no;
  /** Of the promise being read. */
  #hasMore = false;

  constructor(area: Area, members: Members, maxValue: number) {
    this.#words = area.words;
    this.#bytes = area.bytes;
    this.#acceptors = members.acceptors.length;
    this.heads = new PromiseHeads(members.acceptors.length);
    this.#members = members;
    this.#maxValue = maxValue;
  }

  /** No record of the promise follows; nothing if none was open. */
  endPromise(receiver: Receiver, from: Peer, aid: number): void {
    if (this.#promising === Promising.no) return;
    const isTold = this.#promising === Promising.told;
    this.#promising = Promising.no;
    if (isTold) receiver.onPromiseEnd(from, aid, this.#hasMore);
  }

  /**
   * The promise being read is not whole: its end is never told, so that it counts for nothing. A record left out would
   * read as "nothing was accepted there".
   */
  voidPromise(): void {
    this.#promising = Promising.no;
  }

  /** One message whose fields begin at word `at`; false when a number in it is out of range, or its sender may not say it. */
  decode(
    type: number,
    flags: number,
    at: number,
    valueLength: number,
    from: Peer,
    role: number,
    id: number,
    life: Life,
    port: number,
    receiver: Receiver,
  ): boolean {
    // Who may say it is checked against the header, whose sender was checked.
    const speakers = SPEAKERS[type]!;
    if ((speakers & role) === 0) return false;
    if (speakers === Role.acceptor)
      return this.#fromAcceptor(type, flags, at, valueLength, from, id, life, receiver);
    if (speakers === Role.proposer)
      return this.#fromProposer(type, flags, at, valueLength, from, id, life, receiver);
    if (type >= NativeType.snapshotAsk && type <= NativeType.snapshotChunk)
      return this.#snapshot(type, at, valueLength, from, port, receiver);
    const bytes = this.#bytes;
    const first = this.#pair(at);
    switch (type) {
      case NativeType.repeat: {
        const last = this.#pair(at + 2);
        if (first < 1 || last < first) return false;
        receiver.onRepeat(from, first, last);
        return true;
      }
      case NativeType.trim:
        if (first < 0 || flags > 1) return false;
        receiver.onTrim(from, first, flags === 1, this.#words[at + 2]!);
        return true;
      case NativeType.clientValue:
        // Whatever gets into the log is delivered everywhere: only whole entries may, and only a leader's resets.
        if (flags > 1 || valueLength === 0) return false;
        if (!isBatch(bytes, (at + 1) << 2, valueLength, EntryFlag.reset)) return false;
        receiver.onClientValue(from, bytes, (at + 1) << 2, valueLength, flags);
        return true;
      case NativeType.learnerHi:
        receiver.onLearnerHi(from);
        return true;
      case NativeType.learnerDel:
        receiver.onLearnerDel(from);
        return true;
      case NativeType.readAsk:
        if (first < 1) return false;
        receiver.onReadAsk(from, first);
        return true;
      case NativeType.advance:
        if (first < 1) return false;
        receiver.onAdvance(from, first);
        return true;
      case NativeType.bundleAsk:
        if (first < 1 || flags > BUNDLE_FLAGS) return false;
        if (port !== Port.self) receiver.onBundleAsk(from, first, flags);
        return true;
      case NativeType.bundleAnswer:
        if (first < 1 || flags > BUNDLE_FLAGS) return false;
        receiver.onBundleAnswer(from, first, flags);
        return true;
      case NativeType.claim:
        if (first < 0) return false;
        if (port !== Port.self) receiver.onClaim(from, first, this.#words[at + 2]!);
        return true;
      case NativeType.sessionOpen: {
        const end = this.#pair(at + 2);
        if (first < 0 || end <= first) return false;
        receiver.onSessionOpen(from, first, end);
        return true;
      }
      case NativeType.sessionOk:
        receiver.onSessionOk(from, this.#words[at]!);
        return true;
      case NativeType.sessionClose:
        receiver.onSessionClose(from, this.#words[at]!);
        return true;
      case NativeType.sessionValue:
        receiver.onSessionValue(from, bytes, (at + 1) << 2, valueLength);
        return true;
      default:
        return false;
    }
  }

  #fromProposer(
    type: number,
    flags: number,
    at: number,
    valueLength: number,
    from: Peer,
    id: number,
    life: Life,
    receiver: Receiver,
  ): boolean {
    if (type === NativeType.acknowledge) return this.#acknowledge(flags, at, from, receiver);
    if (type === NativeType.busy) {
      if (flags < Busy.noQuorum || flags > Busy.noSnapshot) return false;
      receiver.onBusy(from, flags as Busy);
      return true;
    }
    const iid = this.#pair(at);
    const ballot = this.#pair(at + 2) as Ballot;
    if (iid < 0) return false;
    if (type === NativeType.readIndex) {
      // Its first number is the nonce, its second the instance.
      if (iid < 1 || ballot < 0 || flags > 1) return false;
      receiver.onReadIndex(from, iid, ballot, flags === 1);
      return true;
    }
    if (ballot < 1) return false;
    if (type === NativeType.heartbeat) {
      const round = this.#pair(at + 4);
      if (round < 0) return false;
      receiver.onHeartbeat(from, iid, ballot, life, round, this.#words[at + 6]!);
      return true;
    }
    if (iid < 1) return false;
    if (type === NativeType.prepare) {
      receiver.onPrepare(from, iid, ballot, life);
      return true;
    }
    if (type === NativeType.preVote) {
      receiver.onPreVote(from, iid, ballot);
      return true;
    }
    const chosenIid = this.#pair(at + 4);
    if (chosenIid < 0 || valueLength > this.#maxValue) return false;
    // Nobody speaks for an acceptor of another place.
    const acceptor = flags === 0 ? NO_PEER : this.#members.acceptorWith(id);
    if (flags > VOTED || (flags !== 0 && acceptor === NO_PEER)) return false;
    receiver.onChosen(from, chosenIid, ballot, life);
    receiver.onAccept(from, iid, 0, ballot, life, this.#bytes, (at + 7) << 2, valueLength);
    if (flags === 0) return true;
    receiver.onAcceptorLife(id, life);
    receiver.onAcceptedRange(acceptor, id, iid, iid, ballot, life);
    return true;
  }

  #acknowledge(flags: number, at: number, from: Peer, receiver: Receiver): boolean {
    const session = this.#pair(at);
    const sequence = this.#pair(at + 2);
    const iid = this.#pair(at + 4);
    if (session < 1 || sequence < 0 || iid < 0 || flags > AckKind.opened) return false;
    receiver.onAcknowledge(from, flags as AckKind, session, sequence, iid);
    return true;
  }

  #snapshot(
    type: number,
    at: number,
    valueLength: number,
    from: Peer,
    port: number,
    receiver: Receiver,
  ): boolean {
    const iid = this.#pair(at);
    if (iid < 0) return false;
    if (type === NativeType.snapshotAsk) {
      // A multicast comes back to its sender, which has no snapshot that it lacks.
      if (port !== Port.self) receiver.onSnapshotAsk(from, this.#words[at + 2]!, iid);
      return true;
    }
    const position = this.#pair(at + 2);
    const kind = this.#words[at + 4]!;
    if (iid < 1 || position < 0 || valueLength > this.#maxValue) return false;
    if (type === NativeType.snapshotInfo) {
      receiver.onSnapshotInfo(from, kind, iid, position, this.#words[at + 5]!);
    } else if (type === NativeType.snapshotFetch) {
      receiver.onSnapshotFetch(from, kind, iid, position, this.#words[at + 5]!);
    } else {
      const offset = (at + 6) << 2;
      receiver.onSnapshotChunk(from, kind, iid, position, this.#bytes, offset, valueLength);
    }
    return true;
  }

  #fromAcceptor(
    type: number,
    flags: number,
    at: number,
    valueLength: number,
    from: Peer,
    aid: number,
    life: Life,
    receiver: Receiver,
  ): boolean {
    if (type === NativeType.acceptorOk) {
      receiver.onAcceptorOk(from);
      return true;
    }
    const first = this.#pair(at);
    if (type === NativeType.standingAsk) {
      if (first < 1 || flags < Standing.fresh || flags > Standing.voting) return false;
      receiver.onStandingAsk(from, aid, first, flags as Standing, this.#words[at + 2]!, life);
      return true;
    }
    const second = this.#pair(at + 2);
    if (first < 0 || second < 0) return false;
    if (type === NativeType.acceptorState) {
      const logId = this.#pair(at + 4);
      if (flags > STATE_FLAGS || logId < 0) return false;
      receiver.onAcceptorState(from, aid, first, second, flags, logId);
      return true;
    }
    if (type === NativeType.echo) {
      const leader = this.#pair(at + 4);
      const round = this.#pair(at + 6);
      if (second < 1 || leader < 0 || round < 1) return false;
      receiver.onEcho(from, aid, first, second as Ballot, leader, round);
      return true;
    }
    if (first < 1) return false;
    if (type === NativeType.promisePart)
      return this.#promisePart(flags, at, first as Ballot, second, from, aid, life, receiver);
    if (type >= NativeType.preVoted) {
      return this.#amongAcceptors(
        type,
        flags,
        at,
        first,
        second as Ballot,
        valueLength,
        from,
        aid,
        life,
        receiver,
      );
    }
    if (type === NativeType.preempted) {
      if (second < 1) return false;
      receiver.onPreempted(from, aid, first, second as Ballot);
      return true;
    }
    if (type === NativeType.accepted) {
      const ballot = this.#pair(at + 4) as Ballot;
      const leader = this.#pair(at + 6);
      if (second < first || ballot < 1 || leader < 0) return false;
      receiver.onAcceptedRange(from, aid, first, second, ballot, leader);
      return true;
    }
    if (type === NativeType.promise)
      return this.#promise(flags, at, first as Ballot, second, valueLength, from, aid, life, receiver);
    return this.#record(type, flags, at, first, second as Ballot, valueLength, from, aid, receiver);
  }

  /** One record, in an answer to a repeat or in a promise. */
  #record(
    type: number,
    flags: number,
    at: number,
    iid: number,
    ballot: Ballot,
    valueLength: number,
    from: Peer,
    aid: number,
    receiver: Receiver,
  ): boolean {
    const life = this.#pair(at + 4);
    if (life < 0 || valueLength > this.#maxValue) return false;
    const bytes = this.#bytes;
    const offset = (at + 7) << 2;
    if (type === NativeType.acceptedValue) {
      if (flags > REPEAT_FLAGS) return false;
      const isNone = flags === RepeatFlag.known && valueLength === 0;
      if (ballot < 1 && !isNone) return false;
      if (flags === 0) receiver.onAccepted(from, aid, iid, 0, ballot, life, bytes, offset, valueLength);
      else receiver.onRepeated(from, aid, iid, ballot, life, flags, bytes, offset, valueLength);
      return true;
    }
    if (ballot < 1 || flags > RECORD_FLAGS || this.#promising === Promising.no) return false;
    if (this.#promising === Promising.told)
      receiver.onPromiseRecord(from, aid, iid, ballot, life, flags, bytes, offset, valueLength);
    return true;
  }

  /** Messages whose first number is a nonce or a round, and those between acceptors. */
  #amongAcceptors(
    type: number,
    flags: number,
    at: number,
    first: number,
    ballot: Ballot,
    valueLength: number,
    from: Peer,
    aid: number,
    life: Life,
    receiver: Receiver,
  ): boolean {
    if (type === NativeType.preVoted) {
      if (flags > 1) return false;
      receiver.onPreVoted(from, aid, first, ballot, flags === 1);
      return true;
    }
    if (type === NativeType.recover) {
      const frames = this.#words[at + 4]!;
      if (ballot < 1 || frames < 1) return false;
      receiver.onRecover(from, aid, first, ballot, life, frames);
      return true;
    }
    if (flags < Standing.fresh || flags > Standing.voting) return false;
    const bytes = this.#bytes;
    const offset = (at + 5) << 2;
    if (!isStanding(bytes, offset, valueLength, this.#acceptors)) return false;
    receiver.onStanding(from, aid, first, flags as Standing, ballot, bytes, offset, valueLength);
    return true;
  }

  #promise(
    flags: number,
    at: number,
    ballot: Ballot,
    life: Life,
    valueLength: number,
    from: Peer,
    aid: number,
    speaker: Life,
    receiver: Receiver,
  ): boolean {
    const bytes = this.#bytes;
    const offset = (at + 13) << 2;
    if (!isStanding(bytes, offset, valueLength, this.#acceptors)) return false;
    const asked = this.#pair(at + 4);
    const first = this.#pair(at + 6);
    const last = this.#pair(at + 8);
    const trimIid = this.#pair(at + 10);
    if (asked < 1 || first < asked || last < first - 1 || last > MAX_IID || trimIid < 0) return false;
    if (flags > MORE) return false;
    this.#promising = Promising.told;
    this.#hasMore = flags === MORE;
    this.heads.keep(aid, speaker, ballot, life, trimIid, bytes, offset);
    receiver.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, bytes, offset, valueLength);
    return true;
  }

  /** It goes on from the promise before it; where that was lost, nothing comes of it. */
  #promisePart(
    flags: number,
    at: number,
    ballot: Ballot,
    life: Life,
    from: Peer,
    aid: number,
    speaker: Life,
    receiver: Receiver,
  ): boolean {
    const heads = this.heads;
    const first = this.#pair(at + 4);
    const last = this.#pair(at + 6);
    if (first < 1 || last < first || last > MAX_IID || flags > MORE) return false;
    if (!heads.has(aid, speaker, ballot, life, this.#words[at + 8]!)) {
      this.#promising = Promising.unheard;
      return true;
    }
    this.#promising = Promising.told;
    this.#hasMore = flags === MORE;
    const { bytes, length } = heads;
    const offset = heads.at(aid);
    const trimIid = heads.trimIid[aid]!;
    receiver.onPromiseBegin(from, aid, ballot, life, first, first, last, trimIid, bytes, offset, length);
    return true;
  }

  /** A number of up to 53 bits; −1 when it has more. */
  #pair(at: number): number {
    const high = this.#words[at + 1]!;
    return high < HIGH_LIMIT ? high * HIGH + this.#words[at]! : BAD;
  }
}

const REPEAT_FLAGS = RepeatFlag.known | RepeatFlag.marked | RepeatFlag.hearsay;
const RECORD_FLAGS = RecordFlag.hearsay | RecordFlag.chosen;
const STATE_FLAGS = StateFlag.halfFull | StateFlag.full;
