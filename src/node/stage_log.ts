/**
 * Says when a proposer's place among the proposers changes, and why.
 */
import { RECOVERY_IDS } from "../protocol/ballot.ts";
import type { Reason } from "../protocol/proposer/leadership.ts";
import type { Proposer } from "../protocol/proposer/proposer.ts";
import type { CoreContext } from "./process.ts";
import type { Extra } from "./roles.ts";

export class StageLog implements Extra {
  readonly #context: CoreContext;
  readonly #proposer: Proposer;
  #told = "";
  /** A leader that has not yet told how its beginning went. */
  #isNew = false;
  #nowUs = 0;

  constructor(context: CoreContext, proposer: Proposer) {
    this.#context = context;
    this.#proposer = proposer;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
  }

  pump(): boolean {
    const { stage, ballot, leader } = this.#proposer;
    const place = `${stage} ${ballot} ${leader}`;
    if (place !== this.#told) {
      this.#told = place;
      this.#isNew = stage === "leading";
      this.#context.log.info(this.#text());
    }
    if (this.#isNew) this.#tellRecovered();
    return false;
  }

  #tellRecovered(): void {
    const { isReady, leadership } = this.#proposer;
    if (!isReady) return;
    this.#isNew = false;
    const { first, last } = leadership.recovered;
    if (last < first) return;
    const ms = ((this.#nowUs - leadership.campaignUs) / 1000).toFixed(1);
    this.#context.log.info(`recovered instances ${first}…${last} in ${ms} ms`);
  }

  #text(): string {
    const { stage, ballot, leader, leadership } = this.#proposer;
    const why = leadership.reason === undefined ? "" : this.#why(leadership.reason);
    switch (stage) {
      case "waiting":
        return why === "" ? "waits to hear whether another proposer leads" : why;
      case "passive":
        return `follows proposer ${leader}${why === "" ? "" : `: ${why}`}`;
      case "preparing":
        return `preparing at ballot ${ballot}${why === "" ? "" : `: ${why}`}`;
      default:
        return `${stage} at ballot ${ballot}`;
    }
  }

  #why(reason: Reason): string {
    const { config } = this.#context;
    switch (reason.what) {
      case "silent": {
        const asks = this.#proposer.stage === "waiting" ? ": asks for votes" : "";
        return `proposer ${reason.leader} is silent for ${Math.round(reason.us / 1000)} ms${asks}`;
      }
      case "unheard":
        return `steps down: no quorum of acceptors echoes its heartbeats (heard: ${reason.heard} of ${config.acceptors.length})`;
      case "unpromised":
        return "lets others try: no quorum of acceptors promises its ballot";
      case "preempted": {
        const { owner } = reason;
        if (owner >= RECOVERY_IDS) return `acceptor ${owner - RECOVERY_IDS} has recovered at a higher ballot`;
        if (owner === this.#proposer.id)
          return "an acceptor has promised a higher ballot of this proposer's former life";
        return `an acceptor has promised a higher ballot of proposer ${owner}`;
      }
    }
  }
}
