/**
 * Why nothing moves: turns what a node has counted and heard into sentences that name the cause and the fix (the
 * reference says "0 value/sec" and nothing else). Reads only.
 */
import type { Config, Member } from "../config/config.ts";
import { hasMulticast, multicastOf } from "../config/multicast.ts";
import { formatAddress } from "../net/address.ts";
import type { LinkCounters } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { quorumOf } from "../protocol/quorum.ts";
import { Busy, type Peer } from "../protocol/types.ts";
import type { Members } from "../wire/members.ts";
import type { WireCounters } from "../wire/wire.ts";
import type { Cores } from "./roles.ts";

/** Who was not heard for so long is silent. */
export const SILENT_US = 3_000_000;
/** Before that nobody can have been heard: two questions, and their answers. */
const HEARING_US = 250_000;

export interface Patient {
  readonly config: Config;
  readonly where: string;
  readonly interfaceChange?: (() => string | undefined) | undefined;
  readonly cores: Cores;
  readonly wire: WireCounters;
  readonly link: LinkCounters;
  readonly peers: Peers;
  readonly members: Members;
  /** Last `busy` a proposer answered, 0 for none (client). */
  readonly busy: number;
  /** The proposer this client sends to. */
  readonly proposerId: number | undefined;
  /** The learner host of this client, if it was asked and does not answer. */
  readonly silentHost: string | undefined;
  /** It waits for proposers' answers to something else than values. */
  readonly isAsking: boolean;
  /** How it is told to begin without the snapshot that it waits for, where it may be (`Built`). */
  readonly beginEmptyBy: string | undefined;
  readonly nowUs: number;
  /** For how long it has listened. */
  readonly listenedUs: number;
}

/** Reasons, the likeliest first; empty when everything looks right from here. */
export function diagnose(patient: Patient): string[] {
  return [
    ...wireReasons(patient),
    ...multicastReasons(patient),
    ...acceptorReasons(patient),
    ...hostReasons(patient),
    ...proposerReasons(patient),
    ...linkReasons(patient),
  ];
}

function wireReasons({ wire, config }: Patient): string[] {
  const reasons: string[] = [];
  if (wire.otherWire > 0) reasons.push(otherWire(wire.otherWire, config));
  if (wire.otherVersion > 0)
    reasons.push(
      `${wire.otherVersion} frames of another version of kpaxos were heard: run the same version everywhere`,
    );
  if (wire.otherCluster > 0) reasons.push(otherCluster(wire.otherCluster));
  if (wire.stranger > 0) {
    reasons.push(
      `${wire.stranger} frames came from addresses that paxos.conf does not give to that role: compare the role lines on all hosts`,
    );
  }
  return reasons;
}

/**
 * Who votes tells all learners and proposers how it is every second, and who leads tells all acceptors that it does. In a cluster where
 * nobody votes or leads there is nothing to be told, and what a process says to itself does not come by multicast.
 */
export function multicastReasons(patient: Patient): string[] {
  const { config, cores, peers, members, nowUs } = patient;
  const first = multicastOf(config);
  if (first === undefined) return [];
  const { acceptor, learner } = cores;
  const isLongAlone = (peer: Peer) => peers.aloneForUs(peer, nowUs) >= SILENT_US;
  let heard = 0;
  if (learner !== undefined)
    heard = members.acceptors.filter((peer, aid) => learner.isVoting(aid) && isLongAlone(peer)).length;
  else if (acceptor?.isVoting === true) heard = members.proposers.filter(isLongAlone).length;
  if (heard === 0) return [];
  const where = formatAddress("udp", first.words);
  const leads = learner === undefined ? "does anybody lead, " : "";
  return [
    `nothing comes by multicast (${where}), though ${heard === 1 ? "a member is" : `${heard} members are`} heard: ${leads}does the network carry IP multicast, and is udp-multicast the same everywhere? udp-multicast no, on all hosts, needs none`,
  ];
}

