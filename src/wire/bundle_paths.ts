/**
 * Where bundles get through (raw Ethernet). A bundle travels as an IP packet, and things on the way may drop one that let single frames
 * pass: a bridge with a firewall, a card that cannot cut it, a receiver that takes none. So who has more than a frame of one turn for
 * somebody asks, twice a second for as long as that is so, in a bundle and beside it in a single frame; and makes bundles only for those
 * who answered lately that one has come. For everyone: while all acceptors and proposers that are heard say so, and nobody denies it.
 * What comes by multicast tells nothing of what is sent to one alone, nor the other way: switches treat them differently.
 */
import { type Link, Port } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { type Peer, Role } from "../protocol/types.ts";
import type { Members } from "./members.ts";
import { EVERYONE } from "./native_frames.ts";
import { BundleFlag } from "./native_layout.ts";

const ASK_US = 500_000;
/**
 * What was asked and answered holds so long: a few askings may be lost in a row, as under overload queues drop bundles like single frames.
 * Who was not heard for so long need not answer.
 */
const VALID_US = 2_000_000;
/** The answers to so many askings are taken. */
const ANSWERABLE = 3;
/** Destinations of one asking; what more there are have their turn in the next ones. */
const MOST_WANTED = 16;
/** Of a mark: no bits of roles, so that it is never 0. */
const MARKED = 0x100;
const VALUES = 0x200;
const VOTERS = Role.acceptor | Role.proposer;
/** Whom `EVERYONE` is. */
const LISTENERS = VOTERS | Role.learner;

/** Of a peer in what is kept of it: what is sent to it alone, or to everyone (`BundleFlag`). */
function place(peer: number, everyone: number): number {
  return 2 * peer + (everyone === 0 ? 0 : 1);
}

export interface Speaker {
  bundleAsk(roles: number, peer: number, nonce: number): void;
  bundleAnswer(to: Peer, nonce: number, flags: number): void;
}

export class BundlePaths {
  /** What asks and answers. */
  speaker: Speaker | undefined;
  /** Told of who has said twice that it hears no bundles. */
  onDenied: (peer: Peer) => void = () => undefined;
  /** Payload of a frame in a bundle, at most, without its trailer; 0: there are no bundles. */
  readonly limit: number;
  readonly #peers: Peers;
  readonly #members: Members;
  readonly #roles: number;
  #nowUs = 0;
  /** 1: a peer that is to be asked; where the next asking begins to look for them; and whether everyone is, or anybody. */
  readonly #wanted: Uint8Array;
  #next = 0;
  #wantsEveryone = false;
  #wantsAny = false;
  /** Of the last asking. */
  #nonce = 0;
  #askUs = Number.NEGATIVE_INFINITY;
  /** Of a peer, alone and as one of everyone (`place`): which life of it was asked when and said that bundles come; and which asked when in one. */
  readonly #takesLife: Float64Array;
  readonly #takesUs: Float64Array;
  readonly #heardLife: Float64Array;
  readonly #heardUs: Float64Array;
  /** Which asking a peer denied last. */
  readonly #denied: Float64Array;
  /** When somebody said last that it hears none of what is for everyone. */
  #deniedUs = Number.NEGATIVE_INFINITY;
  /** Whether everyone takes bundles, as of when. */
  #everyone = false;
  #everyoneUs = Number.NEGATIVE_INFINITY;

  constructor(link: Link, peers: Peers, members: Members, roles: number) {
    this.limit = link.bundlePayload === 0 ? 0 : Math.min(link.bundlePayload - link.trailerBytes, 0xfffc) & ~3;
    this.#peers = peers;
    this.#members = members;
    this.#roles = roles;
    this.#wanted = new Uint8Array(peers.capacity);
    const places = 2 * peers.capacity;
    this.#takesLife = new Float64Array(places);
    this.#takesUs = new Float64Array(places).fill(Number.NEGATIVE_INFINITY);
    this.#heardLife = new Float64Array(places);
    this.#heardUs = new Float64Array(places);
    this.#denied = new Float64Array(peers.capacity);
  }

  /** The mark (`net/link.ts`) of a frame to these roles of a peer, or of everyone; `values`: 1 for client values, which a filter tells apart. */
  mark(peer: number, roles: number, values: number): number {
    if (this.limit === 0) return 0;
    const takes = peer === EVERYONE ? this.#everyoneTakes() : this.#takes(peer, 0);
    return takes ? MARKED | roles | (values * VALUES) : 0;
  }

  /** A turn has more than a frame for this peer, or for everyone. */
  want(peer: number): void {
    if (this.limit === 0) return;
    if (peer === EVERYONE) this.#wantsEveryone = true;
    else this.#wanted[peer] = 1;
    this.#wantsAny = true;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
  }

