/**
 * A trouble of random walks: a proposer that campaigns reaches one acceptor only, until that one has forgotten what it
 * promised and votes again; all that others said to it meanwhile, or it to them, waits. What is kept back for so long is what a
 * promise of a former self is dangerous for, and random orders hardly ever keep it so long.
 */
import type { Roles } from "../../src/node/roles.ts";
import type { Peer } from "../../src/protocol/types.ts";
import type { Flight } from "./walk_network.ts";

const BEGINS = 0.5;
const RESTARTS = 0.5;
const ENDS = 0.1;
const TRIES = 8;
const NOBODY = -1;

interface Place {
  readonly peer: Peer;
  readonly roles: Roles;
}

export class Hold {
  readonly #acceptors: readonly Place[];
  readonly #proposers: readonly Place[];
  readonly #restart: (aid: number) => void;
  readonly #random: () => number;
  #proposer = NOBODY;
  #acceptor = NOBODY;
  #hasForgotten = false;

  constructor(
    acceptors: readonly Place[],
    proposers: readonly Place[],
    restart: (aid: number) => void,
    random: () => number,
  ) {
    this.#acceptors = acceptors;
    this.#proposers = proposers;
    this.#restart = restart;
    this.#random = random;
  }

  get isOn(): boolean {
    return this.#proposer !== NOBODY;
  }

  /** Begins, goes on or ends. */
  step(): void {
    const campaigning = this.#proposers.find(({ roles }) => roles.cores.proposer!.stage === "preparing");
    if (!this.isOn) {
      if (campaigning === undefined || this.#random() >= BEGINS) return;
      this.#proposer = campaigning.peer;
      this.#acceptor = Math.floor(this.#random() * this.#acceptors.length);
      this.#hasForgotten = false;
      return;
    }
    const { isVoting, promised } = this.#acceptors[this.#acceptor]!.roles.cores.acceptor!;
    if (this.#hasForgotten) {
      if (isVoting && this.#random() < ENDS) this.end();
    } else if (campaigning?.peer !== this.#proposer) this.end();
    else if (promised === campaigning.roles.cores.proposer!.ballot && this.#random() < RESTARTS) {
      this.#restart(this.#acceptor);
      this.#hasForgotten = true;
    }
  }

  end(): void {
    this.#proposer = NOBODY;
  }

  /** Which message of the pool is next: one of the first `span`, or of all when that one waits; −1: none. */
  draw(pool: readonly Flight[], span: number): number {
    let index = Math.floor(this.#random() * span);
    for (let tries = 0; tries < TRIES && this.#isHeld(pool[index]!); tries++)
      index = Math.floor(this.#random() * pool.length);
    return this.#isHeld(pool[index]!) ? -1 : index;
  }

  #isHeld({ from, to }: Flight): boolean {
    if (!this.isOn || (from !== this.#proposer && to !== this.#proposer)) return false;
    return (from === this.#proposer ? to : from) !== this.#acceptor;
  }
}
