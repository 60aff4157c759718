/**
 * Reads a learner's delivery socket. When the learner ends it waits for the next one of that name, and goes on behind
 * the last value it gave; what it cannot have any more it tells. Never blocks.
 */
import type { Socket } from "bun";
import { codeOf, isDenied, messageOf } from "../error.ts";
import { MAX_IID } from "../protocol/types.ts";
import { LAST_INDEX, type StartAt } from "./log_record.ts";
import { after } from "./position.ts";
import {
  FRAME_HEADER_BYTES,
  FromLearner,
  FromReader,
  HelloFlag,
  helloFrame,
  MAX_BYE_BYTES,
  MISSED_BODY_BYTES,
  numberFrame,
  Start,
  u32,
  u64,
  VALUE_HEADER_BYTES,
  WELCOME_BYTES,
} from "./socket_frames.ts";

const AGAIN_MS = 100;
const MAX_BODY_BYTES = 64 << 20;

export interface SocketHandler {
  /** Connected; values come from here on. */
  onWelcome?(learner: number): void;
  /** `isLast`: no other value follows in this instance, which can be acknowledged with it. */
  onValue(
    iid: number,
    index: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** All positions from the first to the last, both inclusive, cannot be had any more. */
  onMissed(firstIid: number, firstIndex: number, lastIid: number, lastIndex: number): void;
  /** There is no learner now, and why; `onWelcome` tells when there is one again. Once for each loss. */
  onGone?(reason: string): void;
}

export interface SocketReaderOptions {
  readonly from?: StartAt;
  readonly acknowledges?: boolean;
}

const NOTHING = new Uint8Array(0);

export class SocketReader {
  /** Where it looks for the learner, or found it. */
  path: string;
  readonly #place: () => string;
  readonly #handler: SocketHandler;
  readonly #acknowledges: boolean;
  #start: StartAt;
  #socket: Socket<undefined> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #input = new Uint8Array(1 << 16);
  #inputLength = 0;
  #reason = "";
  #wasGone = false;
  #paused = false;
  #closed = false;
  /** Up to where this is done with, and what of it was said on this connection; and so of the trim that is wanted. */
  #acknowledged = 0;
  #acknowledgedThere = 0;
  #trim = 0;
  #trimThere = 0;
  /** Of the frame that is being written. */
  #rest: Uint8Array = NOTHING;

  /** `path` is asked again whenever it connects: a learner may choose its place later than its reader looks for it. */
  constructor(path: string | (() => string), handler: SocketHandler, options: SocketReaderOptions = {}) {
    this.#place = typeof path === "string" ? () => path : path;
    this.path = this.#place();
    this.#handler = handler;
    this.#start = options.from ?? "present";
    this.#acknowledges = options.acknowledges ?? false;
  }

  /** Begins, and tries again until there is a learner. */
  start(): void {
    this.#connect();
  }

