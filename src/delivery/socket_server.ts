/**
 * A learner's Unix-domain stream socket: any number of readers up to a limit, each with a bounded buffer and its own place
 * in the delivery log, so a slow one only lags, and is told what it misses. Frames: `socket_frames.ts`, docs/delivery.md.
 *
 * Nothing a reader sends is believed: a frame that makes no sense ends its connection with a reason. The caller holds the
 * lock of the learner's device of the same name, so a socket file found here is that of a dead learner.
 */
import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Socket, UnixSocketListener } from "bun";
import { CliError, codeOf, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { DeliveryLog } from "./delivery_log.ts";
import { deviceTrouble } from "./device_errors.ts";
import type { LogCursor } from "./log_cursor.ts";
import { Found, LAST_INDEX, type StartAt } from "./log_record.ts";
import { after, range } from "./position.ts";
import { Progress, RECORDS_PER_TURN, type Readers } from "./readers.ts";
import {
  byeFrame,
  FRAME_HEADER_BYTES,
  FromLearner,
  FromReader,
  HELLO_BYTES,
  HelloFlag,
  MISSED_BODY_BYTES,
  NUMBER_BYTES,
  SOCKET_VERSION,
  Start,
  u32,
  u64,
  VALUE_HEADER_BYTES,
  writeFrameHeader,
  writeMissed,
  writeWelcome,
} from "./socket_frames.ts";

export const SOCKET_READERS = 64;
const BUFFER_BYTES = 1 << 16;
/** sun_path, less its final zero. */
const MAX_PATH_BYTES = 107;
const HELLO_WITHIN_US = 5_000_000;

/** Where the socket of the learner whose device is at `devicePath` lies. */
export function socketPath(devicePath: string): string {
  return `${devicePath}.sock`;
}

class Connection {
  readonly number: number;
  readonly input = new Uint8Array(FRAME_HEADER_BYTES + HELLO_BYTES);
  inputLength = 0;
  out = new Uint8Array(0);
  outAt = 0;
  outEnd = 0;
  writable = true;
  /** Since it said hello. */
  cursor: LogCursor | undefined;
  progress: Progress | undefined;
  trim = 0;
  warned = false;
  closed = false;
  /** When it was first seen without a hello. */
  seenUs = -1;

  constructor(number: number) {
    this.number = number;
  }
}
type Peer = Socket<Connection>;

export interface SocketServerOptions {
  readonly log: DeliveryLog;
  readonly path: string;
  /** Number of the learner. */
  readonly id: number;
  readonly maxValueBytes: number;
  readonly logger: Log;
}

export class SocketServer implements Readers {
  readonly path: string;
  hasMore = false;
  readonly isStuck = false;
  readonly counters = { connections: 0, refused: 0, malformed: 0, losses: 0 };
  readonly #delivery: DeliveryLog;
  readonly #id: number;
  readonly #logger: Log;
  readonly #bufferBytes: number;
  readonly #peers: Peer[] = [];
  readonly #listener: UnixSocketListener<Connection>;

  constructor(options: SocketServerOptions) {
    this.path = options.path;
    this.#delivery = options.log;
    this.#id = options.id;
    this.#logger = options.logger;
    this.#bufferBytes = Math.max(
      BUFFER_BYTES,
      FRAME_HEADER_BYTES + VALUE_HEADER_BYTES + options.maxValueBytes,
    );
    this.#listener = this.#listen();
  }

  get readers(): number {
    return this.#peers.length;
  }

  get trim(): number {
    let trim = 0;
    for (const { data } of this.#peers) trim = Math.max(trim, Math.min(data.trim, this.#delivery.closedIid));
    return trim;
  }

  pump(): number {
    this.hasMore = false;
    let given = 0;
    // Backwards: one whose connection breaks takes itself out.
    for (let i = this.#peers.length - 1; i >= 0; i--) given += this.#feed(this.#peers[i]!);
    return given;
  }

  poll(nowUs: number): void {
    for (const peer of [...this.#peers]) {
      const { data } = peer;
      if (data.cursor !== undefined) continue;
      if (data.seenUs < 0) data.seenUs = nowUs;
      if (nowUs - data.seenUs >= HELLO_WITHIN_US) this.#refuse(peer, "no hello within 5 s");
    }
  }

  acknowledged(): number {
    let lowest = MAX_IID;
    for (const { data } of this.#peers) lowest = Math.min(lowest, data.progress?.limit() ?? MAX_IID);
    return lowest;
  }

  close(): void {
    for (const peer of [...this.#peers]) this.#end(peer, "the learner ends");
    this.#listener.stop(true);
  }

  #listen(): UnixSocketListener<Connection> {
    const { path } = this;
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
      throw new CliError(`the path of a socket has at most ${MAX_PATH_BYTES} bytes: ${path}`, {
        exitCode: ExitCode.config,
        hint: "choose a shorter `device-directory` or `cluster`",
      });
    }
    try {
      removeStale(path);
      const listener = Bun.listen<Connection>({
        unix: path,
        socket: {
          open: (peer) => this.#opened(peer),
          data: (peer, chunk) => this.#received(peer, chunk),
          drain: (peer) => {
            peer.data.writable = true;
            this.#feed(peer);
          },
          close: (peer) => this.#forget(peer),
          error: (peer, error) => this.#logger.debug(`socket reader ${peer.data.number}: ${error.message}`),
        },
      });
      chmodSync(path, 0o600);
      return listener;
    } catch (error) {
      throw deviceTrouble(error, path, `make the delivery socket of learner ${this.#id}`);
    }
  }

  #opened(peer: Peer): void {
    peer.data = new Connection(this.counters.connections++);
    if (this.#peers.length >= SOCKET_READERS) {
      this.counters.refused++;
      this.#logger.once(
        "socket-full",
        "warn",
        `a reader was refused: ${SOCKET_READERS} are connected to ${this.path}, which is the limit; end those that nobody needs`,
      );
      this.#end(peer, `all ${SOCKET_READERS} places are taken`);
      return;
    }
    this.#peers.push(peer);
  }

  #received(peer: Peer, chunk: Uint8Array): void {
    const { data } = peer;
    for (let at = 0; at < chunk.length && !data.closed; ) {
      const taken = Math.min(chunk.length - at, data.input.length - data.inputLength);
      copyBytes(chunk, at, data.input, data.inputLength, taken);
      data.inputLength += taken;
      at += taken;
      this.#parse(peer);
    }
  }

  /** All whole frames in the input; what is left is shorter than a frame, so there is room again. */
  #parse(peer: Peer): void {
    const { data } = peer;
    while (data.inputLength >= FRAME_HEADER_BYTES && !data.closed) {
      const length = u32(data.input, 0);
      const type = u32(data.input, 4);
      const expected = type === FromReader.hello ? HELLO_BYTES : NUMBER_BYTES;
      if (type < FromReader.hello || type > FromReader.trim || length !== expected) {
        this.#refuse(peer, `no frame has type ${type} and a body of ${length} bytes`);
        return;
      }
      const size = FRAME_HEADER_BYTES + length;
      if (data.inputLength < size) return;
      this.#take(peer, type);
      data.input.copyWithin(0, size, data.inputLength);
      data.inputLength -= size;
    }
  }

  #take(peer: Peer, type: number): void {
    const { data } = peer;
    const { input, progress } = data;
    if (type === FromReader.hello) {
      if (progress === undefined) this.#hello(peer);
      else this.#refuse(peer, "a second hello");
      return;
    }
    if (progress === undefined) {
      this.#refuse(peer, "the first frame is no hello");
      return;
    }
    const iid = u64(input, FRAME_HEADER_BYTES);
    progress.acknowledge(iid);
    if (type === FromReader.trim && iid > data.trim) data.trim = iid;
  }

  #hello(peer: Peer): void {
    const { data } = peer;
    const { input } = data;
    const version = u32(input, 8);
    const flags = u32(input, 16);
    if (version !== SOCKET_VERSION) {
      this.#refuse(peer, `version ${version} is not spoken here: use ${SOCKET_VERSION}`);
      return;
    }
    const start = startOf(u32(input, 12), u64(input, 24), u32(input, 20));
    if (start === undefined || (flags & ~HelloFlag.acknowledges) !== 0) {
      this.#refuse(peer, "a hello with a start or flags that make no sense");
      return;
    }
    const log = this.#delivery;
    const cursor = log.open(start);
    const before =
      start === "present" ? log.closedIid : start === "oldest" ? Math.max(0, log.floorIid) : start.iid - 1;
    data.cursor = cursor;
    data.progress = new Progress(log, cursor, (flags & HelloFlag.acknowledges) !== 0, Math.max(0, before));
    data.out = new Uint8Array(this.#bufferBytes);
    const oldest = log.floorIid < 0 ? { iid: 0, index: 0 } : after(log.floorIid, log.floorIndex);
    const present =
      log.closedIid >= log.lastIid ? { iid: log.closedIid + 1, index: 0 } : after(log.lastIid, log.lastIndex);
    data.outEnd = writeWelcome(data.out, 0, this.#id, oldest.iid, oldest.index, present.iid, present.index);
    this.#logger.debug(`socket reader ${data.number} is connected`);
    this.#feed(peer);
  }

  /** Gives one reader what its socket takes. */
  #feed(peer: Peer): number {
    const { data } = peer;
    let given = 0;
    while (data.cursor !== undefined && data.writable && !data.closed) {
      if (data.outAt === data.outEnd) {
        data.outAt = data.outEnd = 0;
        if (given >= RECORDS_PER_TURN) {
          this.hasMore ||= !data.cursor.isAtEnd;
          return given;
        }
        given += this.#fill(data, data.cursor);
        if (data.outEnd === 0) return given;
      }
      const wanted = data.outEnd - data.outAt;
      const written = peer.write(data.out, data.outAt, wanted);
      // A broken connection is told by `close`.
      if (written < 0) return given;
      data.outAt += written;
      if (written < wanted) data.writable = false;
    }
    return given;
  }

  /** Fills the empty buffer with frames; returns how many. */
  #fill(data: Connection, cursor: LogCursor): number {
    const { out } = data;
    let given = 0;
    for (;;) {
      const found = cursor.peek();
      if (found === Found.nothing) break;
      const body = found === Found.value ? VALUE_HEADER_BYTES + cursor.length : MISSED_BODY_BYTES;
      const at = data.outEnd;
      if (at + FRAME_HEADER_BYTES + body > out.length) break;
      if (found === Found.value) {
        writeFrameHeader(out, at, FromLearner.value, body);
        const from = cursor.offset - VALUE_HEADER_BYTES;
        copyBytes(cursor.bytes, from, out, at + FRAME_HEADER_BYTES, body);
      } else {
        writeMissed(out, at, cursor.iid, cursor.index, cursor.lastIid, cursor.lastIndex);
        this.#missed(data, cursor);
      }
      data.outEnd = at + FRAME_HEADER_BYTES + body;
      cursor.advance();
      data.progress?.given();
      given++;
    }
    return given;
  }

  #missed(data: Connection, cursor: LogCursor): void {
    this.counters.losses++;
    if (data.warned) return;
    data.warned = true;
    const what = range(cursor.iid, cursor.index, cursor.lastIid, cursor.lastIndex);
    this.#logger.warn(
      `socket reader ${data.number} of ${this.path} was too slow and has missed ${what}; it was told. A larger delivery-log gives it more time`,
    );
  }

  #refuse(peer: Peer, reason: string): void {
    this.counters.malformed++;
    this.#logger.once(
      "socket-malformed",
      "warn",
      `socket reader ${peer.data.number} of ${this.path} is disconnected: ${reason}`,
    );
    this.#end(peer, reason);
  }

  #end(peer: Peer, reason: string): void {
    // Only between two frames can it be told.
    if (peer.data.outAt === peer.data.outEnd && !peer.data.closed) peer.write(byeFrame(reason));
    this.#forget(peer);
    peer.end();
  }

  #forget(peer: Peer): void {
    const { data } = peer;
    if (data.closed) return;
    data.closed = true;
    data.cursor?.close();
    const at = this.#peers.indexOf(peer);
    if (at >= 0) this.#peers.splice(at, 1);
  }
}

function startOf(kind: number, iid: number, index: number): StartAt | undefined {
  if (kind === Start.present) return "present";
  if (kind === Start.oldest) return "oldest";
  return kind === Start.position && iid <= MAX_IID && index <= LAST_INDEX ? { iid, index } : undefined;
}

/** Removes the socket of a learner that is gone. */
function removeStale(path: string): void {
  try {
    if (!lstatSync(path).isSocket())
      throw new CliError(`${path} is there and is not a socket`, { hint: `remove it: rm ${path}` });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  rmSync(path, { force: true });
}
