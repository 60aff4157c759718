/**
 * What an inquiry (`inquiry.ts`) has found out, as a verdict: can this group have values chosen now, and if not, what is missing?
 * Pure.
 */
import type { Config, Member } from "../config/config.ts";
import { ALL_GROUPS } from "../config/groups.ts";
import { hasMulticast } from "../config/multicast.ts";
import { formatAddress } from "../net/address.ts";
import { quorumOf } from "../protocol/quorum.ts";
import { StateFlag } from "../protocol/types.ts";
import type { AcceptorFacts, Inquiry } from "./inquiry.ts";

/** null: this wire or link does not tell, or nobody has. */
export interface AcceptorStatus {
  readonly id: number;
  readonly address: string;
  readonly answers: boolean;
  readonly votes: boolean | null;
  readonly trimmedIid: number | null;
  readonly highestIid: number | null;
  readonly room: "free" | "half full" | "full" | null;
  /** Whether it tells newcomers what it accepts: there are 1024 places. */
  readonly takesListeners: boolean | null;
  readonly followsBallot: number | null;
  readonly acceptedBallot: number | null;
}

export interface LeaderStatus {
  readonly id: number;
  readonly address: string | null;
  readonly ballot: number | null;
  readonly chosenIid: number | null;
  /** A quorum echoed it when it was asked. */
  readonly confirmed: boolean | null;
}

export interface ProposerStatus {
  readonly id: number;
  readonly address: string;
  readonly heard: boolean | null;
}

export interface GroupStatus {
  /** null: there are no groups. */
  readonly group: number | null;
  readonly link: Config["link"];
  /** What is for many is heard by all: leaders' ballots, too. */
  readonly multicast: boolean;
  readonly leader: LeaderStatus | null;
  readonly acceptors: readonly AcceptorStatus[];
  readonly proposers: readonly ProposerStatus[];
  readonly quorum: number;
  /** Values can be chosen now, as far as this wire tells. */
  readonly ok: boolean;
  readonly verdict: string;
  /** Why something was not heard, as far as is known here. */
  readonly reasons: readonly string[];
}

export function groupStatus(config: Config, inquiry: Inquiry, reasons: readonly string[]): GroupStatus {
  const native = config.settings.wire === "native";
  const acceptors = config.acceptors.map((member, at) =>
    acceptorStatus(member, inquiry.acceptors[at]!, native),
  );
  const proposers = config.proposers.map((member, at) => ({
    id: member.id,
    address: addressOf(member),
    // In the Kernel_Paxos wire proposers have nothing to say to others.
    heard: native ? inquiry.heardProposers[at]! : null,
  }));
  const leader = leaderStatus(config, inquiry, native);
  const quorum = quorumOf(acceptors.length);
  const missing = whatIsMissing({ acceptors, leader, proposers }, quorum, native);
  const isWhole =
    acceptors.every(({ answers }) => answers) && proposers.every(({ heard }) => heard !== false);
  return {
    group: config.settings.groups > 1 && config.group !== ALL_GROUPS ? config.group : null,
    link: config.link,
    multicast: hasMulticast(config),
    leader,
    acceptors,
    proposers,
    quorum,
    ok: missing.length === 0,
    verdict:
      missing.length > 0
        ? `no value can be chosen now: ${missing.join("; ")}`
        : good(acceptors, leader, config.link),
    // Strays of others on this segment are no news where everybody has answered.
    reasons: isWhole && leader !== null ? [] : reasons,
  };
}

function acceptorStatus(member: Member, facts: AcceptorFacts, native: boolean): AcceptorStatus {
  const { answers, votes, trimIid, highestIid, flags, follows, accepted, isOk, isFull } = facts;
  return {
    id: member.id,
    address: addressOf(member),
    answers,
    // Who does not vote still answers a hi, and nothing else.
    votes: native && answers ? votes : null,
    trimmedIid: trimIid,
    highestIid,
    room: native && trimIid !== null ? roomOf(flags) : null,
    takesListeners: native && (isOk || isFull) ? isOk : null,
    followsBallot: follows,
    acceptedBallot: accepted,
  };
}

function roomOf(flags: number): "free" | "half full" | "full" {
  if ((flags & StateFlag.full) !== 0) return "full";
  return (flags & StateFlag.halfFull) !== 0 ? "half full" : "free";
}

function leaderStatus(config: Config, inquiry: Inquiry, native: boolean): LeaderStatus | null {
  const { leader, confirmed, chosenIid } = inquiry;
  const id = leader?.id ?? confirmed;
  if (id < 0) return null;
  const member = config.proposers.find((one) => one.id === id);
  return {
    id,
    address: member === undefined ? null : addressOf(member),
    ballot: leader?.ballot ?? null,
    chosenIid: native ? chosenIid : null,
    confirmed: native ? confirmed === id : null,
  };
}

function whatIsMissing(
  { acceptors, leader, proposers }: Pick<GroupStatus, "acceptors" | "leader" | "proposers">,
  quorum: number,
  native: boolean,
): string[] {
  const missing: string[] = [];
  const voting = votingOf(acceptors);
  const withRoom = voting.filter(({ room }) => room !== "full");
  const what = native ? "vote" : "answer";
  if (voting.length < quorum)
    missing.push(`${voting.length} of ${acceptors.length} acceptors ${what}, and ${quorum} are a quorum`);
  const isFull = voting.length >= quorum && withRoom.length < quorum;
  if (isFull)
    missing.push(
      `${voting.length - withRoom.length} acceptors are full, because nobody trims (their logs say who holds them back)`,
    );
  if (!native) return missing;
  const mayBeStuck = isFull || proposers.some(({ heard }) => heard === false);
  // A read point waits for all that was proposed before: who leads and gets nothing chosen is silent.
  if (leader === null)
    missing.push(
      mayBeStuck
        ? "no leader has confirmed itself, and one whose values are not chosen cannot"
        : "nobody leads",
    );
  else if (leader.confirmed === false)
    missing.push(
      isFull
        ? `proposer ${leader.id} was heard as leader, and cannot confirm it before its values are chosen`
        : `proposer ${leader.id} was heard as leader, but no quorum confirmed it`,
    );
  return missing;
}

function votingOf(acceptors: readonly AcceptorStatus[]): readonly AcceptorStatus[] {
  return acceptors.filter(({ answers, votes }) => answers && votes !== false);
}

function good(
  acceptors: readonly AcceptorStatus[],
  leader: LeaderStatus | null,
  link: Config["link"],
): string {
  const count = `${votingOf(acceptors).length} of ${acceptors.length} acceptors`;
  if (leader?.confirmed === true) return `values can be chosen: proposer ${leader.id} leads, ${count} vote`;
  const who =
    leader === null
      ? "who proposes is heard in this wire only while values are chosen"
      : `proposer ${leader.id} had values accepted${link === "udp" ? "" : ", now or, if they were repeated, before"}`;
  return `a quorum is there: ${count} answer; ${who}`;
}

function addressOf({ address }: Member): string {
  return formatAddress(address.kind, address.words);
}
