/**
 * A configuration as text: the one-line summary, the file that would produce it, and the object of `--json`. Pure.
 * `parseConfig(formatConfig(c))` gives back the members and settings of `c`.
 */
import { type Address, formatAddress } from "../net/address.ts";
import type { Config, Member } from "./config.ts";
import { formatOrigin } from "./report.ts";
import { FIELDS, SCHEMA } from "./schema.ts";
import { formatValue } from "./values.ts";

const LINK_NAMES = { ethernet: "raw Ethernet", udp: "UDP" } as const;

/** `3 acceptors, 1 proposer, 1 learner over UDP, wire native`. */
export function summarize(config: Config): string {
  const counts = [
    count(config.acceptors, "acceptor"),
    count(config.proposers, "proposer"),
    count(config.learners, "learner"),
  ];
  const { groups, wire } = config.settings;
  const each = groups === 1 ? "" : `, ${groups} groups`;
  return `${counts.join(", ")} over ${LINK_NAMES[config.link]}, wire ${wire}${each}`;
}

function count(members: readonly Member[], role: string): string {
  return `${members.length} ${role}${members.length === 1 ? "" : "s"}`;
}

interface Row {
  readonly text: string;
  readonly note: string;
}

/** A complete `paxos.conf`: every member and every effective value, each with where it came from as a comment. */
export function formatConfig(config: Config): string {
  const rows: Row[] = [];
  for (const { role, member } of roleLines(config)) {
    const text = `${role} ${member.id} ${addressWords(member.address)}`;
    rows.push({ text, note: `${config.file}:${member.line}` });
  }
  for (const field of FIELDS) {
    const spec = SCHEMA[field];
    const value = formatValue(spec, config.settings[field]);
    const note = formatOrigin(config.origins[field], config.file);
    // A file cannot say "empty": such a setting is one that is not there.
    rows.push(
      value === "" ? { text: `# ${spec.key}`, note: "not set" } : { text: `${spec.key} ${value}`, note },
    );
  }
  const width = Math.min(60, Math.max(...rows.map((row) => row.text.length)));
  // The comment must not add a line: a file's name may hold anything.
  const lines = rows.map(({ text, note }) => `${text.padEnd(width)}  # ${note.replace(/[\r\n]/g, "?")}\n`);
  return lines.join("");
}

/** The lines of the file: a replica is one line, not three. */
function roleLines(config: Config): { role: string; member: Member }[] {
  const replicaIds = new Set(config.replicas.map((member) => member.id));
  const plain = (role: string, members: readonly Member[]) =>
    members.filter((member) => !replicaIds.has(member.id)).map((member) => ({ role, member }));
  return [
    ...config.replicas.map((member) => ({ role: "replica", member })),
    ...plain("acceptor", config.acceptors),
    ...plain("proposer", config.proposers),
    ...plain("learner", config.learners),
  ];
}

function addressWords(address: Address): string {
  return address.kind === "ethernet" ? address.mac : `${address.host} ${address.port}`;
}

const UNITS = { duration: "ms", size: "bytes" } as const;

export function configToJson(config: Config) {
  const members = (list: readonly Member[]) =>
    list.map(({ id, address, line }) => ({
      id,
      address: formatAddress(address.kind, address.words),
      line,
    }));
  const settings = FIELDS.map((field) => {
    const spec = SCHEMA[field];
    const unit = spec.kind === "duration" || spec.kind === "size" ? { unit: UNITS[spec.kind] } : {};
    return [spec.key, { value: config.settings[field], ...unit, ...config.origins[field] }] as const;
  });
  return {
    file: config.file,
    link: config.link,
    acceptors: members(config.acceptors),
    proposers: members(config.proposers),
    learners: members(config.learners),
    replicas: members(config.replicas),
    settings: Object.fromEntries(settings),
    warnings: config.warnings,
  };
}
