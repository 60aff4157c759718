/**
 * Sessions of a learner with something wrong in them. For planted bugs only (`bugs.ts`).
 */
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { Outcome, SessionTable } from "../protocol/learner/session_table.ts";
import { isReset } from "../protocol/reset_entry.ts";

/** Sessions that let through again what they have delivered. */
export function deliversTwice({ table }: SessionFilter): void {
  const decide = table.decide.bind(table);
  table.decideRun = () => false;
  table.decide = (iid, index, session, sequence, flags, bytes, offset, length) => {
    const outcome = decide(iid, index, session, sequence, flags, bytes, offset, length);
    if (outcome !== Outcome.duplicate) return outcome;
    table.valueBytes = bytes;
    table.valueOffset = offset;
    table.valueLength = length;
    return Outcome.deliver;
  };
}

/** Snapshots without the sessions. */
export function forgetsSessions(filter: SessionFilter): void {
  const snapshot = filter.snapshot.bind(filter);
  filter.snapshot = () => (snapshot() === null ? null : new SessionTable(filter.table.limits).serialize());
}

/** Sessions that go on where all begin anew. */
export function keepsSessions(filter: SessionFilter): void {
  const deliver = filter.deliver.bind(filter);
  filter.deliver = (iid, bytes, offset, length) => {
    if (!filter.isWhole || !isReset(bytes, offset, length)) return deliver(iid, bytes, offset, length);
    filter.iid = iid;
    return true;
  };
}

/** Takes those that it sees opened for all there are. */
export function believesAtOnce(filter: SessionFilter): void {
  const beginUnknown = filter.beginUnknown.bind(filter);
  filter.beginUnknown = (iid) => {
    beginUnknown(iid);
    filter.isWhole = true;
  };
}
