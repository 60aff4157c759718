/**
 * The places of a device as its learner sees them: who is attached, what they acknowledged, who is dead.
 * States and words are explained in `device_layout.ts`; whatever comes from a place is checked here.
 */
import { rmSync } from "node:fs";
import { codeOf } from "../error.ts";
import { Ring, RingError, Sleeper } from "../native/ring.ts";
import { type SharedMemory, WakePipe } from "../native/shared_memory.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { DeliveryLog } from "./delivery_log.ts";
import {
  Control,
  loadNumber,
  Place,
  PlaceState,
  placeOffset,
  readerLock,
  ringOffset,
  StartWord,
  storeNumber,
} from "./device_layout.ts";
import type { LogCursor } from "./log_cursor.ts";
import type { StartAt } from "./log_record.ts";
import { range } from "./position.ts";
import { Progress } from "./readers.ts";

export interface PlacesOptions {
  readonly wakePath: (place: number) => string;
  readonly onWarning: (message: string) => void;
}

export interface AttachedReader {
  readonly place: number;
  readonly pid: number;
  readonly ring: Ring;
  readonly cursor: LogCursor;
  readonly progress: Progress;
  /** It was named as one that misses values. */
  warned: boolean;
  pipe: WakePipe | undefined;
  /** Its FIFO did not work. */
  deaf: boolean;
}

/** How often the locks of readers are looked at. */
const LOCK_CHECK_US = 100_000;

export class DevicePlaces {
  /** In no order. */
  readonly attached: AttachedReader[] = [];
  lost = 0;
  /** The highest instance up to which a reader wants the log trimmed. */
  trim = 0;
  private readonly log: DeliveryLog;
  private readonly memory: SharedMemory;
  private readonly count: number;
  private readonly ringBytes: number;
  private readonly options: PlacesOptions;
  private readonly words: Int32Array;
  private seenChanges = 0;
  private checkedUs = Number.NEGATIVE_INFINITY;

  constructor(
    log: DeliveryLog,
    memory: SharedMemory,
    count: number,
    ringBytes: number,
    options: PlacesOptions,
  ) {
    this.log = log;
    this.memory = memory;
    this.words = memory.words;
    this.count = count;
    this.ringBytes = ringBytes;
    this.options = options;
  }

  poll(nowUs: number): void {
    const changes = Atomics.load(this.words, Control.changes);
    const due = nowUs - this.checkedUs >= LOCK_CHECK_US;
    if (changes === this.seenChanges && !due) return;
    this.seenChanges = changes;
    this.checkedUs = nowUs;
    for (let place = 0; place < this.count; place++) this.look(place);
  }

  private look(place: number): void {
    const word = placeOffset(place, this.ringBytes) >> 2;
    const state = Atomics.load(this.words, word + Place.state);
    const reader = this.attached.find((one) => one.place === place);
    if (state === PlaceState.free && reader === undefined) return;
    if (!this.memory.locked(readerLock(place))) {
      // Gone: only now may the place be used again.
      if (reader !== undefined) this.detach(reader);
      if (state !== PlaceState.leaving) rmSync(this.options.wakePath(place), { force: true });
      if (reader !== undefined && state !== PlaceState.leaving) {
        this.lost++;
        this.options.onWarning(
          `reader ${place} (process ${reader.pid}) ended without a word; it had acknowledged up to ${reader.progress.acknowledged}`,
        );
      }
      Atomics.store(this.words, word + Place.state, PlaceState.free);
    } else if (state === PlaceState.claimed && reader === undefined) {
      this.attach(place, word);
    } else if (state === PlaceState.leaving && reader !== undefined) {
      this.detach(reader);
    }
  }

