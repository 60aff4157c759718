/**
 * Runs nodes on Bun's event loop: one blocking step of the first one's link per turn, at most until the next timer is due, then
 * a bounded number of turns before the loop is given back, so that signals, timers and output of the runtime live.
 */
import type { SystemLink } from "../net/system_link.ts";
import type { Patience } from "./patience.ts";
import type { Node } from "./turn.ts";

/** Turns before the event loop gets its chance. */
const BURST = 8;
/** No sleep is longer, so that timers of the runtime, which do not wake the step, are late by this at most. */
const MAX_WAIT_US = 100_000;
/** Nor is this one where several of them run in one program: while one sleeps the others do not hear what comes for them. */
const SHARED_WAIT_US = 1_000;
/** Sleeps that frames ended so soon are followed by more of them. */
const SHORT_SLEEP_US = 500;
/** How soon an application that took nothing is asked again. */
const STALLED_WAIT_US = 300;

/** Whoever shares the sleep: a device reader that is woken through a descriptor. */
export interface Sleeper {
  /** False: there is something to do, do not sleep. */
  prepareSleep(): boolean;
  wokeUp(): void;
}

/**
 * Microseconds on the clock that turns are told. It goes on while the host is suspended, as the runtime's own does not: a lease would
 * run on behind it, and an acceptor would not know that it was away.
 */
export function nowUs({ asleepUs }: SystemLink): number {
  return Math.floor(performance.now() * 1000 + asleepUs);
}

/** A node with its link: of a process that belongs to several groups there is one for each. */
export interface LinkedNode {
  readonly node: Node;
  readonly link: SystemLink;
}

export interface RunnerOptions {
  readonly sleeper?: Sleeper | undefined;
  /**
   * While it is busy a burst may sleep between its turns, too, which saves a pass of the event loop for each. What the runtime has
   * to do without a descriptor that says so, a promise's continuation for one, then waits for the end of such a sleep, of the last
   * one at most.
   */
  readonly dozes?: (() => boolean) | undefined;
  readonly patience?: Patience | undefined;
}

/** How many run in this program. */
let running = 0;

const never = (): boolean => false;

export class Runner {
  readonly #lanes: readonly LinkedNode[];
  readonly #first: LinkedNode;
  readonly #sleeper: Sleeper | undefined;
  readonly #dozes: () => boolean;
  readonly #patience: Patience | undefined;
  /** Frames of each lane that wait to be sent with its next step. */
  readonly #ntx: Int32Array;
  /** The last sleep was short, and frames ended it. */
  #isBusy = false;
  #sleepsFromUs = 0;
  #stopping = false;
  #finish: (() => void) | undefined;
  #fail: ((error: unknown) => void) | undefined;

  /** The first lane's link is the one that sleeps, for all. */
  constructor(lanes: readonly LinkedNode[], { sleeper, dozes, patience }: RunnerOptions = {}) {
    this.#lanes = lanes;
    this.#first = lanes[0]!;
    this.#sleeper = sleeper;
    this.#dozes = dozes ?? never;
    this.#patience = patience;
    this.#ntx = new Int32Array(lanes.length);
    this.#first.link.watchEventLoop();
    for (const { link } of lanes.slice(1)) this.#first.link.watchLink(link);
  }

  /** Resolves after `stop`; rejects when a turn fails. */
  async run(): Promise<void> {
    running++;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#finish = resolve;
        this.#fail = reject;
        setImmediate(this.#loop);
      });
    } finally {
      running--;
    }
  }

  /** Ends the loop after each lane's `farewell` had its last turn: what it says is sent. */
  stop(farewell: (lane: number) => void): void {
    if (this.#stopping) return;
    this.#stopping = true;
    setImmediate(() => {
      try {
        this.#lanes.forEach(({ node, link }, lane) => {
          const received = link.step(this.#ntx[lane]!, 0);
          link.step(node.turn(nowUs(link), received), 0);
          // Not before that turn: a turn begins with empty slots.
          node.wire.clear();
          farewell(lane);
          link.step(node.wire.seal(), 0);
        });
        this.#finish?.();
      } catch (error) {
        this.#fail?.(error);
      }
    });
  }

  readonly #loop = (): void => {
    if (this.#stopping) return;
    try {
      for (let turn = 0; turn < BURST && !this.#stopping; turn++) {
        if (!this.#turn(turn === 0)) break;
      }
      this.#sendAll();
      this.#patience?.look(nowUs(this.#first.link));
    } catch (error) {
      this.#stopping = true;
      this.#fail?.(error);
      return;
    }
    setImmediate(this.#loop);
  };

  /** The others go first, so that nothing of theirs waits while the first one sleeps. False: nobody had anything to do. */
  #turn(isFirst: boolean): boolean {
    const mayWait = isFirst || (this.#isBusy && this.#dozes());
    let any = isFirst;
    // Another one gave as many frames as it may: of more that it has taken in already the first one's sleep would know nothing.
    let isFull = false;
    for (let lane = this.#lanes.length - 1; lane >= 0; lane--) {
      const { node, link } = this.#lanes[lane]!;
      const sent = this.#ntx[lane]!;
      const waits = mayWait && lane === 0 && !isFull;
      const received: number = waits ? this.#wait(sent) : link.step(sent, 0);
      isFull ||= received === link.rxSlots;
      const now = nowUs(link);
      if (waits) this.#isBusy = received > 0 && now - this.#sleepsFromUs < SHORT_SLEEP_US;
      if (!isFirst && received === 0 && !node.hasMore) {
        this.#ntx[lane] = 0;
        continue;
      }
      any = true;
      this.#ntx[lane] = node.turn(now, received);
    }
    return any;
  }

  /** Before a pass of the event loop, which nobody shall wait for. Who has more to say goes on with its next step, at once. */
  #sendAll(): void {
    for (let lane = 0; lane < this.#lanes.length; lane++) {
      const { node, link } = this.#lanes[lane]!;
      if (this.#ntx[lane] === 0 || node.hasMore) continue;
      link.send(this.#ntx[lane]!);
      this.#ntx[lane] = 0;
    }
  }

  #wait(ntx: number): number {
    const { link } = this.#first;
    const sleeper = this.#sleeper;
    const waitUs = this.#waitUs();
    if (sleeper === undefined || waitUs === 0) return link.step(ntx, waitUs);
    const received = link.step(ntx, sleeper.prepareSleep() ? waitUs : 0);
    sleeper.wokeUp();
    return received;
  }

  #waitUs(): number {
    let waitUs = running > 1 ? SHARED_WAIT_US : MAX_WAIT_US;
    const now = nowUs(this.#first.link);
    this.#sleepsFromUs = now;
    for (let lane = 0; lane < this.#lanes.length; lane++) {
      const { node } = this.#lanes[lane]!;
      // What the first one has to send is sent before it sleeps.
      if (this.#ntx[lane]! > 0 && (lane > 0 || node.hasMore)) return 0;
      waitUs = Math.min(waitUs, node.roles.nextTickUs() - now, node.hasMore ? STALLED_WAIT_US : MAX_WAIT_US);
    }
    return waitUs > 0 ? Math.ceil(waitUs) : 0;
  }
}
