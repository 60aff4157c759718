/**
 * Frames of the native wire as fields for people and scripts, in both directions. A frame is shown as its header
 * (message `frame`) and then its messages; a single message is made into a frame of its own.
 */
import { crc32c } from "../net/crc32c.ts";
import { macHolds } from "../net/hmac.ts";
import { MAC_BYTES } from "../net/link.ts";
import { Role, type RoleName } from "../protocol/types.ts";
import { readU32Little, writeU32Little } from "./bytes.ts";
import { type FrameFields, formatHex, parseHex, type Refusal } from "./frame_fields.ts";
import {
  ALL_IDS,
  CHECKSUM_BYTES,
  FIXED_BYTES,
  GENERATIONS,
  HEADER_BYTES,
  LOG_MARK_MASK,
  LOG_MARK_SHIFT,
  NATIVE_MAGIC,
  NATIVE_MESSAGES,
  NATIVE_NAMES,
  NATIVE_VERSION,
  type NativeName,
  NativeType,
} from "./native_layout.ts";

const HIGH = 2 ** 32;
/** Of the header's third byte. */
const NAMES = GENERATIONS >>> 16;
const MARK_SHIFT = LOG_MARK_SHIFT - 16;
const ROLE_NAMES = Object.keys(Role) as RoleName[];

/**
 * One object for the header and one for each message; `error` says why a node would refuse the frame. With `keys`, a node
 * that has them.
 */
export function decodeNativeText(
  payload: Uint8Array,
  keys: readonly Uint8Array[] = [],
): readonly FrameFields[] | Refusal {
  if (payload.length < HEADER_BYTES + CHECKSUM_BYTES) {
    return {
      error: `${payload.length} bytes are less than a header and a checksum (${HEADER_BYTES + CHECKSUM_BYTES})`,
    };
  }
  if (payload[0] !== NATIVE_MAGIC) return { error: "not a native frame: it does not begin with 6b" };
  if (payload[1] !== NATIVE_VERSION)
    return { error: `version ${payload[1]} of the native wire is not known here` };
  const length = payload[10]! | (payload[11]! << 8);
  if (length < HEADER_BYTES || length % 4 !== 0 || length + CHECKSUM_BYTES > payload.length) {
    return { error: `the header says ${length} bytes, the frame has ${payload.length} with its checksum` };
  }
  const refusal = refuseTrailer(payload, length, keys);
  if (refusal !== undefined) return refusal;
  const list: FrameFields[] = [headerFields(payload, length)];
  for (let at = HEADER_BYTES; at < length; ) {
    const message = messageFields(payload, at, length);
    if ("error" in message) return { error: `at byte ${at}: ${message.error}` };
    list.push(message);
    at += payload[at + 2]! | (payload[at + 3]! << 8);
  }
  return list;
}

function refuseTrailer(
  payload: Uint8Array,
  length: number,
  keys: readonly Uint8Array[],
): Refusal | undefined {
  const checksum = readU32Little(payload, length);
  const computed = crc32c(payload, 0, length);
  if (keys.length === 0) {
    if (checksum === computed) return undefined;
    const isKeyed = payload.length === length + MAC_BYTES;
    const why = isKeyed ? "; a MAC would fit: for frames of a cluster with a key give --cluster-key" : "";
    return { error: `the checksum is ${hex32(checksum)}, that of these bytes is ${hex32(computed)}${why}` };
  }
  if (macHolds(keys, payload, 0, length)) return undefined;
  return {
    error: checksum === computed ? "no MAC, but a checksum: its sender has no key" : "no MAC of this key",
  };
}

/** What a frame's header says may be given with its message; `life` is 1 unless it is, `cluster` and `group` are 0, no generations are named, and no log (`mark`). */
const HEADER_FIELDS: readonly string[] = ["from", "to", "life", "cluster", "group", "generations", "mark"];

