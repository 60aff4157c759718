/**
 * Reads a learner's device inside a node's turn, and goes on by itself when the learner ends and another one comes.
 */
import type { Log } from "../log.ts";
import type { Extra } from "../node/roles.ts";
import type { Sleeper } from "../node/run.ts";
import type { DeviceReader, ReaderState } from "./device_reader.ts";

const READS_PER_TURN = 256;
const CHECK_US = 100_000;

export interface DeviceTaker {
  /** Takes the value in the reader's fields; false: not now. */
  take(reader: DeviceReader): boolean;
}

export class DeviceSource implements Extra, Sleeper {
  readonly reader: DeviceReader;
  readonly #taker: DeviceTaker;
  readonly #log: Log;
  /** Ask for a trim each so many instances; 0: never. */
  readonly #trimEvery: number;
  /** The descriptor to sleep on has changed: the reader has joined another learner. */
  readonly #onDescriptor: (fd: number) => void;
  #waiting = false;
  #iid = 0;
  #trimmedIid = 0;
  #checkDueUs = 0;
  #told: ReaderState = "attaching";

  constructor(
    reader: DeviceReader,
    taker: DeviceTaker,
    trimEvery: number,
    log: Log,
    onDescriptor: (fd: number) => void,
  ) {
    this.reader = reader;
    this.#taker = taker;
    this.#trimEvery = trimEvery;
    this.#log = log;
    this.#onDescriptor = onDescriptor;
    onDescriptor(reader.fd);
  }

  tick(nowUs: number): void {
    if (nowUs < this.#checkDueUs) return;
    this.#checkDueUs = nowUs + CHECK_US;
    const { reader } = this;
    const state = reader.check();
    if (state === "attaching" || state === "attached") return;
    if (this.#told !== state) {
      this.#told = state;
      this.#log.warn(`the learner's device ${reader.path}: ${state}; waiting for a learner to come back`);
    }
    if (!reader.reconnect()) return;
    this.#told = "attaching";
    this.#waiting = false;
    this.#log.info(`joined the device ${reader.path} again`);
    this.#onDescriptor(reader.fd);
  }

  nextTickUs(): number {
    return this.#checkDueUs;
  }

  pump(): boolean {
    const { reader } = this;
    for (let reads = 0; reads < READS_PER_TURN; reads++) {
      if (!this.#waiting && !reader.read()) return false;
      this.#waiting = true;
      if (!this.#taker.take(reader)) return true;
      this.#waiting = false;
      this.#done(reader.iid);
    }
    return true;
  }

  /** All of an instance was taken when the next one begins. */
  #done(iid: number): void {
    if (iid <= this.#iid) return;
    if (this.#iid > 0) this.reader.acknowledge(this.#iid);
    if (this.#trimEvery > 0 && this.#iid - this.#trimmedIid >= this.#trimEvery) {
      this.#trimmedIid = this.#iid;
      this.reader.requestTrim(this.#iid);
    }
    this.#iid = iid;
  }

  prepareSleep(): boolean {
    return this.reader.prepareSleep();
  }

  wokeUp(): void {
    this.reader.wokeUp();
  }
}
