/**
 * The state of a log whose values are handed on as they are, without sessions: nothing but the position.
 */
import type { LogState } from "../../src/delivery/snapshots.ts";
import type { Application } from "../../src/protocol/learner/learner.ts";

const NOTHING = new Uint8Array(0);

export class PlainState implements LogState {
  iid = 0;
  readonly isWhole = true;
  readonly #application: Application;
  #isPartial = false;

  constructor(application: Application) {
    this.#application = application;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    this.#isPartial = !this.#application.deliver(iid, bytes, offset, length);
    if (!this.#isPartial) this.iid = iid;
    return !this.#isPartial;
  }

  skipped(first: number, last: number): void {
    this.#application.skipped(first, last);
    this.iid = last;
  }

  acknowledged(): number {
    return this.#application.acknowledged();
  }

  snapshot(): Uint8Array | null {
    return this.#isPartial ? null : NOTHING;
  }

  beginUnknown(iid: number): void {
    this.iid = iid;
  }

  restore(bytes: Uint8Array, iid: number): string | null {
    if (bytes.length > 0) return "limits";
    this.iid = iid;
    return null;
  }
}
