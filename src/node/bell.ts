/**
 * What the program asks for comes between two turns: without it the next turn would sleep first.
 */
import type { Extra } from "./roles.ts";

export class Bell implements Extra {
  #isRung = false;

  /** The next turn is to come at once. */
  ring(): void {
    this.#isRung = true;
  }

  pump(): boolean {
    this.#isRung = false;
    return false;
  }

  nextTickUs(): number {
    return this.#isRung ? 0 : Number.POSITIVE_INFINITY;
  }
}