function acceptorReasons({ cores: { learner }, config: { acceptors }, listenedUs }: Patient): string[] {
  if (learner === undefined || listenedUs < HEARING_US) return [];
  const full = acceptors.filter((_, aid) => learner.isTurnedAway(aid));
  const silent = acceptors.filter((one, aid) => !learner.isRegistered(aid) && !full.includes(one));
  const mute = acceptors.filter((_, aid) => learner.isRegistered(aid) && learner.isMute(aid));
  const left = acceptors.length - silent.length - full.length - mute.length;
  const quorum = quorumOf(acceptors.length);
  const reasons: string[] = [];
  if (silent.length > 0) {
    const enough =
      left >= quorum || full.length > 0 || mute.length > 0
        ? ""
        : `, and ${left} of ${acceptors.length} are no quorum`;
    reasons.push(`${named("acceptor", silent)} ${silent.length > 1 ? "do" : "does"} not answer${enough}`);
  }
  if (full.length > 0) {
    const [is, its] =
      full.length > 1 ? ["are heard, and do", "their logs say"] : ["is heard, and does", "its log says"];
    const enough = left >= quorum ? "" : `, and ${left} of ${acceptors.length} that do are no quorum`;
    const what = `where ${its} that 1024 listen already, end some, or have clients ask a learner host (--learner); else what is sent from here is lost`;
    reasons.push(`${named("acceptor", full)} ${is} not take this process as a listener${enough}: ${what}`);
  }
  if (mute.length > 0) {
    const [answer, whose] =
      mute.length > 1 ? ["answer, but do", "their logs say"] : ["answers, but does", "its log says"];
    const enough =
      left >= quorum ? "" : `, and ${left} of ${acceptors.length} ${left === 1 ? "is" : "are"} no quorum`;
    reasons.push(`${named("acceptor", mute)} ${answer} not vote${enough}: ${whose} why`);
  }
  return reasons;
}

function hostReasons({ silentHost }: Patient): string[] {
  if (silentHost === undefined) return [];
  return [`the learner host ${silentHost} does not answer: does a user-learner listen there?`];
}

function proposerReasons(patient: Patient): string[] {
  const { cores, config, busy } = patient;
  const reasons: string[] = [];
  const { proposer } = cores;
  if (proposer?.stage === "exhausted") {
    reasons.push(
      "this proposer's ballots are used up (2^32 in the Kernel_Paxos wire): restart the whole cluster empty",
    );
  }
  const noSnapshot = snapshotReason(patient);
  if (noSnapshot !== undefined) reasons.push(noSnapshot);
  else if (proposer?.isShut === true)
    reasons.push("no snapshot of the sessions has come: a leader has all of them begin anew if none does");
  else if (proposer?.stage === "preparing")
    reasons.push("no quorum of acceptors has promised this proposer's ballot");
  if (proposer !== undefined && proposer.votes >= 0) {
    reasons.push(
      `no proposer is known to lead, and ${proposer.votes} of ${config.acceptors.length} acceptors vote for this one: a quorum must answer, and hear no other leader`,
    );
  }
  if (proposer?.isUnheard === true) reasons.push("no quorum of acceptors echoes this leader's heartbeats");
  if (proposer?.isStalled === true || busy === Busy.windowFull) reasons.push(fullAcceptors(config));
  if (busy === Busy.noQuorum) reasons.push("the proposer has no quorum of acceptors");
  if (busy === Busy.queueFull)
    reasons.push(
      "the proposer's queue is full: it is slower than its clients (see proposer-queue-bytes and queue-delay)",
    );
  if (busy === Busy.noSnapshot) {
    reasons.push(
      "the log is trimmed, and the proposer finds no snapshot of what was delivered before: start a learner, replica or proposer that has one; the proposer's log says what if none is left",
    );
  }
  if (busy === Busy.tooLarge)
    reasons.push("the proposer's frames are too short for this client's: use one MTU on the whole segment");
  if (busy === Busy.notLeader) reasons.push("the proposer does not lead and knows nobody who does");
  return [...reasons, ...sendingReasons(patient)];
}

/** Whoever waits so says it in the log by itself, and at length (`delivery/standstill_note.ts`). */
export function snapshotReason({ cores: { learner }, beginEmptyBy }: Patient): string | undefined {
  if (learner?.waitsForSnapshot !== true) return undefined;
  const mayBeginEmpty = learner.next === 0 && beginEmptyBy !== undefined;
  const orEmpty = mayBeginEmpty ? `; if there never was one, begin empty: ${beginEmptyBy}` : "";
  return `instances 1 to ${learner.trimmedIid} are trimmed, and no snapshot has come that leads past them: start a process that has one${orEmpty}`;
}

/** Learners of the native wire report by themselves; in the other one somebody has to be told to trim. */
function fullAcceptors({ settings }: Config): string {
  return settings.wire === "native"
    ? "the acceptors' window is full: no learner reports what may be trimmed, or one holds the others back; the acceptors' logs say which (start or mend it, or raise acceptor-window-bytes)"
    : "the acceptors' window is full because no learner trims: run one with --cantrim, or raise acceptor-window-bytes";
}

