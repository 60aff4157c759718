/**
 * Who a process is: its life, and the cluster it belongs to.
 */
import type { Config } from "../config/config.ts";
import { crc32c } from "../net/crc32c.ts";
import type { Life } from "../protocol/types.ts";

/** A number unique to this start: 53 random bits, never 0. */
export function newLife(): Life {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return Math.max(1, (words[1]! & 0x1fffff) * 2 ** 32 + words[0]!);
}

/** The cluster id: name and acceptor ids, so that a cluster with other acceptors is another cluster. */
export function clusterIdOf(config: Config): number {
  const ids = config.acceptors.map((acceptor) => acceptor.id).join(",");
  const text = new TextEncoder().encode(`${config.settings.cluster}\0${ids}`);
  return crc32c(text, 0, text.length);
}
