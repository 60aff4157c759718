/**
 * Bugs to be found: each is planted from outside, by changing what goes into a core or a storage. A simulator that does not find
 * them has proved nothing by finding nothing.
 */
import { Roles } from "../node/roles.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { Outcome, SessionTable } from "../protocol/learner/session_table.ts";
import { type Ballot, type Life, NO_BALLOT, type Peer } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import { LateStorage } from "./late_storage.ts";

export interface Plant {
  readonly name: string;
  readonly summary: string;
  /** Where it is found … */
  readonly scenario: string;
  /** … within so many seeds from 1 on. */
  readonly seeds: number;
  /** Between an acceptor and its storage. */
  readonly storage?: (storage: Storage) => Storage;
  /** Between the wire and the cores. */
  readonly receiver?: (roles: Roles) => Roles;
  /** At the sessions of a learner, before they begin. */
  readonly sessions?: (filter: SessionFilter) => void;
  /** How a store is read, whatever is asked for. */
  readonly reads?: "local";
  /** A proposer has one life for ever. */
  readonly keepsLife?: true;
}

/** An acceptor that forgets its promise before it looks at an accept. */
class Forgetful extends Roles {
  override onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const { acceptor } = this.cores;
    if (acceptor !== undefined) acceptor.promised = NO_BALLOT;
    super.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length);
  }
}

/** A learner that takes every `accepted` for another acceptor's. */
class CountsMessages extends Roles {
  #messages = 0;

  override onAccepted(
    from: Peer,
    _aid: number,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    super.onAccepted(from, this.#messages++ % 3, iid, promiseIid, ballot, life, bytes, offset, length);
  }

  override onAcceptedRange(
    from: Peer,
    _aid: number,
    first: number,
    last: number,
    ballot: Ballot,
    life: Life,
  ): void {
    super.onAcceptedRange(from, this.#messages++ % 3, first, last, ballot, life);
  }
}

/** A learner to which all ballots are one. */
class MixesBallots extends Roles {
  override onAccepted(
    from: Peer,
    aid: number,
    iid: number,
    promiseIid: number,
    _ballot: Ballot,
    _life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    super.onAccepted(from, aid, iid, promiseIid, 1 as Ballot, 0, bytes, offset, length);
  }

  override onAcceptedRange(
    from: Peer,
    aid: number,
    first: number,
    last: number,
    _ballot: Ballot,
    _life: Life,
  ): void {
    super.onAcceptedRange(from, aid, first, last, 1 as Ballot, 0);
  }

  override onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const { acceptor, learner } = this.cores;
    acceptor?.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length);
    learner?.onAccept(iid, 1 as Ballot, 0, bytes, offset, length);
  }
}

/** A new leader that does not propose again what promises report. */
class ForgetsProposals extends Roles {
  override onPromiseRecord(): void {}
}

/** An acceptor that takes every report for one of all it has. */
class TrimsAll extends Roles {
  override onTrim(from: Peer, iid: number, hasApplications: boolean): void {
    super.onTrim(from, this.cores.acceptor?.log.highestIid ?? iid, hasApplications);
  }
}

/** An acceptor that votes with an empty memory, as if nothing had been. */
function votesAtOnce(roles: Roles): Roles {
  const { acceptor } = roles.cores;
  const birth = acceptor?.fellows?.birth;
  if (acceptor === undefined || birth === undefined || birth.voice !== null) return roles;
  acceptor.standing.set(acceptor.aid, 1, 1);
  birth.kept();
  return roles;
}

/** Sessions that let through again what they have delivered. */
function deliversTwice({ table }: SessionFilter): void {
  const decide = table.decide.bind(table);
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
function forgetsSessions(filter: SessionFilter): void {
  const snapshot = filter.snapshot.bind(filter);
  filter.snapshot = () => (snapshot() === null ? null : new SessionTable(filter.table.limits).serialize());
}

export const PLANTS: readonly Plant[] = [
  {
    name: "reply-before-persist",
    summary: "an acceptor's commit is kept with the next one only, when its answer has long left",
    scenario: "crashes",
    seeds: 5,
    storage: (storage) => new LateStorage(storage),
  },
  {
    name: "forgotten-promise",
    summary: "an acceptor accepts below what it has promised",
    scenario: "failover",
    seeds: 20,
    receiver: (roles) => new Forgetful(roles.cores),
  },
  {
    name: "messages-as-quorum",
    summary: "a learner counts messages, not acceptors",
    scenario: "lossy",
    seeds: 5,
    receiver: (roles) => new CountsMessages(roles.cores),
  },
  {
    name: "mixed-ballots",
    summary: "a learner counts votes of different ballots",
    scenario: "quarrels",
    seeds: 100,
    receiver: (roles) => new MixesBallots(roles.cores),
  },
  {
    name: "forgotten-proposals",
    summary: "a new leader proposes its own values where others may be chosen",
    scenario: "failover",
    seeds: 20,
    receiver: (roles) => new ForgetsProposals(roles.cores),
  },
  {
    name: "reused-ballot",
    summary: "a restarted proposer goes on as its former self, at the same ballot",
    scenario: "quarrels",
    seeds: 100,
    keepsLife: true,
  },
  {
    name: "votes-at-once",
    summary: "an acceptor that starts empty votes at once",
    scenario: "memory",
    seeds: 20,
    receiver: votesAtOnce,
  },
  {
    name: "dedupe-off",
    summary: "a learner delivers a value again when it is in the log twice",
    scenario: "sessions",
    seeds: 20,
    sessions: deliversTwice,
  },
  {
    name: "snapshot-without-sessions",
    summary: "a snapshot leaves out what was delivered of whom",
    scenario: "trim",
    seeds: 20,
    sessions: forgetsSessions,
  },
  {
    name: "trim-above-rule",
    summary: "an acceptor trims what learners have not reported",
    scenario: "trim",
    seeds: 20,
    receiver: (roles) => new TrimsAll(roles.cores),
  },
  {
    name: "stale-reads",
    summary: "a replica of the store answers reads from what it has, without asking anybody",
    scenario: "kv",
    seeds: 5,
    reads: "local",
  },
];

export function findPlant(name: string): Plant | undefined {
  return PLANTS.find((one) => one.name === name);
}