/** Of a client: what became of what it sends. */
function sendingReasons(patient: Patient): string[] {
  const { cores, config, proposerId, silentHost, isAsking, peers, members, nowUs, listenedUs } = patient;
  // One in this very process is looked at as a proposer.
  if (proposerId === undefined || cores.proposer?.id === proposerId || listenedUs < HEARING_US) return [];
  const reasons: string[] = [];
  const peer = members.proposers[proposerId]!;
  const name = named("proposer", [config.proposers[proposerId]!]);
  const isHeard = nowUs - peers.lastHeardUs[peer]! <= SILENT_US;
  // Only multicasts of the native wire reach a client from a proposer that has nothing to tell it, and only one that learns.
  const canBeHeard = hasMulticast(config) && cores.learner !== undefined;
  if (!isHeard && canBeHeard) reasons.push(`${name} was not heard: is it running?`);
  // What does not come back without a host says nothing of anybody else.
  if (silentHost !== undefined) return reasons;
  // Nor does it where nothing was sent, or behind a trim, where this process cannot see what comes back.
  const hasSent = isAsking || cores.client?.isWaiting === true;
  const isTelling = hasSent && cores.learner?.waitsForSnapshot !== true;
  if (!isHeard && !canBeHeard && isTelling)
    reasons.push(`what was sent to ${name} does not come back: is it running?`);
  const delivered = cores.client?.counters.delivered ?? 0;
  if (config.settings.wire === "kernel-paxos" && delivered > 0) {
    // This wire has no words for a full acceptor.
    reasons.push(
      "the acceptors may be full because no learner trims: their logs say so then; run one with --cantrim",
    );
  }
  return reasons;
}

function linkReasons({ link, wire, where, interfaceChange, config, listenedUs }: Patient): string[] {
  const reasons: string[] = [];
  if (link.rxBadMac > 0) reasons.push(wrongKey(link.rxBadMac, config));
  else if (link.rxFrames === 0 && listenedUs >= HEARING_US) {
    const check =
      config.link === "ethernet"
        ? "is the cable in, are the others on this network segment, and are `wire` and `cluster` the same everywhere?"
        : "are the others running, does a firewall drop UDP, and are `wire`, `cluster` and `cluster-key` the same everywhere?";
    reasons.push(`no frame was received on ${where}: ${check}`);
  }
  if (link.txDropped > 0) {
    const why = interfaceChange?.() ?? "is it up, and not overloaded?";
    reasons.push(`${link.txDropped} frames could not be sent on ${where}: ${why}`);
  }
  if (link.rxDropped > 0)
    reasons.push(
      `the kernel dropped ${link.rxDropped} frames${ofValues(link)}: raise receive-buffer (needs CAP_NET_ADMIN or net.core.rmem_max)`,
    );
  if (link.rxBadChecksum > 0)
    reasons.push(
      `${link.rxBadChecksum} frames had a wrong checksum and were dropped: look for a bad cable, card or switch port at ${where}`,
    );
  if (link.rxTruncated > 0)
    reasons.push(
      `${link.rxTruncated} frames were longer than the MTU of ${where}: use one MTU on the whole segment`,
    );
  if (wire.malformed > 0) {
    const place = config.link === "ethernet" ? "these EtherTypes" : "this port";
    reasons.push(
      `${wire.malformed} frames made no sense and were dropped: does another program send to ${place}?`,
    );
  }
  return reasons;
}

export function otherWire(frames: number, { settings }: Config): string {
  return `${frames} frames of the other wire were heard: \`wire\` must be the same in every paxos.conf of one cluster (here it is ${settings.wire})`;
}

export function otherCluster(frames: number): string {
  return `${frames} frames of another cluster were heard: \`cluster\`, \`groups\`, \`max-value-size\`, \`session-limit\` and the acceptor lines must be the same in every paxos.conf of one cluster`;
}

/** How many of the frames that were dropped were client values, where these have a receive queue of their own. */
export function ofValues({ rxDroppedValues }: LinkCounters): string {
  return rxDroppedValues === 0 ? "" : ` (${rxDroppedValues} of them client values)`;
}

/** A frame that came broken looks the same as one that nobody of this cluster sent. */
export function wrongKey(frames: number, config: Config): string {
  const has = config.settings.clusterKey !== "";
  const what = has ? "with a wrong or missing key" : "sealed with a cluster-key, which this process has not,";
  return `${frames} frames ${what} were heard and dropped: \`cluster-key\` must be the same everywhere (kpaxos key show FILE compares)`;
}

function named(role: string, members: readonly Member[]): string {
  const list = members.map(
    ({ id, address }) => `${role} ${id} (${formatAddress(address.kind, address.words)})`,
  );
  return list.length < 2 ? list.join("") : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
}