  /** Everything up to and including instance `iid` is done with. */
  acknowledge(iid: number): void {
    if (iid <= this.#acknowledged) return;
    this.#acknowledged = iid;
    this.#tell();
  }

  /** Asks for a trim of the log up to `iid`: this learner, and those that come after it. */
  requestTrim(iid: number): void {
    if (iid <= this.#trim) return;
    this.#trim = iid;
    this.#tell();
  }

  /** Takes nothing more until `resume`: then the learner keeps it, as long as its log reaches. */
  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket?.resume();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.end();
  }

  #connect(): void {
    this.#inputLength = 0;
    this.#reason = "";
    this.path = this.#place();
    Bun.connect<undefined>({
      unix: this.path,
      socket: {
        open: (socket) => this.#opened(socket),
        data: (_socket, chunk) => this.#received(chunk),
        drain: () => this.#tell(),
        close: () => this.#gone(this.#reason === "" ? "the learner is gone" : this.#reason),
        error: (_socket, error) => {
          this.#reason = error.message;
        },
      },
    }).catch((error: unknown) => this.#gone(whyNot(error)));
  }

  #opened(socket: Socket<undefined>): void {
    if (this.#closed) {
      socket.end();
      return;
    }
    this.#socket = socket;
    const start = this.#start;
    const isPosition = typeof start === "object";
    const flags = this.#acknowledges ? HelloFlag.acknowledges : 0;
    const kind = isPosition ? Start.position : Start[start];
    this.#rest = helloFrame(kind, isPosition ? start.iid : 0, isPosition ? start.index : 0, flags);
    this.#acknowledgedThere = this.#trimThere = 0;
    this.#tell();
    if (this.#paused) socket.pause();
  }

  /** Writes what the learner does not know yet, the newest only, as far as the socket takes it. */
  #tell(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    for (;;) {
      if (this.#rest.length === 0) this.#rest = this.#news();
      if (this.#rest.length === 0) return;
      this.#rest = this.#rest.subarray(Math.max(0, socket.write(this.#rest)));
      if (this.#rest.length > 0) return;
    }
  }

  #news(): Uint8Array {
    if (this.#acknowledged > this.#acknowledgedThere) {
      this.#acknowledgedThere = this.#acknowledged;
      return numberFrame(FromReader.acknowledge, this.#acknowledged);
    }
    if (this.#trim <= this.#trimThere) return NOTHING;
    this.#trimThere = this.#trim;
    return numberFrame(FromReader.trim, this.#trim);
  }

  #gone(reason: string): void {
    this.#socket = undefined;
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), AGAIN_MS);
    if (this.#wasGone) return;
    this.#wasGone = true;
    // Last: it may close this, or throw.
    this.#handler.onGone?.(reason);
  }

  #received(chunk: Uint8Array): void {
    const end = this.#inputLength + chunk.length;
    if (end > this.#input.length) {
      const larger = new Uint8Array(Math.max(end, this.#input.length * 2));
      larger.set(this.#input.subarray(0, this.#inputLength));
      this.#input = larger;
    }
    this.#input.set(chunk, this.#inputLength);
    this.#inputLength = end;
    let at = 0;
    try {
      while (!this.#closed && this.#inputLength - at >= FRAME_HEADER_BYTES) {
        const length = u32(this.#input, at);
        const type = u32(this.#input, at + 4);
        if (!sane(type, length)) {
          this.#fail(`the learner sent a frame of type ${type} with ${length} bytes`);
          return;
        }
        const body = at + FRAME_HEADER_BYTES;
        if (this.#inputLength - body < length) break;
        // Whatever the handler does with it, it is not given again.
        at = body + length;
        this.#take(type, body, length);
      }
    } finally {
      this.#input.copyWithin(0, at, this.#inputLength);
      this.#inputLength = Math.max(0, this.#inputLength - at);
    }
  }

  #take(type: number, at: number, length: number): void {
    const bytes = this.#input;
    if (type === FromLearner.value) {
      const iid = u64(bytes, at);
      const word = u32(bytes, at + 24);
      const index = word & LAST_INDEX;
      const isLast = index !== word;
      this.#start = after(iid, isLast ? LAST_INDEX : index);
      const offset = at + VALUE_HEADER_BYTES;
      const size = length - VALUE_HEADER_BYTES;
      this.#handler.onValue(iid, index, isLast, u64(bytes, at + 8), u64(bytes, at + 16), bytes, offset, size);
    } else if (type === FromLearner.missed) {
      const lastIid = u64(bytes, at + 8);
      const lastIndex = u32(bytes, at + 20);
      this.#start = after(lastIid, lastIndex);
      this.#handler.onMissed(u64(bytes, at), u32(bytes, at + 16), lastIid, lastIndex);
    } else if (type === FromLearner.welcome) {
      this.#wasGone = false;
      // Where a reader of the present begins is a position too: after a restart it goes on there.
      const next = { iid: u64(bytes, at + 16), index: u32(bytes, at + 28) };
      if (this.#start === "present" && next.iid > 1 && next.iid <= MAX_IID) this.#start = next;
      this.#handler.onWelcome?.(u32(bytes, at + 4));
    } else this.#reason = new TextDecoder().decode(bytes.slice(at, at + length));
  }

  #fail(reason: string): void {
    this.#reason = reason;
    this.#inputLength = 0;
    this.#socket?.end();
  }
}

function sane(type: number, length: number): boolean {
  switch (type) {
    case FromLearner.value:
      return length >= VALUE_HEADER_BYTES && length <= MAX_BODY_BYTES;
    case FromLearner.missed:
      return length === MISSED_BODY_BYTES;
    case FromLearner.welcome:
      return length === WELCOME_BYTES;
    default:
      return type === FromLearner.bye && length <= MAX_BYE_BYTES;
  }
}

/** Of a connection that did not come about; Bun says the same whatever the reason. */
function whyNot(error: unknown): string {
  if (isDenied(error)) return `this user may not read it (${codeOf(error)})`;
  return ["ENOENT", "ECONNREFUSED"].includes(codeOf(error)) ? "no learner listens there" : messageOf(error);
}
