/**
 * The application's end of a local delivery device (`device.ts`): one place, one ring, in a process of its own or in the
 * learner's. It never waits for the learner and never fails because the learner went away: that is a `state`, and
 * `reconnect` joins the next learner of that name.
 *
 * What a learner wrote is checked like anything from outside; a wrong mapping is refused at `open`, a wrong ring later
 * is the state "corrupt".
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CliError, codeOf } from "../error.ts";
import { Ring } from "../native/ring.ts";
import { SharedMemory, WakePipe } from "../native/shared_memory.ts";
import { assert } from "../protocol/assert.ts";
import { MAX_IID } from "../protocol/types.ts";
import { deviceTrouble } from "./device_errors.ts";
import {
  Control,
  DEVICE_MAGIC,
  DEVICE_VERSION,
  deviceBytes,
  deviceName,
  getNumber,
  LEARNER_LOCK,
  loadNumber,
  MAX_PLACES,
  MISSED_BYTES,
  MissedWord,
  Place,
  PlaceState,
  placeOffset,
  RECORD_HEADER_BYTES,
  RecordType,
  RecordWord,
  readerLock,
  ringOffset,
  StartWord,
  storeNumber,
  wakePath,
} from "./device_layout.ts";
import { LAST_INDEX, type StartAt } from "./log_record.ts";
import { after } from "./position.ts";

/**
 * `attaching`: the learner has not seen us yet. `dropped`: it gave up on us (our ring made no sense to it). `gone`: it ended.
 * `corrupt`: its ring made no sense. In the last three nothing comes any more until `reconnect`.
 */
export type ReaderState = "attaching" | "attached" | "dropped" | "gone" | "corrupt" | "closed";

export interface ReaderOptions {
  /** First position wanted (inclusive); the present unless told. What is no longer there is told as missed. */
  readonly from?: StartAt;
  /** It calls `acknowledge`, and the log shall not be trimmed beyond that. */
  readonly acknowledges?: boolean;
}

/** How often a sleeping reader looks whether its learner is alive. */
const ALIVE_CHECK_US = 100_000;

export class DeviceReader {
  readonly path: string;
  state: ReaderState = "attaching";
  /**
   * What `read` found: a value, or word that values were missed: all positions from the one in `iid` and `index` to the
   * one in `lastIid` and `lastIndex`, both inclusive (an index of 2^31 − 1 is the end of its instance).
   */
  kind: "value" | "missed" = "value";
  iid = 0;
  index = 0;
  lastIid = 0;
  lastIndex = 0;
  /** Of a value: no other follows in its instance, which can be acknowledged with it. */
  isLast = false;
  /** Of a value; its bytes stay where they are until the next `read`. */
  session = 0;
  sequence = 0;
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  length = 0;
  /** The last position that the learner had delivered when it saw us. */
  afterIid = 0;
  afterIndex = 0;
  /** Which place of the device it has, and the process id of its learner. */
  place = -1;
  learnerPid = 0;

  private memory!: SharedMemory;
  private ring!: Ring;
  private pipe: WakePipe | undefined;
  private pipePath = "";
  private placeWord = 0;
  private instance = 0;
  private releaseAt = 0;
  private acknowledged = 0;
  private trim = 0;
  private readonly id: number;
  private readonly acknowledges: boolean;
  /** Where the next attachment begins. */
  private start: StartAt;

  static open(directory: string, cluster: string, id: number, options: ReaderOptions = {}): DeviceReader {
    const reader = new DeviceReader(join(directory, deviceName(cluster, id)), id, options);
    try {
      reader.join(SharedMemory.open(reader.path));
    } catch (error) {
      if (codeOf(error) === "ENOENT") throw reader.noLearner();
      throw deviceTrouble(error, reader.path, `open the delivery device of learner ${id}`);
    }
    return reader;
  }

  private constructor(path: string, id: number, options: ReaderOptions) {
    this.path = path;
    this.id = id;
    this.start = options.from ?? "present";
    this.acknowledges = options.acknowledges ?? false;
  }

