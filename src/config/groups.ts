/**
 * Groups: independent logs side by side, with the same members. A group's view of a configuration is a configuration: that of
 * a cluster of its own, with another name, other directories and, over UDP, other ports. So nothing of one group can be taken
 * for another's, and nobody but this file has to know how. Pure.
 */

import { CliError, ExitCode } from "../error.ts";
import { formatAddress, parseUdp } from "../net/address.ts";
import { crc32c } from "../protocol/crc32c.ts";
import type { Config, Member, Settings } from "./config.ts";
import type { Report } from "./report.ts";
import { IN_MEMORY } from "./schema.ts";

/** Of a configuration that is that of all its groups. */
export const ALL_GROUPS = -1;
/** UDP: group g is reached at the port of the role's line plus so many times g. */
export const PORTS_APART = 100;
const LAST_PORT = 65535;

/** The view that group `group` has of a configuration of all groups. */
export function configOfGroup(config: Config, group: number): Config {
  const { groups } = config.settings;
  if (config.group === group && group !== ALL_GROUPS) return config;
  if (config.group !== ALL_GROUPS || !Number.isInteger(group) || group < 0 || group >= groups) {
    throw new RangeError(`group ${group} of ${groups}`);
  }
  const move = (members: readonly Member[]) => members.map((member) => memberOf(member, group));
  return {
    ...config,
    group,
    acceptors: move(config.acceptors),
    proposers: move(config.proposers),
    learners: move(config.learners),
    replicas: move(config.replicas),
    settings: settingsOf(config.settings, group),
  };
}

/** The view of the group that a user named; without groups, and of a group's view, none need be named. */
export function oneGroup(config: Config, group: number | undefined): Config {
  const { groups } = config.settings;
  if (config.group !== ALL_GROUPS && (group === undefined || group === config.group)) return config;
  if (groups > 1 && group !== undefined && group < groups) return configOfGroup(config, group);
  if (groups === 1) {
    throw new CliError(`${config.file} has no groups, so there is no group ${group}`, {
      exitCode: ExitCode.usage,
      hint: "leave --group out, or write groups N in the file",
    });
  }
  const why = group === undefined ? "and this is for one of them" : `there is no group ${group}`;
  throw new CliError(`${config.file} has ${groups} groups, ${why}`, {
    exitCode: ExitCode.usage,
    hint: `name it with --group, 0 to ${groups - 1}; values may have a --key instead`,
  });
}

/** Every group's view, in order; of a configuration without groups, itself. */
export function configsOfGroups(config: Config): readonly Config[] {
  if (config.group !== ALL_GROUPS) return [config];
  return Array.from({ length: config.settings.groups }, (_, group) => configOfGroup(config, group));
}

/** Which group the values of a key belong to: CRC-32C of its bytes modulo the number of groups, for ever. */
export function groupOfKey(key: Uint8Array, groups: number): number {
  return crc32c(key) % groups;
}

/** Another number of groups spreads keys in another way, so it is another cluster. */
function settingsOf(settings: Readonly<Settings>, group: number): Settings {
  const { cluster, groups, storagePath, snapshotPath } = settings;
  return {
    ...settings,
    cluster: `${cluster}:${group}of${groups}`,
    storagePath: storagePath === "" ? "" : `${storagePath}/group-${group}`,
    snapshotPath: snapshotPath === IN_MEMORY ? IN_MEMORY : `${snapshotPath}/group-${group}`,
  };
}

function memberOf(member: Member, group: number): Member {
  const { address } = member;
  if (address.kind !== "udp") return member;
  const moved = parseUdp(address.host, address.port + group * PORTS_APART);
  if (moved === undefined) throw new RangeError(`port ${address.port} in group ${group}`);
  return { ...member, address: moved };
}

/** Over UDP every group needs ports of its own. */
export function checkGroupPorts(members: readonly Member[], groups: number, report: Report): void {
  const taken = new Map<string, string>();
  const complained = new Set<number>();
  for (let group = 0; group < groups; group++) {
    for (const { address, line, column } of members) {
      if (address.kind !== "udp" || complained.has(line)) continue;
      const port = address.port + group * PORTS_APART;
      const place = report.at(line, column);
      const moved = parseUdp(address.host, port);
      if (moved === undefined) {
        complained.add(line);
        report.error(
          place,
          `port ${address.port} is too high for ${groups} groups: group ${group} would be at ${port}`,
          `group g is at the port of the line plus ${PORTS_APART} × g: take one up to ${LAST_PORT - (groups - 1) * PORTS_APART}`,
        );
        continue;
      }
      const text = formatAddress("udp", moved.words);
      const holder = taken.get(text);
      // A replica line stands in several lists.
      const name = `line ${line}`;
      if (holder === undefined) taken.set(text, name);
      else if (holder !== name) {
        complained.add(line);
        report.error(
          place,
          `${text} would be the address of this line in group ${group}, and of ${holder} in another`,
          `group g is at the port of the line plus ${PORTS_APART} × g: let ports of one host differ by less than ${PORTS_APART}`,
        );
      }
    }
  }
}
