/**
 * The learner's end of a local delivery device: a shared mapping in which every attached application (`DeviceReader`)
 * has a ring of its own (`device_layout.ts`). A value goes into all rings or into none: when one is full `deliver`
 * says false and the learner keeps the value, so nothing is lost or overwritten. Dead readers are dropped.
 *
 * Nothing that a reader writes into the mapping is believed: a wrong index ends that reader's attachment, a wrong
 * acknowledgement is cut to what was delivered. Invariants: at most one live learner owns a device's name; what a reader
 * has attached to is never reused before the reader's lock is gone.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CliError } from "../error.ts";
import { Sleeper } from "../native/ring.ts";
import { SharedMemory, WakePipe } from "../native/shared_memory.ts";
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { MAX_IID } from "../protocol/types.ts";
import { deviceTrouble, nativeCode } from "./device_errors.ts";
import {
  Control,
  DEVICE_MAGIC,
  DEVICE_VERSION,
  deviceBytes,
  deviceName,
  LEARNER_LOCK,
  MAX_PLACES,
  maxValueBytes,
  PAGE_BYTES,
  RECORD_HEADER_BYTES,
  RecordWord,
  ringBytesFor,
  VALUE_RECORD,
  wakePath,
  wakePrefix,
} from "./device_layout.ts";
import { DevicePlaces } from "./device_places.ts";

export interface DeviceOptions {
  readonly directory: string;
  readonly cluster: string;
  /** Number of the learner. */
  readonly id: number;
  /** Readers at once; 16 unless told. */
  readonly places?: number;
  /** Ring of each reader, a power of two; 1 MiB unless told, more when `maxValueBytes` needs it. */
  readonly ringBytes?: number;
  /** Largest value that will be delivered. */
  readonly maxValueBytes?: number;
  /** A reader that takes nothing for so long is named in a warning; 1 s unless told. */
  readonly warnBlockedMs?: number;
  /** … and is dropped after this long; never unless told. It then learns at which position it was. */
  readonly dropBlockedMs?: number;
  readonly onWarning?: (message: string) => void;
}

const DEFAULT_PLACES = 16;
const DEFAULT_RING_BYTES = 1 << 20;
const CREATE_TRIES = 8;

export class DeviceWriter {
  readonly path: string;
  /** Largest value that `deliver` takes. */
  readonly maxValue: number;
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
    const instance = crypto.getRandomValues(new Int32Array(1))[0]!;
    const draft = `${path}.${(instance >>> 0).toString(16)}.new`;
    let memory: SharedMemory | undefined;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      memory = SharedMemory.create(draft, deviceBytes(places, ringBytes));
      memory.reserve(0, PAGE_BYTES);
      const { words } = memory;
      words[Control.version] = DEVICE_VERSION;
      words[Control.places] = places;
      words[Control.ringBytes] = ringBytes;
      words[Control.instance] = instance;
      words[Control.learnerPid] = process.pid;
      Atomics.store(words, Control.magic, DEVICE_MAGIC);
      assert(memory.lock(LEARNER_LOCK), "nobody knows the file yet");
      giveName(draft, path, id);
      return new DeviceWriter(memory, path, places, ringBytes, instance, options);
    } catch (error) {
      memory?.close();
      throw deviceTrouble(error, path, `make the delivery device of learner ${id}`);
    } finally {
      rmSync(draft, { force: true });
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
    this.maxValue = maxValueBytes(ringBytes);
    this.places = new DevicePlaces(memory, places, ringBytes, {
      wakePath: (place) => wakePath(path, instance, place),
      warnBlockedUs: (options.warnBlockedMs ?? 1000) * 1000,
      dropBlockedUs: (options.dropBlockedMs ?? Number.POSITIVE_INFINITY) * 1000,
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

  /**
   * Puts a value into the ring of every attached reader. False: one is full, nothing was written, call again with the
   * same value (soon: no event tells when there is room).
   */
  deliver(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    assert(length >= 0 && length <= this.maxValue, "a delivered value fits the device");
    const attached = this.places.attached;
    const size = RECORD_HEADER_BYTES + length;
    let full = false;
    for (let i = 0; i < attached.length; ) {
      const reader = attached[i]!;
      const at = reader.ring.reserve(size, VALUE_RECORD);
      if (at < 0 && this.places.mustGo(reader)) continue; // dropped: another one stands at i now
      if (at < 0) full = true;
      reader.reserved = at;
      i++;
    }
    if (full) {
      for (let i = 0; i < attached.length; i++) {
        const reader = attached[i]!;
        reader.ring.cancel();
        if (reader.reserved < 0) this.places.blocked(reader);
      }
      return false;
    }
    const { bytes: into, words } = this.memory;
    for (let i = 0; i < attached.length; i++) {
      const reader = attached[i]!;
      const at = reader.reserved;
      const word = at >> 2;
      putNumber(words, word + RecordWord.iid, iid);
      putNumber(words, word + RecordWord.session, session);
      putNumber(words, word + RecordWord.sequence, sequence);
      words[word + RecordWord.index] = index;
      copyBytes(bytes, offset, into, at + RECORD_HEADER_BYTES, length);
      reader.blockedSinceUs = -1;
      reader.warned = false;
      if (reader.ring.submit() === Sleeper.descriptor) this.places.wake(reader);
    }
    this.places.lastIid = iid;
    this.places.lastIndex = index;
    return true;
  }

  /** Housekeeping, once a turn: new readers, readers that left, died or block. */
  poll(nowUs: number): void {
    this.places.poll(nowUs);
  }

  /** The lowest instance that all attached readers are done with; MAX_IID when there is no reader to wait for. */
  acknowledged(): number {
    let lowest = MAX_IID;
    const attached = this.places.attached;
    for (let i = 0; i < attached.length; i++) {
      const reader = attached[i]!;
      this.places.refresh(reader);
      if (reader.acknowledged < lowest) lowest = reader.acknowledged;
    }
    return lowest;
  }

  /** Up to where readers want the log trimmed; never beyond what all of them have acknowledged. 0: no wish. */
  get requestedTrim(): number {
    const limit = this.acknowledged();
    return Math.min(this.places.trim, limit);
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

function putNumber(words: Int32Array, at: number, value: number): void {
  words[at] = value | 0;
  words[at + 1] = Math.floor(value / 0x1_0000_0000);
}

/** Gives the finished file its name, which nobody else can hold at the same time. */
function giveName(draft: string, path: string, id: number): void {
  for (let attempt = 0; attempt < CREATE_TRIES; attempt++) {
    try {
      linkSync(draft, path);
      return;
    } catch (error) {
      if (nativeCode(error) !== "EEXIST") throw error;
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
    if (nativeCode(error) === "ENOENT") return;
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
      if (!["ENOENT", "ENXIO"].includes(nativeCode(error))) throw error;
    }
    rmSync(fifo, { force: true });
  }
}
