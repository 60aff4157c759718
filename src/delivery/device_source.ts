/**
 * Reads a learner's device inside a node's turn, and goes on by itself when the learner ends and another one comes.
 */
import type { Log } from "../log.ts";
import type { Extra } from "../node/roles.ts";
import type { Sleeper } from "../node/run.ts";
import type { DeviceReader, ReaderState } from "./device_reader.ts";
import { range } from "./position.ts";

const READS_PER_TURN = 256;
const CHECK_US = 100_000;

/** Why nothing comes from a device, for people. */
const WHY: Readonly<Record<ReaderState, string>> = {
  attaching: "its learner has not answered yet",
  attached: "its learner answers",
  dropped: "its learner refuses this process (its log says why)",
  gone: "its learner has ended",
  corrupt: "what it holds is damaged",
  closed: "it was closed here",
};

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
  #doneIid = 0;
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
      this.#log.warn(`${reader.path}: ${WHY[state]}; waits for a learner to come back`);
    }
    // Its bytes lie in the mapping that a reconnect gives up.
    if (this.#waiting || !reader.reconnect()) return;
    this.#told = "attaching";
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
      if (reader.kind === "missed") {
        const { iid, index, lastIid, lastIndex } = reader;
        this.#log.warn(
          `${reader.path}: missed ${range(iid, index, lastIid, lastIndex)}: this process was too slow for the learner's delivery-log, or was not there`,
        );
        continue;
      }
      this.#waiting = true;
      if (!this.#taker.take(reader)) return true;
      this.#waiting = false;
      this.#done(reader.iid, reader.isLast);
    }
    return true;
  }

  /** All of an instance was taken with its last value, or when the next one begins. */
  #done(iid: number, isLast: boolean): void {
    const done = isLast ? iid : iid - 1;
    if (done <= this.#doneIid) return;
    this.#doneIid = done;
    this.reader.acknowledge(done);
    if (this.#trimEvery === 0 || done - this.#trimmedIid < this.#trimEvery) return;
    this.#trimmedIid = done;
    this.reader.requestTrim(done);
  }

  prepareSleep(): boolean {
    return this.reader.prepareSleep();
  }

  wokeUp(): void {
    this.reader.wokeUp();
  }
}