  /** Asks those whom the last turns had more than a frame for. */
  pump(): boolean {
    if (!this.#wantsAny || this.#nowUs - this.#askUs < ASK_US) return false;
    this.#askUs = this.#nowUs;
    this.#nonce++;
    const most = this.#wantsEveryone ? MOST_WANTED - 1 : MOST_WANTED;
    if (this.#wantsEveryone) this.speaker?.bundleAsk(LISTENERS, EVERYONE, this.#nonce);
    this.#wantsEveryone = false;
    this.#wantsAny = this.#askPeers(most);
    return false;
  }

  /** Asks at most so many peers, those first who wait for it since the last asking. True: others still do. */
  #askPeers(most: number): boolean {
    const { count, role } = this.#peers;
    let asked = 0;
    for (let i = 0; i < count; i++) {
      const peer = this.#next;
      this.#next = (peer + 1) % count;
      if (this.#wanted[peer] === 0) continue;
      this.#wanted[peer] = 0;
      this.speaker?.bundleAsk(role[peer]!, peer, this.#nonce);
      if (++asked === most) return true;
    }
    return false;
  }

  onBundleAsk(from: Peer, nonce: number, flags: number): void {
    const everyone = flags & BundleFlag.everyone;
    const at = place(from, everyone);
    const life = this.#peers.life[from]!;
    if ((flags & BundleFlag.bundled) !== 0) {
      this.#heardLife[at] = life;
      this.#heardUs[at] = this.#nowUs;
      return;
    }
    const hears = this.#heardLife[at] === life && this.#nowUs - this.#heardUs[at]! < VALID_US;
    // Who only listens is one of many, and speaks up where it hears none.
    const isSilent = hears && everyone !== 0 && (this.#roles & VOTERS) === 0;
    if (!isSilent) this.speaker?.bundleAnswer(from, nonce, everyone | (hears ? BundleFlag.bundled : 0));
  }

  onBundleAnswer(from: Peer, nonce: number, flags: number): void {
    if (nonce > this.#nonce || nonce <= this.#nonce - ANSWERABLE) return;
    const everyone = flags & BundleFlag.everyone;
    const hears = (flags & BundleFlag.bundled) !== 0;
    if (everyone !== 0) this.#everyoneUs = Number.NEGATIVE_INFINITY;
    if (everyone !== 0 && !hears) this.#deniedUs = this.#nowUs;
    if (!hears) this.#noteDenial(from, nonce);
    // Its process may be several peers.
    const { count, life } = this.#peers;
    for (let peer = 0; peer < count; peer++) {
      if (life[peer] !== life[from]) continue;
      const at = place(peer, everyone);
      this.#takesLife[at] = life[from]!;
      this.#takesUs[at] = hears ? this.#askUs : Number.NEGATIVE_INFINITY;
    }
  }

  /** One denial may be of an asking that was overtaken by the frame beside it. */
  #noteDenial(from: Peer, nonce: number): void {
    const last = this.#denied[from]!;
    this.#denied[from] = nonce;
    if (last > 0 && nonce > last && nonce - last <= ANSWERABLE) this.onDenied(from);
  }

  #takes(peer: number, everyone: number): boolean {
    const at = place(peer, everyone);
    return this.#takesLife[at] === this.#peers.life[peer] && this.#nowUs - this.#takesUs[at]! < VALID_US;
  }

  #everyoneTakes(): boolean {
    if (this.#everyoneUs !== this.#nowUs) {
      const { acceptors, proposers } = this.#members;
      this.#everyone =
        this.#nowUs - this.#deniedUs >= VALID_US &&
        !this.#isMissing(acceptors) &&
        !this.#isMissing(proposers) &&
        (this.#anyTakes(acceptors) || this.#anyTakes(proposers));
      this.#everyoneUs = this.#nowUs;
    }
    return this.#everyone;
  }

  /** One of them is heard, and is not known to take bundles. */
  #isMissing(members: readonly Peer[]): boolean {
    const { lastHeardUs, ports } = this.#peers;
    for (let i = 0; i < members.length; i++) {
      const peer = members[i]!;
      const isThere = this.#nowUs - lastHeardUs[peer]! < VALID_US && ports[peer] !== Port.self;
      if (isThere && !this.#takes(peer, BundleFlag.everyone)) return true;
    }
    return false;
  }

  #anyTakes(members: readonly Peer[]): boolean {
    for (let i = 0; i < members.length; i++) if (this.#takes(members[i]!, BundleFlag.everyone)) return true;
    return false;
  }
}