/** A frame with this one message. */
export function encodeNativeText(fields: FrameFields): { payload: Uint8Array } | Refusal {
  const name = String(fields.message ?? "");
  if (!Object.hasOwn(NATIVE_MESSAGES, name)) {
    return {
      error: `no message ${JSON.stringify(name)}; the native wire has ${Object.keys(NATIVE_MESSAGES).join(", ")}`,
    };
  }
  const layout = NATIVE_MESSAGES[name as NativeName];
  const wrong = refuseNames(name as NativeName, fields);
  if (wrong !== undefined) return wrong;
  const value = layout.value ? parseHex(String(fields.value ?? "")) : new Uint8Array(0);
  if (value === undefined) return { error: "value: an even number of hex digits is needed" };
  const type = NativeType[name as NativeName];
  const size = FIXED_BYTES[type]! + ((value.length + 3) & ~3);
  const length = HEADER_BYTES + size;
  if (length > 0xfffc) return { error: `a value of ${value.length} bytes does not fit a frame` };
  const payload = new Uint8Array(length + CHECKSUM_BYTES);
  const refusal = writeHeader(payload, fields, length);
  if (refusal !== undefined) return refusal;
  let at = HEADER_BYTES;
  payload[at] = type;
  const flags = Number(layout.flags === undefined ? 0 : (fields[layout.flags] ?? 0));
  const wrongFlags = refuseNumber(`${layout.flags}`, flags, 255);
  if (wrongFlags !== undefined) return wrongFlags;
  payload[at + 1] = flags;
  payload[at + 2] = size & 0xff;
  payload[at + 3] = size >> 8;
  at += 4;
  for (const [field, words] of layout.fields) {
    const number = Number(fields[field]);
    const wrong = refuseNumber(field, number, words === 2 ? Number.MAX_SAFE_INTEGER : 0xffffffff);
    if (wrong !== undefined) return wrong;
    writeU32Little(payload, at, number % HIGH);
    if (words === 2) writeU32Little(payload, at + 4, Math.floor(number / HIGH));
    at += 4 * words;
  }
  if (layout.value) {
    writeU32Little(payload, at, value.length);
    payload.set(value, at + 4);
  }
  writeU32Little(payload, length, crc32c(payload, 0, length));
  return { payload };
}

/** Fields that the message has not, and such as it needs. */
function refuseNames(name: NativeName, fields: FrameFields): Refusal | undefined {
  const { fields: layout, flags, value } = NATIVE_MESSAGES[name];
  const needed = layout.map(([field]) => field);
  const known = [...needed, ...(flags === undefined ? [] : [flags]), ...(value ? ["value"] : [])];
  const given = Object.keys(fields).filter((field) => field !== "message");
  const unknown = given.find((field) => !known.includes(field) && !HEADER_FIELDS.includes(field));
  if (unknown !== undefined) {
    const has = known.length === 0 ? "no fields" : known.join(", ");
    return {
      error: `${name} has no ${unknown}: it has ${has}, and those of the header: ${HEADER_FIELDS.join(", ")}`,
    };
  }
  const missing = needed.filter((field) => fields[field] === undefined);
  if (missing.length === 0) return undefined;
  const whole = Object.fromEntries([
    ["message", name],
    ...known.map((field) => [field, field === "value" ? "" : 1]),
  ]);
  return {
    error: `${name} needs ${missing.join(", ")}; as JSON on standard input: ${JSON.stringify(whole)}`,
  };
}

function refuseNumber(field: string, number: number, most: number): Refusal | undefined {
  if (Number.isInteger(number) && number >= 0 && number <= most) return undefined;
  return { error: `${field} must be a whole number from 0 to ${most}` };
}

function headerFields(payload: Uint8Array, length: number): FrameFields {
  const toId = payload[14]! | (payload[15]! << 8);
  return {
    message: "frame",
    version: payload[1]!,
    group: payload[3]!,
    cluster: readU32Little(payload, 4),
    from: `${roleNames(payload[8]!)} ${payload[12]! | (payload[13]! << 8)}`,
    to: `${roleNames(payload[9]!)} ${toId === ALL_IDS ? "*" : toId}`,
    life: pair(payload, 16),
    ...((payload[2]! & NAMES) === 0 ? {} : { generations: readU32Little(payload, 24) }),
    ...(payload[2]! >>> MARK_SHIFT === 0 ? {} : { mark: payload[2]! >>> MARK_SHIFT }),
    length,
  };
}

