/**
 * Who a process is: its life, and the cluster it belongs to.
 */
import type { Config } from "../config/config.ts";
import { MAX_ID } from "../config/roles.ts";
import { DEFAULT_SETTINGS } from "../config/schema.ts";
import { crc32c } from "../net/crc32c.ts";
import type { Life } from "../protocol/types.ts";

/** A number unique to this start: 53 random bits, never 0. */
export function newLife(): Life {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return Math.max(1, (words[1]! & 0x1fffff) * 2 ** 32 + words[0]!);
}

/** The largest id that fits a frame: 65535 is every id. */
const LAST_ID = 0xfffe;

/** `what`: "id"; `whose`: "a replica's". */
export function checkId(what: string, id: number, whose: string): void {
  if (Number.isInteger(id) && id >= 0 && id <= LAST_ID) return;
  throw new RangeError(`${what} ${id}: ${whose} is a whole number from 0 to ${LAST_ID}`);
}

/** An id for who has no line in paxos.conf: none that a line may have. */
export function drawId(): number {
  return MAX_ID + 1 + Math.floor(Math.random() * (LAST_ID - MAX_ID));
}

/**
 * The cluster id: name and acceptor ids, so that a cluster with other acceptors is another cluster; and the limits of sessions
 * that are not the usual, because nodes with different ones would deliver different values.
 */
export function clusterIdOf(config: Config): number {
  const ids = config.acceptors.map((acceptor) => acceptor.id).join(",");
  const { cluster, maxValueBytes, sessionLimit } = config.settings;
  const isUsual =
    maxValueBytes === DEFAULT_SETTINGS.maxValueBytes && sessionLimit === DEFAULT_SETTINGS.sessionLimit;
  const limits = isUsual ? "" : `\0${maxValueBytes},${sessionLimit}`;
  const text = new TextEncoder().encode(`${cluster}\0${ids}${limits}`);
  return crc32c(text, 0, text.length);
}