  private attach(place: number, word: number): void {
    const pid = Atomics.load(this.words, word + Place.readerPid);
    let ring: Ring;
    try {
      ring = Ring.attach(this.memory, ringOffset(place, this.ringBytes));
      if (ring.capacity !== this.ringBytes) throw new RingError("the ring has another size");
    } catch (error) {
      if (!(error instanceof RingError)) throw error;
      Atomics.store(this.words, word + Place.state, PlaceState.dropped);
      this.options.onWarning(`reader ${place} (process ${pid}) is refused: ${error.message}`);
      return;
    }
    const { log } = this;
    const start = this.startOf(word);
    const cursor = log.open(start);
    const acknowledges = Atomics.load(this.words, word + Place.acknowledges) === 1;
    const acknowledged =
      start === "present" ? log.closedIid : start === "oldest" ? log.floorIid : start.iid - 1;
    storeNumber(this.words, word + Place.afterIid, log.lastIid);
    Atomics.store(this.words, word + Place.afterIndex, log.lastIndex);
    Atomics.store(this.words, word + Place.state, PlaceState.attached);
    this.attached.push({
      place,
      pid,
      ring,
      cursor,
      progress: new Progress(log, cursor, acknowledges, Math.max(0, acknowledged)),
      warned: false,
      pipe: undefined,
      deaf: false,
    });
  }

  /** What a reader wrote there may be anything; a wrong one means the present. */
  private startOf(word: number): StartAt {
    const kind = Atomics.load(this.words, word + Place.start);
    if (kind === StartWord.oldest) return "oldest";
    const iid = loadNumber(this.words, word + Place.startIid);
    const index = Atomics.load(this.words, word + Place.startIndex);
    return kind === StartWord.position && iid <= MAX_IID && index >= 0 ? { iid, index } : "present";
  }

  /** It was told that it missed values: the first time it is named. */
  hasMissed(reader: AttachedReader): void {
    if (reader.warned) return;
    reader.warned = true;
    const { iid, index, lastIid, lastIndex } = reader.cursor;
    this.options.onWarning(
      `reader ${reader.place} (process ${reader.pid}) was too slow and has missed ${range(iid, index, lastIid, lastIndex)}; it was told. A larger delivery-log gives it more time`,
    );
  }

  /** Whether the reader whose ring gave no room is beyond help; then it is dropped. */
  mustGo(reader: AttachedReader): boolean {
    const { ring } = reader;
    if (ring.fault !== "") {
      this.drop(
        reader,
        `reader ${reader.place} (process ${reader.pid}) is dropped: wrong ${ring.fault} in its ring`,
      );
      return true;
    }
    if (!ring.consumerClosed) return false;
    this.detach(reader);
    return true;
  }

  private drop(reader: AttachedReader, message: string): void {
    this.lost++;
    const word = placeOffset(reader.place, this.ringBytes) >> 2;
    Atomics.store(this.words, word + Place.state, PlaceState.dropped);
    this.end(reader);
    this.options.onWarning(message);
  }

  private detach(reader: AttachedReader): void {
    reader.pipe?.close();
    reader.pipe = undefined;
    this.refresh(reader);
    reader.cursor.close();
    this.attached.splice(this.attached.indexOf(reader), 1);
  }

  private end(reader: AttachedReader): void {
    if (reader.ring.closeProducer() === Sleeper.descriptor) this.wake(reader);
    this.detach(reader);
  }

  /** Wakes a reader that sleeps on its FIFO. */
  wake(reader: AttachedReader): void {
    try {
      reader.pipe ??= WakePipe.open(this.options.wakePath(reader.place));
      reader.pipe.wake();
    } catch (error) {
      const code = codeOf(error);
      if (code === "") throw error;
      // Its own time-out wakes it; that is late, so say so, but only once.
      if (!reader.deaf)
        this.options.onWarning(`cannot wake reader ${reader.place} (process ${reader.pid}): ${code}`);
      reader.deaf = true;
    }
  }

  /** Takes over what the reader reports, unless it is just writing it. */
  refresh(reader: AttachedReader): void {
    const { words } = this;
    const word = placeOffset(reader.place, this.ringBytes) >> 2;
    const before = Atomics.load(words, word + Place.report);
    if ((before & 1) !== 0) return;
    const acknowledged = loadNumber(words, word + Place.acknowledged);
    const trim = loadNumber(words, word + Place.trim);
    if (Atomics.load(words, word + Place.report) !== before) return;
    reader.progress.acknowledge(acknowledged);
    this.trim = Math.max(this.trim, Math.min(trim, this.log.closedIid));
  }

  close(): void {
    while (this.attached.length > 0) this.end(this.attached[0]!);
  }
}
