/**
 * What a birth of the cluster rests on (`birth.ts`): the lives of the others in the last round in which all of them were fresh,
 * of acceptor 0; and to whoever else is fresh the last question of an acceptor 0 that may begin it.
 */
import type { StandingVector } from "../standing.ts";
import type { Life } from "../types.ts";
import type { RollCall } from "./roll_call.ts";

/** Who begins a cluster. */
export const FIRST = 0;

export class Beginning {
  /** 0: there was no such round. */
  readonly #freshLives: Float64Array;
  #firstLife: Life = 0;
  #firstNonce = 0;

  constructor(acceptors: number) {
    this.#freshLives = new Float64Array(acceptors);
  }

  /** Somebody votes. */
  forget(): void {
    this.#freshLives.fill(0);
  }

  /**
   * Whether all others were fresh when this round began, at which they all have said that they are: they were before it, in the
   * same lives. What each says in one round it says at a time of its own, and may have voted, and forgotten, between the
   * first and the last.
   */
  isConfirmed({ incarnations }: RollCall): boolean {
    const lives = this.#freshLives;
    let isConfirmed = true;
    for (let other = FIRST + 1; other < lives.length; other++) {
      if (lives[other] !== incarnations[other]) isConfirmed = false;
      lives[other] = incarnations[other]!;
    }
    return isConfirmed;
  }

  /** Writes down everybody's life. */
  record(standing: StandingVector, life: Life): void {
    standing.set(FIRST, 1, life);
    for (let other = FIRST + 1; other < this.#freshLives.length; other++)
      standing.set(other, 1, this.#freshLives[other]!);
  }

  /** Whether acceptor 0 asks anew. */
  isNews(life: Life, nonce: number): boolean {
    if (this.#firstLife === life && this.#firstNonce === nonce) return false;
    this.#firstLife = life;
    this.#firstNonce = nonce;
    return true;
  }
}
