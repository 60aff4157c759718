/**
 * One process a place: every second a process says who it is to whoever is the same. Of two live processes with one
 * role and id one stops, and says where the other one is (native wire over Ethernet; a UDP address belongs to one
 * process anyway): the one whose acceptor is of the older generation, for the other has voted in its place; without such a
 * difference the one that started later.
 *
 * A frame of a former life of this process, late or sent again by somebody, is no twin: who stops has heard the other one twice,
 * and its time has passed as fast as this one's.
 */
import { formatAddress } from "../net/address.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import type { Acceptor } from "../protocol/acceptor/acceptor.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { type Peer, Role } from "../protocol/types.ts";
import type { Extra } from "./roles.ts";

const CLAIM_US = 1_000_000;
/** So much can a claim of one that lives be off, by what is on its way and in queues. */
const LATE_MS = 500;

export interface Claim {
  readonly role: Role;
  readonly outbox: Outbox;
}

export interface ClaimsOptions {
  readonly claims: readonly Claim[];
  readonly id: number;
  readonly life: number;
  readonly peers: Peers;
  readonly where: string;
  /** The acceptor of this process, if it has one. */
  readonly acceptor: Acceptor | undefined;
  /** Another process has this place. */
  readonly onLost: (message: string) => void;
}

export class Claims implements Extra {
  readonly #options: ClaimsOptions;
  #startedUs = -1;
  #nowUs = 0;
  #dueUs = 0;
  /** The other process that was heard last, at what time first, and how old it was then; 0: none. */
  #twin = 0;
  #heardUs = 0;
  #heardMs = 0;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  tick(nowUs: number): void {
    if (this.#startedUs < 0) this.#startedUs = nowUs;
    this.#nowUs = nowUs;
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + CLAIM_US;
    const uptimeMs = this.#uptimeMs;
    const generation = this.#generation;
    for (const { outbox } of this.#options.claims) outbox.claim(uptimeMs, generation);
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  onClaim(from: Peer, uptimeMs: number, generation: number): void {
    const { claims, id, life, peers, where, acceptor, onLost } = this.#options;
    const claim = claims.find(({ role }) => role === peers.role[from]);
    if (claim === undefined || peers.id[from] !== id) return;
    const twin = peers.life[from]!;
    if (!this.#hasHeard(twin, uptimeMs)) {
      // It may have voted; and it is to say at once whether it lives.
      acceptor?.fellows?.birth.doubt();
      this.#dueUs = this.#nowUs;
      return;
    }
    if (uptimeMs === this.#heardMs) return;
    const ownMs = this.#uptimeMs;
    const own = this.#generation;
    const isNewer = ownMs < uptimeMs || (ownMs === uptimeMs && life > twin);
    const gives = generation === own ? isNewer : own < generation;
    if (!gives) {
      // Tell it at once that the place is taken.
      this.#dueUs = this.#nowUs;
      return;
    }
    const other = formatAddress("ethernet", peers.addresses, from * ADDRESS_WORDS);
    const isOutlived = own > 0 || (acceptor?.fellows?.birth.outlivedBy ?? 0) > 0;
    const votes = isOutlived && generation > own ? ", and votes with a newer generation" : "";
    onLost(
      `${roleName(claim.role)} ${id} runs already at ${other} (for ${(uptimeMs / 1000).toFixed(1)} s${votes}); this one is at ${where}`,
    );
  }

  get #uptimeMs(): number {
    return Math.floor((this.#nowUs - this.#startedUs) / 1000);
  }

  /** 0: no acceptor, or one that has not voted. */
  get #generation(): number {
    const { acceptor } = this.#options;
    return acceptor === undefined ? 0 : acceptor.standing.generations[acceptor.aid]!;
  }

  /** Whether this is the process that was heard before, and its time goes on; else it is from now on. */
  #hasHeard(twin: number, uptimeMs: number): boolean {
    const passedMs = (this.#nowUs - this.#heardUs) / 1000;
    if (twin === this.#twin && Math.abs(uptimeMs - this.#heardMs - passedMs) <= LATE_MS) return true;
    this.#twin = twin;
    this.#heardUs = this.#nowUs;
    this.#heardMs = uptimeMs;
    return false;
  }
}

function roleName(role: Role): string {
  return Object.entries(Role).find(([, bit]) => bit === role)![0];
}
