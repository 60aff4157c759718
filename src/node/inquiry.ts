/**
 * Asks a group from outside how it is, and listens: what `kpaxos status` knows. It speaks as a client with an id of its own.
 *
 * It changes nothing: it is gone from the acceptors' audience as soon as it may (`Leaving`), no trim is ever reported, nothing is
 * prepared or voted on. The one question that costs a leader anything, a heartbeat at most,
 * is a read point, which is at once the proof that a quorum hears it.
 */
import { ballotOwner, KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../protocol/ballot.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { type Ballot, type Life, NO_BALLOT, type Peer } from "../protocol/types.ts";
import { DeafReceiver } from "./deaf_receiver.ts";
import type { Extra } from "./roles.ts";

/** Who has not answered is asked again so often. */
const AGAIN_US = 200_000;
/** Who tells its state, and has not said OK to so many, says none. */
const HIS = 2;
/** A proposer that is silent less and less often, down to this: one that leads and gets nothing chosen keeps every question. */
const SELDOM_US = 6_400_000;
/** A nonce: random, below 2^52. */
const NONCES = 2 ** 52 - 2;

/**
 * In the native wire acceptors are left in the turn in which they are asked: no more is wanted of them than an answer. In the Kernel_Paxos wire
 * only what is accepted meanwhile tells who proposes, and on Ethernet a del would be taken for that of a learner of this host.
 */
export type Leaving = "at once" | "at the end" | "never";

export function leavingOf(wire: string, link: string): Leaving {
  if (wire === "native") return "at once";
  return link === "udp" ? "at the end" : "never";
}

export interface InquiryOptions {
  readonly acceptors: number;
  readonly proposers: number;
  readonly native: boolean;
  /** Leaders and acceptors are overheard (native wire on Ethernet): ballots come that nobody is told otherwise. */
  readonly overhears: boolean;
  /** When acceptors are told that nobody listens any more: `Leaving`. */
  readonly leaves: Leaving;
  readonly acceptorOf: (peer: Peer) => number;
  readonly proposerOf: (peer: Peer) => number;
  readonly random: () => number;
}

type Questions = Pick<Outbox, "learnerHi" | "learnerDel" | "readAsk" | "repeat">;

/** What is known of one acceptor; null: not told. */
export class AcceptorFacts {
  answers = false;
  /** It answered a hi with an OK. */
  isOk = false;
  /** It tells its state and does not answer a hi: it has no place left in its audience. */
  isFull = false;
  his = 0;
  /** It said what only who votes says. */
  votes = false;
  trimIid: number | null = null;
  highestIid: number | null = null;
  flags = 0;
  /** The ballot of the leader that it follows: it has promised none above. */
  follows: Ballot | null = null;
  /** The ballot of its newest record: it has promised none below. */
  accepted: Ballot | null = null;
}

/** When a proposer is asked again. */
interface Asking {
  lastUs: number;
  waitUs: number;
}

/** Who leads, as far as it is heard. */
export interface LeaderFacts {
  readonly id: number;
  readonly ballot: Ballot;
}

export class Inquiry extends DeafReceiver implements Extra {
  readonly acceptors: readonly AcceptorFacts[];
  readonly heardProposers: boolean[];
  /** The leader of the highest ballot that was heard. */
  leader: LeaderFacts | null = null;
  chosenIid = 0;
  /** The proposer that last answered a read point as one whom a quorum hears; −1: none. */
  confirmed = -1;
  readonly #options: InquiryOptions;
  readonly #outbox: Questions;
  readonly #nonce: number;
  readonly #askings: readonly Asking[];
  #dueUs = 0;

  constructor(options: InquiryOptions, outbox: Questions) {
    super();
    this.#options = options;
    this.#outbox = outbox;
    this.#nonce = 1 + Math.floor(options.random() * NONCES);
    this.acceptors = Array.from({ length: options.acceptors }, () => new AcceptorFacts());
    this.heardProposers = new Array<boolean>(options.proposers).fill(false);
    this.#askings = this.heardProposers.map(() => ({ lastUs: Number.NEGATIVE_INFINITY, waitUs: 0 }));
  }

  /** Everything that can be told was. */
  get isComplete(): boolean {
    const { native, overhears } = this.#options;
    if (!this.acceptors.every((one) => this.#isKnown(one))) return false;
    if (!native) return this.leader !== null;
    if (!this.heardProposers.every((heard) => heard)) return false;
    return overhears ? this.leader !== null && this.leader.id === this.confirmed : this.confirmed >= 0;
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + AGAIN_US;
    this.#askAcceptors();
    if (this.#options.native) this.#askProposers(nowUs);
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  /** Last words. */
  close(): void {
    if (this.#options.leaves === "at the end") this.#outbox.learnerDel();
  }

  override onAcceptorOk(from: Peer): void {
    const facts = this.#heard(this.#options.acceptorOf(from));
    if (facts === undefined) return;
    facts.isOk = true;
    facts.isFull = false;
  }

  override onAcceptorState(
    _from: Peer,
    aid: number,
    trimIid: number,
    highestIid: number,
    flags: number,
  ): void {
    const facts = this.#heard(aid);
    if (facts === undefined) return;
    facts.votes = true;
    facts.trimIid = trimIid;
    facts.flags = flags;
    if (!this.#options.native) return;
    facts.highestIid = highestIid;
    if (facts.accepted === null && highestIid > trimIid) this.#outbox.repeat(aid, highestIid, highestIid);
  }

  override onAccepted(_from: Peer, aid: number, iid: number, _promise: number, ballot: Ballot): void {
    this.#vote(aid, iid, ballot);
  }

  override onRepeated(_from: Peer, aid: number, iid: number, ballot: Ballot): void {
    if (ballot !== NO_BALLOT) return this.#vote(aid, iid, ballot);
    // It has no record there.
    const facts = this.#heard(aid);
    if (facts !== undefined) facts.votes = true;
  }

  override onAcceptedRange(_from: Peer, aid: number, _first: number, last: number, ballot: Ballot): void {
    this.#vote(aid, last, ballot);
  }

  override onEcho(_from: Peer, aid: number, iid: number, ballot: Ballot): void {
    const facts = this.#heard(aid);
    if (facts === undefined) return;
    facts.votes = true;
    facts.follows = ballot;
    this.#lead(ballot, iid);
  }

  override onChosen(from: Peer, iid: number, ballot: Ballot): void {
    this.#hearsProposer(from);
    this.#lead(ballot, iid);
  }

  override onHeartbeat(from: Peer, iid: number, ballot: Ballot, _life: Life): void {
    this.onChosen(from, iid, ballot);
  }

  override onReadIndex(from: Peer, nonce: number, iid: number, confirmed: boolean): void {
    const id = this.#hearsProposer(from);
    if (id < 0 || nonce !== this.#nonce) return;
    this.#askings[id]!.waitUs = 0;
    if (confirmed) {
      this.confirmed = id;
      this.chosenIid = Math.max(this.chosenIid, iid);
    } else if (this.confirmed === id) this.confirmed = -1;
  }

  #askAcceptors(): void {
    let any = false;
    this.acceptors.forEach((facts, aid) => {
      if (facts.trimIid !== null && !facts.isOk && facts.his >= HIS) facts.isFull = true;
      if (this.#isKnown(facts)) return;
      this.#outbox.learnerHi(aid);
      facts.his++;
      any = true;
    });
    if (any && this.#options.leaves === "at once") this.#outbox.learnerDel();
  }

  /** One that does not lead says so; it may lead in a moment. */
  #askProposers(nowUs: number): void {
    this.#askings.forEach((asking, id) => {
      if (this.heardProposers[id] && this.#isConfirmedLeader()) return;
      if (nowUs - asking.lastUs < asking.waitUs) return;
      asking.lastUs = nowUs;
      asking.waitUs = Math.min(Math.max(AGAIN_US, 2 * asking.waitUs), SELDOM_US);
      this.#outbox.readAsk(id, this.#nonce);
    });
  }

  #isConfirmedLeader(): boolean {
    if (this.confirmed < 0) return false;
    return this.leader === null || this.leader.id === this.confirmed;
  }

  #isKnown({ trimIid, highestIid, follows, accepted, isOk, isFull }: AcceptorFacts): boolean {
    if (trimIid === null) return false;
    const { native, overhears } = this.#options;
    if (!native) return true;
    if (!isOk && !isFull) return false;
    if (overhears && follows === null) return false;
    return accepted !== null || highestIid === trimIid || highestIid === 0;
  }

  #vote(aid: number, iid: number, ballot: Ballot): void {
    const facts = this.#heard(aid);
    if (facts === undefined) return;
    facts.votes = true;
    if (iid >= (facts.highestIid ?? 0)) {
      facts.highestIid = iid;
      facts.accepted = ballot;
    }
    // In the Kernel_Paxos wire nothing else tells who leads. On UDP it was proposed just now; on Ethernet what is repeated for
    // another process of this host looks the same, and may have been proposed long ago.
    if (!this.#options.native) this.#lead(ballot, 0);
  }

  #lead(ballot: Ballot, chosenIid: number): void {
    this.chosenIid = Math.max(this.chosenIid, chosenIid);
    if (ballot < (this.leader?.ballot ?? NO_BALLOT)) return;
    const scheme = this.#options.native ? NATIVE_BALLOTS : KERNEL_PAXOS_BALLOTS;
    this.leader = { id: ballotOwner(scheme, ballot), ballot };
  }

  #heard(aid: number): AcceptorFacts | undefined {
    const facts = this.acceptors[aid];
    if (facts !== undefined) facts.answers = true;
    return facts;
  }

  #hearsProposer(from: Peer): number {
    const id = this.#options.proposerOf(from);
    if (id >= 0) this.heardProposers[id] = true;
    return id;
  }
}
