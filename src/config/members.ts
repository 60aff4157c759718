/**
 * What the role lines say together: ids that count from 0, addresses that tell processes apart, quorums that can
 * work. Every fault is reported once, at the line that causes it; a line that could not be read itself causes no
 * further complaints. Pure.
 */
import { type Address, formatAddress, isIpv4, isLoopback } from "../net/address.ts";
import type { Config, Member, WireName } from "./config.ts";
import type { Report } from "./report.ts";
import type { RoleLine, RoleWord } from "./roles.ts";

/** Kernel_Paxos and libpaxos: the id of a proposer is its ballots' last digit, and their tables have ten places. */
const KERNEL_PAXOS_LIMIT = 10;

type SimpleRole = Exclude<RoleWord, "replica">;
const SIMPLE_ROLES: readonly SimpleRole[] = ["acceptor", "proposer", "learner"];

export type Members = Pick<Config, "acceptors" | "proposers" | "learners" | "replicas" | "link">;

export function checkMembers(
  roleLines: readonly RoleLine[],
  wire: WireName,
  lastLine: number,
  report: Report,
): Members {
  checkPresence(roleLines, lastLine, report);
  const complained = new Set<RoleLine>();
  for (const role of SIMPLE_ROLES) {
    const lines = linesOf(role, roleLines);
    checkDuplicateIds(role, lines, roleLines, complained, report);
    checkConsecutiveIds(role, lines, complained, report);
    if (wire === "kernel-paxos" && role !== "learner") checkLimit(role, lines, report);
  }
  checkKinds(roleLines, report);
  checkAddresses(roleLines, wire, report);
  checkReach(roleLines, report);
  checkQuorum(linesOf("acceptor", roleLines), report);
  return {
    acceptors: membersOf(linesOf("acceptor", roleLines)),
    proposers: membersOf(linesOf("proposer", roleLines)),
    learners: membersOf(linesOf("learner", roleLines)),
    replicas: membersOf(roleLines.filter((line) => line.role === "replica")),
    link: roleLines.find((line) => line.address !== undefined)?.address?.kind ?? "udp",
  };
}

/** A replica line stands for one of each role. */
function linesOf(role: SimpleRole, roleLines: readonly RoleLine[]): RoleLine[] {
  return roleLines.filter((line) => line.role === role || line.role === "replica");
}

function membersOf(roleLines: readonly RoleLine[]): Member[] {
  const members: Member[] = [];
  for (const { id, address, line, column } of roleLines) {
    if (id !== undefined && address !== undefined) members.push({ id, address, line, column });
  }
  return members.sort((a, b) => a.id - b.id);
}

function idPlace(line: RoleLine, report: Report) {
  return report.at(line.line, line.column);
}

function checkPresence(roleLines: readonly RoleLine[], lastLine: number, report: Report): void {
  const example = roleLines.find((line) => line.address?.kind === "ethernet")
    ? "0 00:1a:2b:3c:4d:5e"
    : "0 127.0.0.1 8800";
  for (const role of ["acceptor", "proposer"] as const) {
    if (linesOf(role, roleLines).length > 0) continue;
    const hint = `add a line such as ${role} ${example}, or replica lines, which are ${role}s too`;
    report.error(report.at(lastLine, 1), `no ${role}: nothing can be chosen`, hint);
  }
}

function checkDuplicateIds(
  role: SimpleRole,
  lines: readonly RoleLine[],
  roleLines: readonly RoleLine[],
  complained: Set<RoleLine>,
  report: Report,
): void {
  const used = new Map<number, RoleLine>();
  for (const line of lines) {
    if (line.id === undefined) continue;
    const before = used.get(line.id);
    if (before === undefined) {
      used.set(line.id, line);
      continue;
    }
    if (complained.has(line)) continue;
    complained.add(line);
    const what = line.role === "replica" && before.role === "replica" ? "replica" : role;
    // A replica takes its id in every role.
    const free = firstFree(what === "replica" ? roleLines : lines);
    const why =
      before.role === line.role
        ? `is already used on line ${before.line}`
        : `is taken: ${before.role} ${line.id} on line ${before.line} and ${line.role} ${line.id} would share it`;
    const hint = `the first free ${what} id is ${free}${why.startsWith("is taken") ? "; a replica is acceptor, proposer and learner at once" : ""}`;
    report.error(idPlace(line, report), `${what} id ${line.id} ${why}`, hint);
  }
}

function firstFree(lines: readonly RoleLine[]): number {
  const ids = new Set(lines.map((line) => line.id));
  let free = 0;
  while (ids.has(free)) free++;
  return free;
}

function checkConsecutiveIds(
  role: SimpleRole,
  lines: readonly RoleLine[],
  complained: Set<RoleLine>,
  report: Report,
): void {
  // A line whose id is unreadable may be the one that is missing.
  if (lines.some((line) => line.id === undefined)) return;
  const missing = firstFree(lines);
  const beyond = lines.find((line) => line.id! > missing);
  if (beyond === undefined || complained.has(beyond)) return;
  complained.add(beyond);
  report.error(
    idPlace(beyond, report),
    `${role} ids are not consecutive: ${beyond.role} ${beyond.id}, but no ${role} ${missing}`,
    `ids count from 0 without gaps; this ${beyond.role} would be ${missing}`,
  );
}