function writeHeader(payload: Uint8Array, fields: FrameFields, length: number): Refusal | undefined {
  const from = parsePlace(String(fields.from ?? "client 0"));
  const to = parsePlace(String(fields.to ?? "acceptor *"));
  if (from === undefined || to === undefined)
    return { error: 'from and to are like "acceptor 0" or "learner|proposer *"' };
  const life = Number(fields.life ?? 1);
  const group = Number(fields.group ?? 0);
  const cluster = Number(fields.cluster ?? 0);
  const { generations } = fields;
  const named = Number(generations ?? 0);
  const mark = Number(fields.mark ?? 0);
  const wrong =
    refuseNumber("life", life, Number.MAX_SAFE_INTEGER) ??
    refuseNumber("generations", named, 0xffffffff) ??
    refuseNumber("mark", mark, LOG_MARK_MASK) ??
    refuseNumber("group", group, 255) ??
    refuseNumber("cluster", cluster, 0xffffffff);
  if (wrong !== undefined) return wrong;
  payload[0] = NATIVE_MAGIC;
  payload[1] = NATIVE_VERSION;
  payload[2] = (mark << MARK_SHIFT) | (generations === undefined ? 0 : NAMES);
  payload[3] = group;
  writeU32Little(payload, 4, cluster);
  payload[8] = from.roles;
  payload[9] = to.roles;
  payload[10] = length & 0xff;
  payload[11] = length >> 8;
  payload[12] = from.id & 0xff;
  payload[13] = from.id >> 8;
  payload[14] = to.id & 0xff;
  payload[15] = to.id >> 8;
  writeU32Little(payload, 16, life % HIGH);
  writeU32Little(payload, 20, Math.floor(life / HIGH));
  writeU32Little(payload, 24, named);
  return undefined;
}

/** "proposer|learner *" or "acceptor 2". */
function parsePlace(text: string): { roles: number; id: number } | undefined {
  const match = /^([a-z|]+) (\*|[0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  let roles = 0;
  for (const name of match[1]!.split("|")) {
    if (!Object.hasOwn(Role, name)) return undefined;
    roles |= Role[name as RoleName];
  }
  return { roles, id: match[2] === "*" ? ALL_IDS : Number(match[2]) & 0xffff };
}

function messageFields(payload: Uint8Array, at: number, end: number): FrameFields | Refusal {
  const type = payload[at]!;
  const name = NATIVE_NAMES[type];
  if (name === undefined) return { error: `no message has type ${type}` };
  const size = payload[at + 2]! | (payload[at + 3]! << 8);
  const layout = NATIVE_MESSAGES[name];
  const fixed = FIXED_BYTES[type]!;
  if (size < fixed || size % 4 !== 0 || at + size > end) return { error: `${name} is ${size} bytes long` };
  const fields: Record<string, string | number> = { message: name };
  if (layout.flags !== undefined) fields[layout.flags] = payload[at + 1]!;
  let word = at + 4;
  for (const [field, words] of layout.fields) {
    fields[field] = words === 2 ? pair(payload, word) : readU32Little(payload, word);
    word += 4 * words;
  }
  const length = layout.value ? readU32Little(payload, word) : 0;
  if (fixed + ((length + 3) & ~3) !== size)
    return { error: `${name} is ${size} bytes long, its value ${length}` };
  if (layout.value) fields.value = formatHex(payload.subarray(word + 4, word + 4 + length));
  return fields;
}

function roleNames(bits: number): string {
  const known = ROLE_NAMES.filter((name) => (bits & Role[name]) !== 0);
  return known.length === 0 ? `role ${bits}` : known.join("|");
}

function pair(payload: Uint8Array, at: number): number {
  return readU32Little(payload, at + 4) * HIGH + readU32Little(payload, at);
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
