/**
 * The learner's end of a local delivery device: a shared mapping in which every attached application (`DeviceReader`)
 * has a ring of its own (`device_layout.ts`), fed from the delivery log at the reader's own pace. Nothing is overwritten in
 * a ring: a reader that is too slow falls off the log, and is told what it missed. Dead readers are dropped.
 *
 * Nothing that a reader writes into the mapping is believed: a wrong index ends that reader's attachment, a wrong
 * acknowledgement is cut to what was delivered. Invariants: at most one live learner owns a device's name; what a reader
 * has attached to is never reused before the reader's lock is gone.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CliError, codeOf } from "../error.ts";
import { Sleeper } from "../native/ring.ts";
import { SharedMemory, WakePipe } from "../native/shared_memory.ts";
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { DeliveryLog } from "./delivery_log.ts";
import { type Draft, makeDraft, removeOldDrafts } from "./device_draft.ts";
import { deviceTrouble } from "./device_errors.ts";
import {
  Control,
  DEVICE_MAGIC,
  DEVICE_VERSION,
  deviceBytes,
  deviceName,
  LEARNER_LOCK,
  MAX_PLACES,
  MISSED_BYTES,
  MissedWord,
  maxValueBytes,
  PAGE_BYTES,
  placeOffset,
  putNumber,
  RECORD_HEADER_BYTES,
  RecordType,
  ringBytesFor,
  ringOffset,
  wakePath,
  wakePrefix,
} from "./device_layout.ts";
import { type AttachedReader, DevicePlaces } from "./device_places.ts";
import { Found } from "./log_record.ts";
import { RECORDS_PER_TURN, type Readers } from "./readers.ts";

export interface DeviceOptions {
  readonly directory: string;
  readonly cluster: string;
  /** Number of the learner. */
  readonly id: number;
  /** Where the values come from. */
  readonly log: DeliveryLog;
  /** Readers at once; 16 unless told. */
  readonly places?: number;
  /** Ring of each reader, a power of two; 1 MiB unless told, more when `maxValueBytes` needs it. */
  readonly ringBytes?: number;
  /** Largest value that will be in the log. */
  readonly maxValueBytes?: number;
  readonly onWarning?: (message: string) => void;
}

const DEFAULT_PLACES = 16;
const DEFAULT_RING_BYTES = 1 << 20;
const CREATE_TRIES = 8;

export class DeviceWriter implements Readers {
  readonly path: string;
  readonly log: DeliveryLog;
  /** Largest value that a reader's ring takes. */
  readonly maxValue: number;
  hasMore = false;
  isStuck = false;
  private readonly memory: SharedMemory;
  private readonly places: DevicePlaces;

