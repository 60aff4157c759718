/**
 * The frames of the delivery socket, as docs/delivery.md describes them: u32 length of the body, u32 type, body; all
 * numbers little-endian. Pure. A value's body is its record in the delivery log, byte for byte.
 */
import { readU32Little, readU64Little, writeU32Little, writeU64Little } from "../wire/bytes.ts";

export const SOCKET_VERSION = 1;
export const FRAME_HEADER_BYTES = 8;

/** Types of the frames that readers send, and of those that the learner sends. */
export const FromReader = { hello: 1, acknowledge: 2, trim: 3 } as const;
export const FromLearner = { welcome: 17, value: 18, missed: 19, bye: 20 } as const;

export const HELLO_BYTES = 24;
export const NUMBER_BYTES = 8;
export const WELCOME_BYTES = 32;
export const MISSED_BODY_BYTES = 24;
export const VALUE_HEADER_BYTES = 32;
export const MAX_BYE_BYTES = 256;

export const Start = { present: 0, oldest: 1, position: 2 } as const;
export const HelloFlag = { acknowledges: 1 } as const;

/** Reads and writes numbers in a body that begins at `at`. */
export const u32 = readU32Little;
export const u64 = readU64Little;

export function writeFrameHeader(into: Uint8Array, at: number, type: number, length: number): void {
  writeU32Little(into, at, length);
  writeU32Little(into, at + 4, type);
}

export function helloFrame(start: number, iid: number, index: number, flags: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + HELLO_BYTES);
  writeFrameHeader(frame, 0, FromReader.hello, HELLO_BYTES);
  writeU32Little(frame, 8, SOCKET_VERSION);
  writeU32Little(frame, 12, start);
  writeU32Little(frame, 16, flags);
  writeU32Little(frame, 20, index);
  writeU64Little(frame, 24, iid);
  return frame;
}

export function numberFrame(type: number, iid: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + NUMBER_BYTES);
  writeFrameHeader(frame, 0, type, NUMBER_BYTES);
  writeU64Little(frame, 8, iid);
  return frame;
}

/** The oldest position that is there, and the one at which the present begins. Returns its length. */
export function writeWelcome(
  into: Uint8Array,
  at: number,
  learner: number,
  oldestIid: number,
  oldestIndex: number,
  nextIid: number,
  nextIndex: number,
): number {
  writeFrameHeader(into, at, FromLearner.welcome, WELCOME_BYTES);
  writeU32Little(into, at + 8, SOCKET_VERSION);
  writeU32Little(into, at + 12, learner);
  writeU64Little(into, at + 16, oldestIid);
  writeU64Little(into, at + 24, nextIid);
  writeU32Little(into, at + 32, oldestIndex);
  writeU32Little(into, at + 36, nextIndex);
  return FRAME_HEADER_BYTES + WELCOME_BYTES;
}

export function writeMissed(
  into: Uint8Array,
  at: number,
  firstIid: number,
  firstIndex: number,
  lastIid: number,
  lastIndex: number,
): number {
  writeFrameHeader(into, at, FromLearner.missed, MISSED_BODY_BYTES);
  writeU64Little(into, at + 8, firstIid);
  writeU64Little(into, at + 16, lastIid);
  writeU32Little(into, at + 24, firstIndex);
  writeU32Little(into, at + 28, lastIndex);
  return FRAME_HEADER_BYTES + MISSED_BODY_BYTES;
}

/** The reason is for people. */
export function byeFrame(reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason).subarray(0, MAX_BYE_BYTES);
  const frame = new Uint8Array(FRAME_HEADER_BYTES + text.length);
  writeFrameHeader(frame, 0, FromLearner.bye, text.length);
  frame.set(text, FRAME_HEADER_BYTES);
  return frame;
}