  private noLearner(): CliError {
    return new CliError(`learner ${this.id} has no delivery device at ${this.path}`, {
      hint: `is \`kpaxos run learner --id ${this.id}\` running on this host, with the same cluster and device-directory?`,
    });
  }

  /** Checks the mapping and takes a place in it; closes it when that fails. */
  private join(memory: SharedMemory): void {
    try {
      const { words } = memory;
      const places = words[Control.places]!;
      const ringBytes = words[Control.ringBytes]!;
      const sane =
        memory.size >= 4096 &&
        Atomics.load(words, Control.magic) === DEVICE_MAGIC &&
        words[Control.version] === DEVICE_VERSION &&
        places >= 1 &&
        places <= MAX_PLACES &&
        ringBytes > 0 &&
        deviceBytes(places, ringBytes) === memory.size;
      if (!sane)
        throw new CliError(`${this.path} is not a delivery device of this version`, {
          hint: "restart the learner with the same version of kpaxos; if it does not run, remove the file",
        });
      if (!memory.locked(LEARNER_LOCK)) throw this.noLearner();
      const place = claim(memory, places, ringBytes);
      if (place < 0)
        throw new CliError(`all ${places} places of ${this.path} are taken`, {
          hint: "end another reader of this learner, or read from another learner",
        });
      this.place = place;
      this.placeWord = placeOffset(place, ringBytes) >> 2;
      this.settle(memory, ringBytes);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  private settle(memory: SharedMemory, ringBytes: number): void {
    const { words } = memory;
    memory.reserve(this.placeWord * 4, ringOffset(0, ringBytes) - placeOffset(0, ringBytes) + ringBytes);
    const ring = Ring.create(memory, ringOffset(this.place, ringBytes), ringBytes);
    Atomics.store(words, this.placeWord + Place.report, 0);
    storeNumber(words, this.placeWord + Place.acknowledged, this.acknowledged);
    storeNumber(words, this.placeWord + Place.trim, this.trim);
    Atomics.store(words, this.placeWord + Place.readerPid, process.pid);
    this.tellStart(words);
    this.memory = memory;
    this.ring = ring;
    this.bytes = memory.bytes;
    this.instance = words[Control.instance]!;
    this.learnerPid = words[Control.learnerPid]!;
    this.releaseAt = ringBytes >> 3;
    this.offset = this.length = 0;
    this.state = "attaching";
    Atomics.store(words, this.placeWord + Place.state, PlaceState.claimed);
    Atomics.add(words, Control.changes, 1);
  }

  private tellStart(words: Int32Array): void {
    const { start, placeWord } = this;
    const isPosition = typeof start === "object";
    Atomics.store(words, placeWord + Place.start, isPosition ? StartWord.position : StartWord[start]);
    storeNumber(words, placeWord + Place.startIid, isPosition ? start.iid : 0);
    Atomics.store(words, placeWord + Place.startIndex, isPosition ? start.index : 0);
    Atomics.store(words, placeWord + Place.acknowledges, this.acknowledges ? 1 : 0);
  }

  /** The next value, or word of missed ones, into the fields; false: there is none now (or, see `state`, there will be none). */
  read(): boolean {
    const { ring } = this;
    if (this.state !== "attached" && !this.attachedNow()) return false;
    if (ring.held > this.releaseAt) ring.release();
    while (ring.peek()) {
      if (ring.recordType === RecordType.value) return this.readValue();
      if (ring.recordType === RecordType.missed) return this.readMissed();
    }
    ring.release();
    if (ring.fault !== "") return this.stop("corrupt");
    // Closed and still empty: what was submitted before the close has been read.
    if (ring.producerClosed && !ring.hasMore) this.stop(this.endState());
    return false;
  }

  private readValue(): boolean {
    const { ring } = this;
    if (ring.recordLength < RECORD_HEADER_BYTES) return this.stop("corrupt");
    const { words } = this.memory;
    const word = ring.recordOffset >> 2;
    this.kind = "value";
    this.iid = getNumber(words, word + RecordWord.iid);
    this.session = getNumber(words, word + RecordWord.session);
    this.sequence = getNumber(words, word + RecordWord.sequence);
    const index = words[word + RecordWord.index]!;
    this.index = index & LAST_INDEX;
    this.isLast = index < 0;
    this.offset = ring.recordOffset + RECORD_HEADER_BYTES;
    this.length = ring.recordLength - RECORD_HEADER_BYTES;
    this.lastIid = this.iid;
    this.lastIndex = this.isLast ? LAST_INDEX : this.index;
    if (this.session > MAX_IID || this.sequence > MAX_IID) return this.stop("corrupt");
    return this.positionsAreSane() || this.stop("corrupt");
  }

  private readMissed(): boolean {
    const { ring } = this;
    if (ring.recordLength !== MISSED_BYTES) return this.stop("corrupt");
    const { words } = this.memory;
    const word = ring.recordOffset >> 2;
    this.kind = "missed";
    this.iid = getNumber(words, word + MissedWord.firstIid);
    this.lastIid = getNumber(words, word + MissedWord.lastIid);
    this.index = words[word + MissedWord.firstIndex]!;
    this.lastIndex = words[word + MissedWord.lastIndex]!;
    this.session = this.sequence = this.length = 0;
    this.isLast = false;
    return this.positionsAreSane() || this.stop("corrupt");
  }

  private positionsAreSane(): boolean {
    return this.iid <= MAX_IID && this.lastIid <= MAX_IID && this.index >= 0 && this.lastIndex >= 0;
  }

  private attachedNow(): boolean {
    if (this.state !== "attaching") return false;
    const { words } = this.memory;
    const state = Atomics.load(words, this.placeWord + Place.state);
    // Dropped after it was attached: what it got until then is there to read.
    const refused = state === PlaceState.dropped && !this.ring.producerClosed;
    if (refused) return this.stop("dropped");
    if (state !== PlaceState.attached && state !== PlaceState.dropped) return false;
    this.afterIid = loadNumber(words, this.placeWord + Place.afterIid);
    this.afterIndex = Atomics.load(words, this.placeWord + Place.afterIndex);
    this.state = "attached";
    return true;
  }

  private endState(): ReaderState {
    const state = Atomics.load(this.memory.words, this.placeWord + Place.state);
    return state === PlaceState.dropped ? "dropped" : "gone";
  }

  private stop(state: ReaderState): false {
    this.state = state;
    return false;
  }

  private get ended(): boolean {
    return this.state !== "attached" && this.state !== "attaching";
  }

  /**
   * Looks whether the learner lives, which a silent ring cannot tell; `wait` does so itself. When it has died and all it
   * delivered is read, the state becomes "gone".
   */
  check(): ReaderState {
    if (this.ended || this.memory.locked(LEARNER_LOCK)) return this.state;
    // Looked at after its death, so nothing can follow what is there.
    const open = this.state === "attached" || this.attachedNow();
    if (!this.ended && !(open && this.ring.hasMore)) this.stop("gone");
    return this.state;
  }

  /** Blocks this thread until `read` is worth a call (true) or the time is over (false), also when the learner is gone. */
  wait(timeoutUs: number): boolean {
    let leftUs = timeoutUs;
    do {
      const sliceUs = Math.min(leftUs, ALIVE_CHECK_US);
      if (this.ended) Bun.sleepSync(sliceUs / 1000);
      else if (this.ring.wait(sliceUs)) return true;
      else this.check();
      leftUs -= sliceUs;
    } while (leftUs > 0);
    return false;
  }

  /**
   * A descriptor that becomes readable when something arrives after `prepareSleep`, also when the learner closes; only of
   * its sudden death nothing tells, so `check` now and then. After `reconnect` it is another one.
   */
  get fd(): number {
    if (this.pipe === undefined) {
      this.pipePath = wakePath(this.path, this.instance, this.place);
      rmSync(this.pipePath, { force: true });
      this.pipe = WakePipe.create(this.pipePath);
    }
    return this.pipe.fd;
  }

  /** Call before a sleep that watches `fd`. False: do not sleep, `read`. */
  prepareSleep(): boolean {
    if (this.ended) return true;
    assert(this.pipe !== undefined, "who sleeps on the descriptor has asked for it");
    return this.ring.prepareSleep();
  }

  /** Call after that sleep, however it ended. A wake may come when its sleep is over: it ends the next one, and no more. */
  wokeUp(): void {
    if (this.memory.closed) return;
    this.ring.wokeUp();
    this.pipe?.drain();
  }

  /** Everything up to and including instance `iid` is done with: its effects are safe, it may be trimmed. */
  acknowledge(iid: number): void {
    if (iid > this.acknowledged) this.report(iid, this.trim);
  }

  /** Asks for a trim of the log up to `iid`, which is an acknowledgement of it too. */
  requestTrim(iid: number): void {
    if (iid > this.trim) this.report(Math.max(iid, this.acknowledged), iid);
  }

  private report(acknowledged: number, trim: number): void {
    this.acknowledged = acknowledged;
    this.trim = trim;
    if (this.memory.closed) return;
    const { words } = this.memory;
    const word = this.placeWord + Place.report;
    Atomics.add(words, word, 1);
    storeNumber(words, this.placeWord + Place.acknowledged, acknowledged);
    storeNumber(words, this.placeWord + Place.trim, trim);
    Atomics.add(words, word, 1);
  }

  /**
   * When nothing comes any more: joins the learner that has the device now, and goes on behind what was last read. False:
   * there is none yet (or it has no free place). What was acknowledged is told to the new learner.
   */
  reconnect(): boolean {
    assert(this.state !== "closed", "a closed reader stays closed");
    if (!this.ended) return true;
    this.start = this.resumeAt();
    this.leave();
    let memory: SharedMemory;
    try {
      memory = SharedMemory.open(this.path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw deviceTrouble(error, this.path, `open the delivery device of learner ${this.id}`);
    }
    try {
      this.join(memory);
    } catch (error) {
      if (error instanceof CliError) return false;
      throw deviceTrouble(error, this.path, `open the delivery device of learner ${this.id}`);
    }
    return true;
  }

  private resumeAt(): StartAt {
    if (this.lastIid > 0) return after(this.lastIid, this.lastIndex);
    // Nothing was read: what came since the learner saw us is still wanted.
    const seen = this.learnerPid > 0 && this.afterIid > 0;
    return this.start === "present" && seen ? after(this.afterIid, this.afterIndex) : this.start;
  }

  /** Gives the place back. */
  close(): void {
    this.leave();
    this.state = "closed";
  }

  private leave(): void {
    this.pipe?.close();
    this.pipe = undefined;
    if (this.pipePath !== "") rmSync(this.pipePath, { force: true });
    this.pipePath = "";
    if (this.memory.closed) return;
    const { words } = this.memory;
    this.ring.closeConsumer();
    Atomics.store(words, this.placeWord + Place.state, PlaceState.leaving);
    Atomics.add(words, Control.changes, 1);
    this.bytes = new Uint8Array(0);
    this.offset = this.length = 0;
    this.memory.close();
  }
}

/** Takes a free place: its lock first, so that a half-made claim of a dead process is recognised. −1: none is free. */
function claim(memory: SharedMemory, places: number, ringBytes: number): number {
  const { words } = memory;
  for (let place = 0; place < places; place++) {
    const word = (placeOffset(place, ringBytes) >> 2) + Place.state;
    if (Atomics.load(words, word) !== PlaceState.free || !memory.lock(readerLock(place))) continue;
    if (Atomics.compareExchange(words, word, PlaceState.free, PlaceState.claiming) === PlaceState.free)
      return place;
    memory.unlock(readerLock(place));
  }
  return -1;
}
