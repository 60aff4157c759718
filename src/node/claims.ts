/**
 * One process a place: every second a process says who it is to whoever is the same. Of two live processes with one
 * role and id the newer stops, and says where the other one is (native wire over Ethernet; a UDP address belongs to one
 * process anyway).
 */
import { formatAddress } from "../net/address.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Peer } from "../protocol/types.ts";
import type { Extra } from "./roles.ts";

const CLAIM_US = 1_000_000;

export interface Claim {
  readonly role: number;
  readonly roleName: string;
  readonly outbox: Outbox;
}

export class Claims implements Extra {
  readonly #claims: readonly Claim[];
  readonly #id: number;
  readonly #peers: Peers;
  readonly #where: string;
  readonly #life: number;
  readonly #onLost: (message: string) => void;
  #startedUs = -1;
  #nowUs = 0;
  #dueUs = 0;

  /** `onLost` is called when an older process has this place. */
  constructor(
    claims: readonly Claim[],
    id: number,
    life: number,
    peers: Peers,
    where: string,
    onLost: (message: string) => void,
  ) {
    this.#claims = claims;
    this.#id = id;
    this.#life = life;
    this.#peers = peers;
    this.#where = where;
    this.#onLost = onLost;
  }

  tick(nowUs: number): void {
    if (this.#startedUs < 0) this.#startedUs = nowUs;
    this.#nowUs = nowUs;
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + CLAIM_US;
    const uptimeMs = Math.floor((nowUs - this.#startedUs) / 1000);
    for (const { outbox } of this.#claims) outbox.claim(uptimeMs);
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  onClaim(from: Peer, uptimeMs: number): void {
    const claim = this.#claims.find(({ role }) => role === this.#peers.role[from]);
    if (claim === undefined || this.#peers.id[from] !== this.#id) return;
    const ownMs = Math.floor((this.#nowUs - this.#startedUs) / 1000);
    const isNewer = ownMs < uptimeMs || (ownMs === uptimeMs && this.#life > this.#peers.life[from]!);
    if (!isNewer) {
      // Tell it at once that the place is taken.
      this.#dueUs = this.#nowUs;
      return;
    }
    const other = formatAddress("ethernet", this.#peers.addresses, from * ADDRESS_WORDS);
    this.#onLost(
      `${claim.roleName} ${this.#id} runs already at ${other} (for ${(uptimeMs / 1000).toFixed(1)} s); this one is at ${this.#where}`,
    );
  }
}
