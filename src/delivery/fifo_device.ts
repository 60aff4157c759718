/**
 * The Kernel_Paxos character device, for unmodified programs: a FIFO in packet mode on which each read returns one
 * record, u64 size and then the value. While nobody reads, values pass by; a reader begins with what is delivered next.
 *
 * The delivery log stands in front of the pipe, so a slow reader delays nobody. A reader of this kind cannot be told of
 * missed values: they are counted, and logged here.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { CliError, codeOf, exitCodeOf } from "../error.ts";
import type { Log } from "../log.ts";
import { MAX_RECORD_BYTES, PacketFifo } from "../native/packet_fifo.ts";
import { MAX_IID } from "../protocol/types.ts";
import { DEVICE_RECORD_BYTES } from "../wire/client_record.ts";
import type { DeliveryLog } from "./delivery_log.ts";
import { deviceRecord } from "./device_record.ts";
import type { LogCursor } from "./log_cursor.ts";
import { Found } from "./log_record.ts";
import { position } from "./position.ts";
import { RECORDS_PER_TURN, type Readers } from "./readers.ts";

/** How soon a full pipe is tried again. */
const RETRY_US = 300;

/** Where Kernel_Paxos has its device. */
export function fifoPath(id: number): string {
  return `/dev/paxos/klearner${id}`;
}

export class FifoDevice implements Readers {
  readonly path: string;
  hasMore = false;
  isStuck = false;
  readonly trim = 0;
  readonly counters = { readers: 0, written: 0, missed: 0, tooLarge: 0 };
  readonly #delivery: DeliveryLog;
  readonly #log: Log;
  readonly #fifo: PacketFifo;
  readonly #record = new Uint8Array(MAX_RECORD_BYTES);
  #cursor: LogCursor | undefined;
  #retryUs = 0;
  /** What the present reader has missed and was not said yet; "" when there is nothing to say. */
  #missedFrom = "";
  #missedTo = "";
  /** Values that it has missed and that were said. */
  #missedSaid = 0;

  /** Makes the FIFO, and its directory, unless they are there. */
  constructor(delivery: DeliveryLog, path: string, log: Log) {
    this.path = path;
    this.#delivery = delivery;
    this.#log = log;
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.#fifo = new PacketFifo(path);
    } catch (error) {
      throw trouble(error, path);
    }
    this.poll();
  }

  get readers(): number {
    return this.#fifo.isOpen ? 1 : 0;
  }

  /** A reader has opened the FIFO since the last look. */
  poll(): void {
    if (this.#fifo.isOpen) return;
    const answer = this.#fifo.open();
    if (answer === "another process writes")
      this.#log.once("fifo", "error", `another process writes to ${this.path}: is a second learner running?`);
    if (answer !== "open") return;
    this.counters.readers++;
    this.#cursor = this.#delivery.open("present");
    this.#log.info(`a program reads ${this.path}`);
  }

  pump(nowUs: number): number {
    this.hasMore = this.isStuck = false;
    const cursor = this.#cursor;
    if (cursor === undefined) return 0;
    if (nowUs < this.#retryUs) {
      this.isStuck = !cursor.isAtEnd;
      return 0;
    }
    for (let written = 0; ; written++) {
      const found = cursor.peek();
      if (found === Found.nothing) return written;
      if (written === RECORDS_PER_TURN) {
        this.hasMore = true;
        return written;
      }
      if (found === Found.missed) this.#noteMissed(cursor);
      else if (!this.#write(cursor, nowUs)) return written;
      // Its reader may have gone with that record.
      if (this.#cursor === undefined) return written;
      cursor.advance();
    }
  }

  acknowledged(): number {
    return MAX_IID;
  }

  /** The FIFO stays: a program that has it open goes on with the next learner. */
  close(): void {
    this.#forget();
    this.#fifo.close();
  }

  #write(cursor: LogCursor, nowUs: number): boolean {
    const size = deviceRecord(this.#record, 0, cursor.bytes, cursor.offset, cursor.length);
    if (size < 0) {
      this.counters.tooLarge++;
      const most = MAX_RECORD_BYTES - DEVICE_RECORD_BYTES;
      this.#log.once(
        "fifo-size",
        "error",
        `values of more than ${most} bytes do not fit ${this.path} and are left out there: read them from the device or the socket (kpaxos tail)`,
      );
      return true;
    }
    const answer = this.#fifo.write(this.#record, size);
    if (answer === "full") {
      this.isStuck = true;
      this.#retryUs = nowUs + RETRY_US;
      return false;
    }
    if (answer === "written") {
      this.counters.written++;
      if (this.#missedFrom !== "") this.#tellMissed(cursor);
      return true;
    }
    this.#log.info(`nobody reads ${this.path} any more`);
    this.#forget();
    return false;
  }

  /** A pipe that stays full falls behind again and again: it is said once, when the reader takes something. */
  #noteMissed(cursor: LogCursor): void {
    if (this.#missedFrom === "") this.#missedFrom = position(cursor.iid, cursor.index);
    this.#missedTo = position(cursor.lastIid, cursor.lastIndex);
  }

  #tellMissed(cursor: LogCursor): void {
    const missed = cursor.missedRecords - this.#missedSaid;
    this.#missedSaid = cursor.missedRecords;
    this.counters.missed += missed;
    this.#log.warn(
      `the program at ${this.path} was too slow: it has missed ${missed} values, ${this.#missedFrom} to ${this.#missedTo}; a larger delivery-log gives it more time`,
    );
    this.#missedFrom = "";
  }

  #forget(): void {
    this.#cursor?.close();
    this.#cursor = undefined;
    this.#missedFrom = "";
    this.#missedSaid = 0;
    this.#retryUs = 0;
  }
}

function trouble(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (code === "") return error;
  if (code === "ENXIO")
    return new CliError(`${path} is there and is not a FIFO`, {
      hint: `unload the kernel module that made it or remove it, or choose another path with --device-path`,
      cause: error,
    });
  return new CliError(`cannot make the device ${path}: ${code}`, {
    exitCode: exitCodeOf(error),
    hint: "choose a path that this user may write with --device-path",
    cause: error,
  });
}
