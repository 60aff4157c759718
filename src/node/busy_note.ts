/** Remembers why a proposer last refused this client, for the diagnosis. */
import type { Busy, Peer } from "../protocol/types.ts";
import type { Extra } from "./roles.ts";

export class BusyNote implements Extra {
  /** 0: never refused. */
  reason: Busy | 0 = 0;

  onBusy(_from: Peer, reason: Busy): void {
    this.reason = reason;
  }
}