  /** Makes the device; replaces one whose learner is gone, refuses when there is a live one. */
  static create(options: DeviceOptions): DeviceWriter {
    const { directory, cluster, id, places = DEFAULT_PLACES } = options;
    const ringBytes = Math.max(
      options.ringBytes ?? DEFAULT_RING_BYTES,
      ringBytesFor(options.maxValueBytes ?? 0),
    );
    assert(places >= 1 && places <= MAX_PLACES, "a device has 1 to 64 places");
    const path = join(directory, deviceName(cluster, id));
    let draft: Draft | undefined;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      removeOldDrafts(path);
      draft = makeDraft(path, deviceBytes(places, ringBytes));
      const { memory, instance } = draft;
      // All that the learner looks at before there is a reader: a page that cannot be had would end the process.
      memory.reserve(0, PAGE_BYTES);
      for (let place = 0; place < places; place++)
        memory.reserve(
          placeOffset(place, ringBytes),
          ringOffset(place, ringBytes) - placeOffset(place, ringBytes),
        );
      const { words } = memory;
      words[Control.version] = DEVICE_VERSION;
      words[Control.places] = places;
      words[Control.ringBytes] = ringBytes;
      words[Control.instance] = instance;
      words[Control.learnerPid] = process.pid;
      Atomics.store(words, Control.magic, DEVICE_MAGIC);
      giveName(draft.path, path, id);
      return new DeviceWriter(memory, path, places, ringBytes, instance, options);
    } catch (error) {
      draft?.memory.close();
      throw deviceTrouble(error, path, `make the delivery device of learner ${id}`);
    } finally {
      if (draft !== undefined) rmSync(draft.path, { force: true });
    }
  }

  private constructor(
    memory: SharedMemory,
    path: string,
    places: number,
    ringBytes: number,
    instance: number,
    options: DeviceOptions,
  ) {
    this.memory = memory;
    this.path = path;
    this.log = options.log;
    this.maxValue = maxValueBytes(ringBytes);
    this.places = new DevicePlaces(options.log, memory, places, ringBytes, {
      wakePath: (place) => wakePath(path, instance, place),
      onWarning: options.onWarning ?? (() => undefined),
    });
  }

  get readers(): number {
    return this.places.attached.length;
  }

  /** Readers that ended without saying so, or were dropped. */
  get readersLost(): number {
    return this.places.lost;
  }

  /** Gives every reader what its ring takes; a full one delays nobody else. Returns how many records that were. */
  pump(): number {
    this.hasMore = this.isStuck = false;
    const attached = this.places.attached;
    let given = 0;
    // Backwards: one that has to go takes itself out.
    for (let i = attached.length - 1; i >= 0; i--) given += this.feed(attached[i]!);
    return given;
  }

  private feed(reader: AttachedReader): number {
    const { cursor, ring } = reader;
    let given = 0;
    while (cursor.peek() !== Found.nothing) {
      if (given === RECORDS_PER_TURN) {
        this.hasMore = true;
        break;
      }
      if (!this.put(reader)) {
        if (this.places.mustGo(reader)) return given;
        this.isStuck = true;
        break;
      }
      cursor.advance();
      reader.progress.given();
      given++;
    }
    if (given > 0 && ring.submit() === Sleeper.descriptor) this.places.wake(reader);
    return given;
  }

  /** What the cursor stands at into the ring; false: it gives no room. */
  private put(reader: AttachedReader): boolean {
    const { cursor, ring } = reader;
    const { words } = this.memory;
    if (cursor.isValue) {
      const size = RECORD_HEADER_BYTES + cursor.length;
      const at = ring.reserve(size, RecordType.value);
      if (at < 0) return false;
      copyBytes(cursor.bytes, cursor.offset - RECORD_HEADER_BYTES, this.memory.bytes, at, size);
      return true;
    }
    const at = ring.reserve(MISSED_BYTES, RecordType.missed);
    if (at < 0) return false;
    const word = at >> 2;
    putNumber(words, word + MissedWord.firstIid, cursor.iid);
    putNumber(words, word + MissedWord.lastIid, cursor.lastIid);
    words[word + MissedWord.firstIndex] = cursor.index;
    words[word + MissedWord.lastIndex] = cursor.lastIndex;
    this.places.hasMissed(reader);
    return true;
  }

  /** Housekeeping: new readers, readers that left or died. */
  poll(nowUs: number): void {
    this.places.poll(nowUs);
  }

  acknowledged(): number {
    let lowest = MAX_IID;
    const attached = this.places.attached;
    for (let i = 0; i < attached.length; i++) {
      const reader = attached[i]!;
      this.places.refresh(reader);
      lowest = Math.min(lowest, reader.progress.limit());
    }
    return lowest;
  }

  get trim(): number {
    return this.places.trim;
  }

  /** Tells the readers that the learner goes (what is in their rings they can still read) and removes the device. */
  close(): void {
    if (this.memory.closed) return;
    if (this.memory.isAt(this.path)) unlinkSync(this.path);
    this.places.close();
    removeWakePipes(this.path);
    this.memory.close();
  }
}

/** Gives the finished file its name, which nobody else can hold at the same time. */
function giveName(draft: string, path: string, id: number): void {
  for (let attempt = 0; attempt < CREATE_TRIES; attempt++) {
    try {
      linkSync(draft, path);
      return;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    removeStale(path, id);
  }
  throw new CliError(`other processes keep taking the name ${path}`, {
    hint: `start learner ${id} on this host only once`,
  });
}

/** Removes the device of a learner that is gone. The lock decides, so two who find it cannot both be right. */
function removeStale(path: string, id: number): void {
  let old: SharedMemory;
  try {
    old = SharedMemory.open(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  try {
    if (!old.lock(LEARNER_LOCK)) {
      const pid = old.words[Control.learnerPid]!;
      throw new CliError(`learner ${id} runs on this host already (process ${pid} owns ${path})`, {
        hint: "stop it, or give this learner another --id or device-directory",
      });
    }
    if (!old.isAt(path)) return;
    removeWakePipes(path);
    unlinkSync(path);
  } finally {
    old.close();
  }
}

/** Wakes whoever still sleeps on a FIFO of a device that ends, then removes the names. */
function removeWakePipes(path: string): void {
  const prefix = basename(wakePrefix(path));
  // Somebody may have cleaned up the whole directory.
  if (!existsSync(dirname(path))) return;
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const fifo = join(dirname(path), name);
    try {
      const pipe = WakePipe.open(fifo);
      pipe.wake();
      pipe.close();
    } catch (error) {
      // Removed by its reader meanwhile, or not a FIFO: nobody sleeps on it.
      if (!["ENOENT", "ENXIO"].includes(codeOf(error))) throw error;
    }
    rmSync(fifo, { force: true });
  }
}
