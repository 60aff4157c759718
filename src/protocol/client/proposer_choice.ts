/**
 * Which of the configured proposers a client sends to: the one it was given, until that one is silent, or has nobody to lead
 * it for long; then the next.
 */
import { Busy } from "../types.ts";

/** In first retries: how long nothing at all may come back, and how long only refusals may. */
const SILENT_RETRIES = 3;
const REFUSED_RETRIES = 8;

export class ProposerChoice {
  id: number;
  switches = 0;
  readonly #proposers: number;
  /** When anything was last heard from a proposer, when a value last came back, and since when there is something to wait for. */
  #heardUs = Number.NEGATIVE_INFINITY;
  #progressUs = Number.NEGATIVE_INFINITY;
  #sinceUs = 0;
  #isRefused = false;

  constructor(first: number, proposers: number) {
    this.id = first;
    this.#proposers = proposers;
  }

  /** From now on answers are expected. */
  expects(nowUs: number): void {
    this.#sinceUs = nowUs;
    this.#isRefused = false;
  }

  heard(nowUs: number): void {
    this.#heardUs = nowUs;
  }

  progress(nowUs: number): void {
    this.#progressUs = nowUs;
    this.#isRefused = false;
  }

  refused(reason: Busy, nowUs: number): void {
    this.#heardUs = nowUs;
    // A full proposer would be as full through another one.
    this.#isRefused = reason === Busy.noQuorum || reason === Busy.notLeader || reason === Busy.noSnapshot;
  }

  /** Whether it is time for another proposer, which then is the one in use. */
  review(nowUs: number, retryUs: number): boolean {
    const silentUs = nowUs - Math.max(this.#heardUs, this.#sinceUs);
    const stuckUs = nowUs - Math.max(this.#progressUs, this.#sinceUs);
    const isOver =
      silentUs >= SILENT_RETRIES * retryUs || (this.#isRefused && stuckUs >= REFUSED_RETRIES * retryUs);
    if (!isOver || this.#proposers < 2) return false;
    this.id = (this.id + 1) % this.#proposers;
    this.switches++;
    this.expects(nowUs);
    return true;
  }
}
