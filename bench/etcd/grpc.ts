/**
 * etcd's KV service as its own clients speak it: gRPC in HTTP/2 frames, as much of both as unary calls take. Request headers are
 * indexed as those clients do it; answers' headers are not read: a call that failed has no message, and that tells.
 */
import type { Answered, Connection, Load, Operation, Protocol } from "./connection.ts";
import { keyOf } from "./connection.ts";
import { Incoming, Outgoing } from "./outgoing.ts";

const METHODS: Readonly<Record<Operation, string>> = {
  put: "/etcdserverpb.KV/Put",
  get: "/etcdserverpb.KV/Range",
};
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const Frame = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const HEADER_BYTES = 9;
const SETTING_PUSH = 2;
const SETTING_WINDOW = 4;
/** What a side may send before it is told of room, unless settings say otherwise. */
const FIRST_WINDOW = 65_535;
/** What the server may send. */
const OUR_WINDOW = 1 << 30;
/** A message is one frame. */
export const MOST_MESSAGE_BYTES = 16_384;
const GRPC_PREFIX_BYTES = 5;
/** POST and http, of HPACK's static table. */
const METHOD_AND_SCHEME = [0x83, 0x86];
const PATH = 4;
const AUTHORITY = 1;
const CONTENT_TYPE = 31;
/** Entries 62 to 65 of the dynamic table, in the order in which `firstHeaders` made them. */
const INDEXED = Buffer.from([...METHOD_AND_SCHEME, 0xc1, 0xc0, 0xbf, 0xbe]);

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([0, id]), uint32(value)]);
}

/** A length of HPACK or of a protocol buffer, in seven bits; what is longer than 127 a header of ours never is. */
function hpackText(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
}

/** The headers of a connection's first call: each enters the dynamic table. */
function firstHeaders(path: string): Buffer {
  const known = (index: number, value: string): Buffer =>
    Buffer.concat([Buffer.from([0x40 | index]), hpackText(value)]);
  return Buffer.concat([
    Buffer.from(METHOD_AND_SCHEME),
    known(PATH, path),
    known(AUTHORITY, "etcd"),
    known(CONTENT_TYPE, "application/grpc"),
    Buffer.from([0x40]),
    hpackText("te"),
    hpackText("trailers"),
  ]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** A field of a protocol buffer that has a length. */
function field(number: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(value.length), value]);
}

function prefixed(message: Uint8Array): Buffer {
  const bytes = Buffer.concat([Buffer.from([0]), uint32(message.length), message]);
  if (bytes.length > MOST_MESSAGE_BYTES) throw new RangeError(`a message of ${bytes.length} bytes`);
  return bytes;
}

/** PutRequest: key 1, value 2. */
export function putMessage(key: string, value: Uint8Array): Buffer {
  return prefixed(Buffer.concat([field(1, Buffer.from(key)), field(2, value)]));
}

/** RangeRequest: key 1; linearizable unless told otherwise. */
export function rangeMessage(key: string): Buffer {
  return prefixed(field(1, Buffer.from(key)));
}

interface Call {
  readonly slot: number;
  bytes: number;
}

export class GrpcConnection implements Connection {
  readonly out = new Outgoing();
  readonly #incoming = new Incoming();
  readonly #calls = new Map<number, Call>();
  readonly #waiting: { readonly slot: number; readonly message: Uint8Array }[] = [];
  readonly #answered: Answered;
  /** Bytes that a good answer has at least. */
  readonly #least: number;
  readonly #first: Buffer;
  #nextStream = 1;
  #room = FIRST_WINDOW;
  #unreported = 0;

  constructor({ operation, valueBytes }: Load, answered: Answered) {
    this.#answered = answered;
    this.#least = GRPC_PREFIX_BYTES + (operation === "get" ? valueBytes : 1);
    this.#first = firstHeaders(METHODS[operation]);
    this.out.put(
      PREFACE,
      frame(
        Frame.settings,
        0,
        0,
        Buffer.concat([setting(SETTING_PUSH, 0), setting(SETTING_WINDOW, OUR_WINDOW)]),
      ),
      frame(Frame.windowUpdate, 0, 0, uint32(OUR_WINDOW - FIRST_WINDOW)),
    );
  }

  ask(slot: number, message: Uint8Array): void {
    if (this.#waiting.length === 0 && message.length <= this.#room) this.#send(slot, message);
    else this.#waiting.push({ slot, message });
  }

  #send(slot: number, message: Uint8Array): void {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#room -= message.length;
    this.#calls.set(stream, { slot, bytes: 0 });
    this.out.put(
      frame(Frame.headers, END_HEADERS, stream, stream === 1 ? this.#first : INDEXED),
      frame(Frame.data, END_STREAM, stream, message),
    );
  }

  feed(chunk: Uint8Array): void {
    this.#incoming.feed(chunk, (bytes) => {
      let at = 0;
      while (bytes.length - at >= HEADER_BYTES) {
        const end = at + HEADER_BYTES + bytes.readUIntBE(at, 3);
        if (end > bytes.length) break;
        const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
        this.#take(bytes[at + 3]!, bytes[at + 4]!, stream, bytes.subarray(at + HEADER_BYTES, end));
        at = end;
      }
      return at;
    });
  }

  #take(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case Frame.data:
        this.#count(payload.length, stream);
        if ((flags & END_STREAM) !== 0) this.#end(stream);
        return;
      case Frame.headers:
        if ((flags & END_STREAM) !== 0) this.#end(stream);
        return;
      case Frame.reset:
        this.#end(stream, `etcd reset a call: HTTP/2 error ${payload.readUInt32BE(0)}`);
        return;
      case Frame.settings:
        if ((flags & ACK) === 0) this.out.put(frame(Frame.settings, ACK, 0, Buffer.alloc(0)));
        return;
      case Frame.ping:
        if ((flags & ACK) === 0) this.out.put(frame(Frame.ping, ACK, 0, payload));
        return;
      case Frame.windowUpdate:
        if (stream === 0) this.#widen(payload.readUInt32BE(0));
        return;
      case Frame.goAway:
        throw new Error(`etcd ended the connection: ${payload.subarray(8).toString() || "it says not why"}`);
    }
  }

  #count(bytes: number, stream: number): void {
    const call = this.#calls.get(stream);
    if (call !== undefined) call.bytes += bytes;
    this.#unreported += bytes;
    if (this.#unreported < OUR_WINDOW / 4) return;
    this.out.put(frame(Frame.windowUpdate, 0, 0, uint32(this.#unreported)));
    this.#unreported = 0;
  }

  #widen(bytes: number): void {
    this.#room += bytes;
    let sent = 0;
    for (const { slot, message } of this.#waiting) {
      if (message.length > this.#room) break;
      this.#send(slot, message);
      sent++;
    }
    this.#waiting.splice(0, sent);
  }

  #end(stream: number, problem: string | null = null): void {
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    this.#calls.delete(stream);
    const isShort = call.bytes < this.#least;
    const short = `etcd answered with ${call.bytes} bytes, at least ${this.#least} were due: an error, or no such key`;
    this.#answered(call.slot, problem ?? (isShort ? short : null));
  }
}

export const GRPC: Protocol = {
  messagesOf: ({ operation, keys, valueBytes }) => {
    const value = crypto.getRandomValues(new Uint8Array(valueBytes));
    return Array.from({ length: keys }, (_, i) =>
      operation === "put" ? putMessage(keyOf(i), value) : rangeMessage(keyOf(i)),
    );
  },
  connect: (load, answered) => new GrpcConnection(load, answered),
};
