/**
 * The cores' messages without a wire: calls of a receiver, in flight in one pool, to be delivered in any order, twice
 * or never. What a core says goes where either wire would bring it.
 */
import type { AudienceView } from "../../src/protocol/acceptor/audience.ts";
import { UNNAMED } from "../../src/protocol/generations.ts";
import { NO_MARK } from "../../src/protocol/log_mark.ts";
import type { Outbox } from "../../src/protocol/outbox.ts";
import type { Receiver } from "../../src/protocol/receiver.ts";
import {
  type Ballot,
  type Busy,
  type Life,
  MAX_IID,
  type Peer,
  type Standing,
} from "../../src/protocol/types.ts";

export interface Flight {
  readonly from: Peer;
  readonly to: Peer;
  readonly text: () => string;
  readonly deliver: (receiver: Receiver) => void;
}

/** Who is who: acceptors have the first peer numbers, then proposers, then learners. */
export interface Peers {
  readonly acceptors: number;
  readonly proposers: number;
  readonly learners: number;
}

/** Records in one frame of a range promise: few, so that promises come in parts. */
const PROMISE_RECORDS = 3;

type Call = keyof Receiver;

export class WalkOutbox implements Outbox {
  readonly maxValue = 64;
  life: Life = 0;
  audience: AudienceView = { count: 0, isKnown: false, peerAt: () => 0 as Peer };
  readonly #native: boolean;
  readonly #from: Peer;
  readonly #peers: Peers;
  readonly #pool: Flight[];
  #chosenIid = 0;
  #generations = UNNAMED;
  #logMark = NO_MARK;
  #promise: {
    readonly to: Peer;
    readonly ballot: Ballot;
    readonly life: Life;
    readonly asked: number;
    readonly first: number;
    readonly trimIid: number;
    readonly standing: Uint8Array;
  } | null = null;
  #framesLeft = 0;
  #records: (readonly [iid: number, ballot: Ballot, life: Life, flags: number, bytes: Uint8Array])[] = [];

  constructor(native: boolean, from: Peer, peers: Peers, pool: Flight[]) {
    this.#native = native;
    this.#from = from;
    this.#peers = peers;
    this.#pool = pool;
  }

  room(): number {
    return 1000;
  }

  prepare(iid: number, ballot: Ballot): void {
    for (let aid = 0; aid < this.#peers.acceptors; aid++) this.prepareTo(aid, iid, ballot);
  }
  prepareTo(aid: number, iid: number, ballot: Ballot): void {
    this.#send(aid as Peer, "onPrepare", this.#from, iid, ballot, this.life);
  }
  /** Native: multicast, learners (also those of proposers) hear it too, and what the leader knows to be chosen. */
  accept(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const value = bytes.slice(offset, offset + length);
    const end = this.#native ? this.#everyone() : this.#peers.acceptors;
    for (let to = 0; to < end; to++) {
      this.#send(to as Peer, "onAccept", this.#from, iid, promiseIid, ballot, this.life, value, 0, length);
      if (this.#native) this.#send(to as Peer, "onChosen", this.#from, this.#chosenIid, ballot, this.life);
    }
  }
  leads(generations: number, logMark: number): void {
    this.#generations = generations;
    this.#logMark = logMark;
  }
  chosen(iid: number): void {
    this.#chosenIid = iid;
  }
  heartbeat(iid: number, ballot: Ballot, round: number, leaseMs: number): void {
    this.#chosenIid = iid;
    if (!this.#native) return;
    for (let to = 0; to < this.#everyone(); to++) {
      if (to !== this.#from) {
        this.#send(to as Peer, "onHeartbeat", this.#from, iid, ballot, this.life, round, leaseMs);
      }
    }
  }
  preVote(round: number, ballot: Ballot): void {
    for (let aid = 0; aid < this.#peers.acceptors; aid++) {
      this.#send(aid as Peer, "onPreVote", this.#from, round, ballot);
      this.#hurry();
    }
  }
  echo(iid: number, ballot: Ballot, life: Life, round: number): void {
    for (let id = 0; id < this.#peers.proposers; id++) {
      const to = (this.#peers.acceptors + id) as Peer;
      this.#send(to, "onEcho", this.#from, this.#from, iid, ballot, life, round);
    }
  }
  preVoted(to: Peer, round: number, ballot: Ballot, granted: boolean): void {
    this.#send(to, "onPreVoted", this.#from, this.#from, round, ballot, granted);
    this.#hurry();
  }
  standingAsk(aid: number, nonce: number, standing: Standing, generation: number): void {
    this.#send(aid as Peer, "onStandingAsk", this.#from, this.#from, nonce, standing, generation, this.life);
    this.#hurry();
  }
  standing(to: Peer, nonce: number, standing: Standing, ballot: Ballot, vector: Uint8Array): void {
    const copy = vector.slice();
    this.#send(to, "onStanding", this.#from, this.#from, nonce, standing, ballot, copy, 0, copy.length);
    this.#hurry();
  }
  recover(aid: number, iid: number, ballot: Ballot, frames: number): void {
    this.#send(aid as Peer, "onRecover", this.#from, this.#from, iid, ballot, this.life, frames);
    this.#hurry();
  }

  promise(
    to: Peer,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const value = bytes.slice(offset, offset + length);
    this.#send(to, "onPromise", this.#from, this.#from, iid, ballot, valueBallot, value, 0, length);
  }
  promiseBegin(
    to: Peer,
    ballot: Ballot,
    life: Life,
    asked: number,
    first: number,
    trimIid: number,
    standing: Uint8Array,
    frames: number,
  ): boolean {
    this.#promise = { to, ballot, life, asked, first, trimIid, standing: standing.slice() };
    this.#records = [];
    this.#framesLeft = frames;
    return true;
  }
  promiseRecord(
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    if (this.#records.length === PROMISE_RECORDS) {
      if (this.#framesLeft-- <= 1) return false;
      this.#promiseFrame(iid - 1, true);
      this.#promise = { ...this.#promise!, asked: iid, first: iid };
      this.#records = [];
    }
    this.#records.push([iid, valueBallot, valueLife, flags, bytes.slice(offset, offset + length)]);
    return true;
  }
  promiseEnd(last: number): void {
    this.#promiseFrame(last, false);
  }
  #promiseFrame(last: number, more: boolean): void {
    const { to, ballot, life, asked, first, trimIid, standing } = this.#promise!;
    const aid = this.#from;
    const records = this.#records;
    this.#pool.push({
      from: aid,
      to,
      text: () => {
        const end = last === MAX_IID ? "max" : last;
        return `range promise of ${aid} at ${ballot}/${life} asked ${asked} first ${first} last ${end}: ${records.map((r) => `${r[0]}@${r[1]}`)}`;
      },
      deliver: (receiver) => {
        receiver.onPromiseBegin(
          aid,
          aid,
          ballot,
          life,
          asked,
          first,
          last,
          trimIid,
          standing,
          0,
          standing.length,
        );
        for (const [iid, valueBallot, valueLife, flags, value] of records) {
          receiver.onPromiseRecord(aid, aid, iid, valueBallot, valueLife, flags, value, 0, value.length);
        }
        receiver.onPromiseEnd(aid, aid, more);
      },
    });
    if (to < this.#peers.acceptors) this.#hurry();
  }
  preempted(to: Peer, iid: number, ballot: Ballot): void {
    this.#send(to, "onPreempted", this.#from, this.#from, iid, ballot);
  }

  /** Native: without the value, sometimes as a range. */
  accepted(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const aid = this.#from;
    if (this.#native) {
      for (let to = this.#peers.acceptors; to < this.#everyone(); to++) {
        if (iid % 2 === 0) this.#send(to as Peer, "onAcceptedRange", aid, aid, iid, iid, ballot, life);
        else this.#send(to as Peer, "onAccepted", aid, aid, iid, 0, ballot, life, bytes, 0, -1);
      }
      return;
    }
    const value = bytes.slice(offset, offset + length);
    for (let i = 0; i < this.audience.count; i++) {
      const to = this.audience.peerAt(i);
      this.#send(to, "onAccepted", aid, aid, iid, promiseIid, ballot, life, value, 0, length);
    }
  }
  acceptorState(trimIid: number, highestIid: number, flags: number, logId: number): void {
    for (let i = 0; i < this.audience.count; i++) {
      this.acceptorStateTo(this.audience.peerAt(i), trimIid, highestIid, flags, logId);
    }
  }
  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const value = bytes.slice(offset, offset + length);
    const from = this.#from;
    if (flags !== 0) this.#send(to, "onRepeated", from, from, iid, ballot, life, flags, value, 0, length);
    else this.#send(to, "onAccepted", this.#from, this.#from, iid, 0, ballot, life, value, 0, length);
  }
  acceptorStateTo(to: Peer, trimIid: number, highestIid: number, flags: number, logId: number): void {
    const more = this.#native ? ([highestIid, flags, logId] as const) : ([0, 0, 0] as const);
    this.#send(to, "onAcceptorState", this.#from, this.#from, trimIid, ...more);
  }
  acceptorOk(to: Peer): void {
    this.#send(to, "onAcceptorOk", this.#from);
  }

  learnerHi(aid: number): void {
    this.#send(aid as Peer, "onLearnerHi", this.#from);
  }
  learnerDel(): void {
    for (let aid = 0; aid < this.#peers.acceptors; aid++) {
      this.#send(aid as Peer, "onLearnerDel", this.#from);
    }
  }
  repeat(aid: number, first: number, last: number): void {
    this.#send(aid as Peer, "onRepeat", this.#from, first, last);
  }
  trim(iid: number, hasApplications: boolean, kind: number): void {
    for (let aid = 0; aid < this.#peers.acceptors; aid++) {
      this.#send(aid as Peer, "onTrim", this.#from, iid, hasApplications, kind);
    }
  }
  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    const to = (this.#peers.acceptors + proposerId) as Peer;
    const value = bytes.slice(offset, offset + length);
    this.#send(to, "onClientValue", this.#from, value, 0, length, hops);
  }

  advance(proposerId: number, iid: number): void {
    this.#send((this.#peers.acceptors + proposerId) as Peer, "onAdvance", this.#from, iid);
  }

  readAsk(proposerId: number, nonce: number): void {
    this.#send((this.#peers.acceptors + proposerId) as Peer, "onReadAsk", this.#from, nonce);
  }
  readIndex(to: Peer, nonce: number, iid: number, confirmed: boolean): void {
    this.#send(to, "onReadIndex", this.#from, nonce, iid, confirmed);
  }

  // What no core of a walk has a use for.
  busy(_to: Peer, _reason: Busy): void {}
  acknowledge(): void {}
  snapshotAsk(): void {}
  snapshotInfo(): void {}
  snapshotFetch(): void {}
  snapshotChunk(): void {}
  claim(): void {}
  sessionOpen(): void {}
  sessionOk(): void {}
  sessionClose(): void {}
  sessionValue(): void {}

  #everyone(): number {
    return this.#peers.acceptors + this.#peers.proposers + this.#peers.learners;
  }

  /** Goes before everything else: so there are elections, and acceptors that recover, among messages that take so long. */
  #hurry(): void {
    this.#pool.unshift(this.#pool.pop()!);
  }

  #send<K extends Call>(to: Peer, name: K, ...args: Parameters<Receiver[K]>): void {
    const generations = this.#generations;
    const logMark = this.#logMark;
    this.#pool.push({
      from: this.#from,
      to,
      text: () => `${name} → ${to}: ${args.map((a) => (a instanceof Uint8Array ? `[${a}]` : a)).join(" ")}`,
      deliver: (receiver) => {
        receiver.onGenerations(generations, logMark);
        (receiver[name] as (...all: Parameters<Receiver[K]>) => void)(...args);
      },
    });
  }
}
