/**
 * The places of a device as its learner sees them: who is attached, what they acknowledged, who is dead or blocks.
 * States and words are explained in `device_layout.ts`; whatever comes from a place is checked here.
 */
import { rmSync } from "node:fs";
import { Ring, RingError, Sleeper } from "../native/ring.ts";
import { type SharedMemory, WakePipe } from "../native/shared_memory.ts";
import { nativeCode } from "./device_errors.ts";
import {
  Control,
  loadNumber,
  Place,
  PlaceState,
  placeOffset,
  readerLock,
  ringOffset,
  storeNumber,
} from "./device_layout.ts";

export interface PlacesOptions {
  readonly wakePath: (place: number) => string;
  readonly warnBlockedUs: number;
  readonly dropBlockedUs: number;
  readonly onWarning: (message: string) => void;
}

export interface AttachedReader {
  readonly place: number;
  readonly pid: number;
  readonly ring: Ring;
  /** Where the value under delivery goes; −1: no room. */
  reserved: number;
  acknowledged: number;
  /** Since when its ring is full; −1: it is not. */
  blockedSinceUs: number;
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
  lastIid = 0;
  lastIndex = 0;
  private readonly memory: SharedMemory;
  private readonly count: number;
  private readonly ringBytes: number;
  private readonly options: PlacesOptions;
  private readonly words: Int32Array;
  private seenChanges = 0;
  private nowUs = 0;
  private checkedUs = Number.NEGATIVE_INFINITY;

  constructor(memory: SharedMemory, count: number, ringBytes: number, options: PlacesOptions) {
    this.memory = memory;
    this.words = memory.words;
    this.count = count;
    this.ringBytes = ringBytes;
    this.options = options;
  }

  poll(nowUs: number): void {
    this.nowUs = nowUs;
    const changes = Atomics.load(this.words, Control.changes);
    const due = nowUs - this.checkedUs >= LOCK_CHECK_US;
    if (changes === this.seenChanges && !due) return;
    this.seenChanges = changes;
    this.checkedUs = nowUs;
    for (let place = 0; place < this.count; place++) this.look(place);
    for (let i = this.attached.length - 1; i >= 0; i--) this.judge(this.attached[i]!);
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
          `reader ${place} (process ${reader.pid}) ended without a word; it had acknowledged up to ${reader.acknowledged}`,
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
    storeNumber(this.words, word + Place.afterIid, this.lastIid);
    Atomics.store(this.words, word + Place.afterIndex, this.lastIndex);
    Atomics.store(this.words, word + Place.state, PlaceState.attached);
    this.attached.push({
      place,
      pid,
      ring,
      reserved: -1,
      // The last instance may be a batch of which more is to come.
      acknowledged: Math.max(0, this.lastIid - 1),
      blockedSinceUs: -1,
      warned: false,
      pipe: undefined,
      deaf: false,
    });
  }

  /** Warns of a reader that takes nothing, and drops it in the end if that is wanted. */
  private judge(reader: AttachedReader): void {
    if (reader.blockedSinceUs < 0) return;
    const blockedUs = this.nowUs - reader.blockedSinceUs;
    const who = `reader ${reader.place} (process ${reader.pid})`;
    if (blockedUs >= this.options.dropBlockedUs) {
      this.drop(reader, `${who} is dropped: it took nothing for ${Math.round(blockedUs / 1000)} ms`);
    } else if (blockedUs >= this.options.warnBlockedUs && !reader.warned) {
      reader.warned = true;
      this.options.onWarning(
        `${who} has taken nothing for ${Math.round(blockedUs / 1000)} ms and holds up delivery`,
      );
    }
  }

  /** Its ring is full. */
  blocked(reader: AttachedReader): void {
    if (reader.blockedSinceUs < 0) reader.blockedSinceUs = this.nowUs;
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
      const code = nativeCode(error);
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
    reader.acknowledged = Math.max(reader.acknowledged, Math.min(acknowledged, this.lastIid));
    this.trim = Math.max(this.trim, Math.min(trim, this.lastIid));
  }

  close(): void {
    while (this.attached.length > 0) this.end(this.attached[0]!);
  }
}
