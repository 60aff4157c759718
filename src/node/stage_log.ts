/**
 * Says when a proposer's place among the proposers changes, and why; and that it refuses clients' values.
 */
import { RECOVERY_IDS } from "../protocol/ballot.ts";
import type { Reason, Stage } from "../protocol/proposer/leadership.ts";
import type { Proposer } from "../protocol/proposer/proposer.ts";
import type { CoreContext } from "./context.ts";
import type { Extra } from "./roles.ts";

const LOOK_US = 1_000_000;
const AGAIN_MS = 10_000;
const TOO_FAR_AGAIN_MS = 600_000;

export class StageLog implements Extra {
  readonly #context: CoreContext;
  readonly #proposer: Proposer;
  /** What was told last. */
  #stage: Stage | undefined;
  #ballot = -1;
  #leader = -1;
  #refused = 0;
  #tooFar = 0;
  #dueUs = 0;
  /** A leader that has not yet told how its beginning went. */
  #isNew = false;
  #nowUs = 0;

  constructor(context: CoreContext, proposer: Proposer) {
    this.#context = context;
    this.#proposer = proposer;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    this.#tellRefused();
    this.#tellTooFar();
  }

  pump(): boolean {
    const { stage, ballot, leader } = this.#proposer;
    if (stage !== this.#stage || ballot !== this.#ballot || leader !== this.#leader) {
      this.#stage = stage;
      this.#ballot = ballot;
      this.#leader = leader;
      this.#isNew = stage === "leading";
      this.#context.log.info(this.#text());
    }
    if (this.#isNew) this.#tellRecovered();
    return false;
  }

  #tellRefused(): void {
    const { counters } = this.#proposer;
    const refused = counters.refused - this.#refused;
    if (refused === 0) return;
    const why = this.#whyRefused();
    const text = () =>
      `clients' values were refused ${refused} times in the last second, and are sent again later: ${why}`;
    this.#context.log.once("refused", "info", text, AGAIN_MS);
    this.#refused = counters.refused;
  }

  #tellTooFar(): void {
    const { counters, window } = this.#proposer;
    if (counters.tooFar === this.#tooFar) return;
    this.#tooFar = counters.tooFar;
    const text = (): string =>
      `somebody tells of an instance more than ${window.instances} above all that is known here, which no former leader can have proposed: it is left open (\`kpaxos status\` says how far each acceptor's records go)`;
    this.#context.log.once("too far", "warn", text, TOO_FAR_AGAIN_MS);
  }

  #whyRefused(): string {
    const { stage, leader, isShut } = this.#proposer;
    if (isShut) return "no snapshot of the sessions has come yet";
    if (stage !== "passive")
      return "the queue is full, or waits for too long (proposer-queue-bytes, queue-delay)";
    return leader < 0 ? "nobody is known to lead" : "the leader takes no more";
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
        if (owner >= RECOVERY_IDS)
          return `acceptor ${owner - RECOVERY_IDS} recovers, and has asked for promises at a higher ballot`;
        if (owner === this.#proposer.id)
          return "an acceptor has promised a higher ballot of this proposer's former life";
        return `an acceptor has promised a higher ballot of proposer ${owner}`;
      }
    }
  }
}