function checkLimit(role: SimpleRole, lines: readonly RoleLine[], report: Report): void {
  const surplus = lines[KERNEL_PAXOS_LIMIT];
  if (surplus === undefined) return;
  report.error(
    idPlace(surplus, report),
    `${lines.length} ${role}s, but wire kernel-paxos allows ${KERNEL_PAXOS_LIMIT}`,
    "its ballots and tables have no place for more; wire native has no such limit",
  );
}

function describe(address: Address): string {
  if (address.kind === "ethernet") return "a MAC address";
  return isIpv4(address.words) ? "an IPv4 address" : "an IPv6 address";
}

/** One link carries all: a node has one address, and could not reach members of another kind. */
function checkKinds(roleLines: readonly RoleLine[], report: Report): void {
  const first = roleLines.find((line) => line.address !== undefined);
  if (first?.address === undefined) return;
  const expected = describe(first.address);
  for (const { address, line, addressColumn } of roleLines) {
    if (address === undefined || describe(address) === expected) continue;
    report.error(
      report.at(line, addressColumn),
      `${describe(address)} here, but ${expected} on line ${first.line}`,
      "all members of a cluster have addresses of one kind: MAC (raw Ethernet), IPv4 or IPv6 (UDP)",
    );
  }
}

function checkAddresses(roleLines: readonly RoleLine[], wire: WireName, report: Report): void {
  const firstAt = new Map<string, RoleLine>();
  for (const line of roleLines) {
    const { address, role } = line;
    if (address === undefined) continue;
    const text = formatAddress(address.kind, address.words);
    if (address.kind === "udp") {
      const before = firstAt.get(text);
      if (before === undefined) firstAt.set(text, line);
      else reportSharedPort(text, line, before, report);
    } else if (wire === "kernel-paxos") {
      const roles = role === "replica" ? SIMPLE_ROLES : [role];
      // Claims all its roles first, so that a replica line is complained about once.
      const before = roles.map((simple) => {
        const holder = firstAt.get(`${simple} ${text}`);
        if (holder === undefined) firstAt.set(`${simple} ${text}`, line);
        return holder === undefined ? undefined : ([simple, holder] as const);
      });
      const clash = before.find((entry) => entry !== undefined);
      if (clash !== undefined) reportSharedMac(text, clash[0], line, clash[1], report);
    }
  }
}

function nameOf(line: RoleLine): string {
  return line.id === undefined ? line.role : `${line.role} ${line.id}`;
}

function reportSharedPort(text: string, line: RoleLine, before: RoleLine, report: Report): void {
  const hint =
    before.role === line.role || before.role === "replica" || line.role === "replica"
      ? "each process needs a port of its own"
      : "each process needs a port of its own; a replica line makes acceptor, proposer and learner one process";
  report.error(
    report.at(line.line, line.addressColumn),
    `${text} is already the address of ${nameOf(before)} on line ${before.line}`,
    hint,
  );
}

function reportSharedMac(
  text: string,
  role: SimpleRole,
  line: RoleLine,
  before: RoleLine,
  report: Report,
): void {
  const place = report.at(line.line, line.addressColumn);
  const message = `${text} is already the address of ${nameOf(before)} on line ${before.line}`;
  if (role === "learner") {
    report.warning(place, `${message}: in wire kernel-paxos both learners hear what either asks for`);
    return;
  }
  report.error(
    place,
    `${message}: in wire kernel-paxos a MAC address is all that tells two ${role}s apart`,
    "give each its own interface (ip link add link eth0 type macvlan), or use wire native",
  );
}

function checkReach(roleLines: readonly RoleLine[], report: Report): void {
  const known = roleLines.filter((line) => line.address !== undefined);
  const local = known.find((line) => isLoopback(line.address!));
  const remote = known.find((line) => !isLoopback(line.address!));
  if (local?.address === undefined || remote?.address === undefined) return;
  if (describe(local.address) !== describe(remote.address)) return;
  report.warning(
    report.at(local.line, local.addressColumn),
    `${nameOf(local)} has a loopback address, which only this host reaches, but ${nameOf(remote)} on line ${remote.line} has not`,
    "use addresses at which every member reaches every other",
  );
}

function checkQuorum(acceptors: readonly RoleLine[], report: Report): void {
  const count = acceptors.length;
  // Which of them are meant is not known yet.
  if (new Set(acceptors.map((line) => line.id)).size < count) return;
  if (acceptors.some((line) => line.id === undefined)) return;
  if (count === 0 || count % 2 === 1) return;
  const tolerated = count / 2 - 1;
  report.warning(
    idPlace(acceptors.at(-1)!, report),
    `${count} acceptors tolerate ${tolerated} ${tolerated === 1 ? "failure" : "failures"}, no more than ${count - 1} do`,
    "use an odd number of acceptors",
  );
}
