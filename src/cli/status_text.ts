/**
 * The status of a group for people: a line for the leader, one for each member, why somebody was not heard, and the verdict last.
 */
import type { AcceptorStatus, GroupStatus, LeaderStatus } from "../node/group_status.ts";
import { grouped } from "../text/grouped.ts";

/** A section for each group, where there are groups. */
export function groupLines(groups: readonly GroupStatus[]): string[] {
  return groups.flatMap((one) => {
    const lines = statusLines(one);
    return one.group === null ? lines : [`group ${one.group}`, ...lines.map((line) => `  ${line}`)];
  });
}

export function statusLines(group: GroupStatus): string[] {
  const { link, multicast, leader, acceptors, proposers, verdict, reasons } = group;
  const names = [
    ...acceptors.map(({ id, address }) => ({ name: `acceptor ${id}`, address })),
    ...proposers.map(({ id, address }) => ({ name: `proposer ${id}`, address })),
  ];
  const wide = (of: (one: { name: string; address: string }) => string): number =>
    Math.max(...names.map((one) => of(one).length));
  const [name, address] = [wide((one) => one.name), wide((one) => one.address)];
  const head = (at: number): string =>
    `${names[at]!.name.padEnd(name)}  ${names[at]!.address.padEnd(address)}`;
  return [
    proposers.every(({ heard }) => heard === null)
      ? proposingLine(leader, link)
      : leaderLine(leader, multicast),
    ...acceptors.map((one, at) => `${head(at)}  ${acceptorText(one)}`),
    ...proposers.map(({ heard }, at) => `${head(acceptors.length + at)}  ${proposerText(heard)}`),
    ...reasons.map((reason) => `why: ${reason}`),
    verdict,
  ];
}

function leaderLine(leader: LeaderStatus | null, multicast: boolean): string {
  if (leader === null) return "leader: none was heard";
  const { id, address, ballot, chosenIid, confirmed } = leader;
  const facts = [
    ...(address === null ? [] : [address]),
    ballotText(ballot, multicast),
    ...(chosenIid === null
      ? []
      : [chosenIid === 0 ? "nothing chosen yet" : `chosen up to ${grouped(chosenIid)}`]),
  ];
  if (confirmed === false) facts.push("not confirmed by a quorum");
  return `leader: proposer ${id} (${facts.join(", ")})`;
}

/**
 * In the Kernel_Paxos wire a leader is nobody's word. On Ethernet what an acceptor repeats for another process of this host, and may have
 * been proposed long ago, looks the same as what it accepts now.
 */
function proposingLine(leader: LeaderStatus | null, link: GroupStatus["link"]): string {
  if (leader === null) return "proposing: nobody was heard";
  const address = leader.address === null ? "" : `${leader.address}, `;
  const when = link === "udp" ? "proposing" : "proposing, now or before";
  return `${when}: proposer ${leader.id} (${address}ballot ${leader.ballot})`;
}

function ballotText(ballot: number | null, multicast: boolean): string {
  if (ballot !== null) return `ballot ${ballot}`;
  return multicast ? "ballot not heard" : "ballot not told without multicast";
}

function acceptorText(one: AcceptorStatus): string {
  if (!one.answers) return "silent";
  if (one.votes === false) return "answers, does not vote yet (fresh or recovering)";
  const facts = [one.votes === null ? "answers" : "votes"];
  if (one.trimmedIid !== null)
    facts.push(one.trimmedIid === 0 ? "nothing trimmed" : `trimmed up to ${grouped(one.trimmedIid)}`);
  if (one.highestIid !== null)
    facts.push(one.highestIid === 0 ? "log empty" : `highest ${grouped(one.highestIid)}`);
  if (one.room === "half full" || one.room === "full") facts.push(one.room);
  if (one.takesListeners === false) facts.push("takes no more listeners");
  if (one.followsBallot !== null) facts.push(`follows ballot ${one.followsBallot}`);
  if (one.acceptedBallot !== null) facts.push(`accepted at ${one.acceptedBallot}`);
  return facts.join(", ");
}

function proposerText(heard: boolean | null): string {
  if (heard === null) return "not told in this wire";
  return heard ? "answers" : "silent";
}
