/** Remembers for a while why a proposer last refused this client, for the diagnosis. */
import type { Busy, Peer } from "../protocol/types.ts";
import type { Extra } from "./roles.ts";

/** Who is refused asks again sooner than that; later it tells nothing of now. */
const KEPT_US = 10_000_000;

export class BusyNote implements Extra {
  #reason: Busy | 0 = 0;
  #heardUs = 0;
  #nowUs = 0;

  /** 0: not refused of late. */
  get reason(): Busy | 0 {
    return this.#nowUs - this.#heardUs <= KEPT_US ? this.#reason : 0;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
  }

  onBusy(_from: Peer, reason: Busy): void {
    this.#reason = reason;
    this.#heardUs = this.#nowUs;
  }
}
