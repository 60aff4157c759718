/**
 * Runs a node on Bun's event loop: one blocking step of the link per turn, at most until the next timer is due, then a
 * bounded number of turns before the loop is given back, so that signals, timers and output of the runtime live.
 */
import type { SystemLink } from "../net/system_link.ts";
import type { Node } from "./turn.ts";

/** Turns before the event loop gets its chance. */
const BURST = 8;
/** No sleep is longer, so that timers of the runtime, which do not wake the step, are late by this at most. */
const MAX_WAIT_US = 100_000;
/** How soon an application that took nothing is asked again. */
const STALLED_WAIT_US = 300;

/** Whoever shares the sleep: a device reader that is woken through a descriptor. */
export interface Sleeper {
  /** False: there is something to do, do not sleep. */
  prepareSleep(): boolean;
  wokeUp(): void;
}

/** Microseconds on the clock that turns are told. */
export function nowUs(): number {
  return Math.floor(performance.now() * 1000);
}

export class Runner {
  readonly #node: Node;
  readonly #link: SystemLink;
  readonly #sleeper: Sleeper | undefined;
  #stopping = false;
  #ntx = 0;
  #finish: (() => void) | undefined;
  #fail: ((error: unknown) => void) | undefined;

  constructor(node: Node, link: SystemLink, sleeper?: Sleeper) {
    this.#node = node;
    this.#link = link;
    this.#sleeper = sleeper;
    link.watchEventLoop();
  }

  /** Resolves after `stop`; rejects when a turn fails. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
      setImmediate(this.#loop);
    });
  }

  /** Ends the loop after `farewell` had its last turn: what it says is sent. */
  stop(farewell: () => void): void {
    if (this.#stopping) return;
    this.#stopping = true;
    setImmediate(() => {
      try {
        this.#link.step(this.#node.turn(nowUs(), this.#link.step(this.#ntx, 0)), 0);
        // Not before that turn: a turn begins with empty slots.
        this.#node.wire.clear();
        farewell();
        this.#link.step(this.#node.wire.seal(), 0);
        this.#finish?.();
      } catch (error) {
        this.#fail?.(error);
      }
    });
  }

  readonly #loop = (): void => {
    if (this.#stopping) return;
    try {
      for (let turn = 0; turn < BURST; turn++) {
        const received = this.#step(turn === 0 ? this.#waitUs() : 0);
        if (turn > 0 && received === 0 && this.#ntx === 0 && !this.#node.hasMore) break;
        this.#ntx = this.#node.turn(nowUs(), received);
      }
    } catch (error) {
      this.#stopping = true;
      this.#fail?.(error);
      return;
    }
    setImmediate(this.#loop);
  };

  #step(waitUs: number): number {
    const sleeper = this.#sleeper;
    if (sleeper === undefined || waitUs === 0) return this.#link.step(this.#ntx, waitUs);
    const received = this.#link.step(this.#ntx, sleeper.prepareSleep() ? waitUs : 0);
    sleeper.wokeUp();
    return received;
  }

  #waitUs(): number {
    const dueUs = this.#node.roles.nextTickUs() - nowUs();
    if (dueUs <= 0) return 0;
    if (this.#node.hasMore) return this.#ntx > 0 ? 0 : Math.min(dueUs, STALLED_WAIT_US);
    return Math.ceil(Math.min(dueUs, MAX_WAIT_US));
  }
}
