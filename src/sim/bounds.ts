/**
 * Looks at the processes of a run from time to time: no window, queue or table holds more than it may, and nobody has trimmed
 * what nobody has delivered.
 */
import type { Settings } from "../config/config.ts";
import type { Arena } from "../protocol/arena.ts";
import { MOST_CALLS_UNDER_WAY } from "./kv.ts";
import type { Station } from "./station.ts";
import { Violation } from "./violation.ts";

export function checkBounds(station: Station, settings: Settings): void {
  const { host, name, sessions, caller } = station;
  if (host === undefined) return;
  const { acceptor, proposer, learner, client } = host.cores;
  const within = (what: string, has: number, most: number): void => {
    if (has > most) throw new Violation("bounds", `${name}: ${what}: ${has} of at most ${most}`);
  };
  const store = (what: string, { used, bytes }: Arena): void => within(what, used, bytes.length);
  if (acceptor !== undefined) {
    const { trimIid, highestIid, instances, arena } = acceptor.log;
    within("instances held by its acceptor", highestIid - trimIid, instances);
    store("bytes held by its acceptor", arena);
  }
  if (proposer !== undefined) {
    const { window, queue } = proposer;
    within("bytes of values queued", queue.usedBytes, settings.proposerQueueBytes);
    within("own values without an instance", window.requeued, window.instances);
    store("bytes held by its proposer", window.arena);
  }
  if (learner !== undefined) store("bytes held by its learner", learner.window.arena);
  if (sessions !== undefined) within("sessions", sessions.table.count, settings.sessionLimit);
  if (client !== undefined && station.mostOutstanding !== undefined)
    within("values under way", client.outstanding, station.mostOutstanding);
  if (caller !== undefined) within("commands that wait", caller.host.pending, MOST_CALLS_UNDER_WAY);
}

/** `deliveredIid`: the highest instance that anybody has delivered. */
export function checkTrim({ host, name }: Station, deliveredIid: number): void {
  const trimIid = host?.cores.acceptor?.log.trimIid ?? 0;
  if (trimIid <= deliveredIid) return;
  const what = `${name} has trimmed up to ${trimIid}; nobody has delivered more than ${deliveredIid}`;
  throw new Violation("trim", what);
}
