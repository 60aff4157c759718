/**
 * What a cluster consists of: the seats of a topology, their hosts and flags, and the `paxos.conf` that says so. Computes,
 * starts nothing.
 */
import { resolve } from "node:path";
import type { Config, Settings } from "../config/config.ts";
import { ALL_GROUPS, configsOfGroups } from "../config/groups.ts";
import { type Flags, parseConfig } from "../config/parse.ts";
import { configError } from "../config/read.ts";
import { SCHEMA } from "../config/schema.ts";
import { CliError, ExitCode } from "../error.ts";
import type { ClusterState, SeatState } from "./cluster_state.ts";
import { hostIp, hostMac } from "./lab_names.ts";
import { configText, type MemberRole, type Seat } from "./seats.ts";

/** Of every role that has a host to itself. */
const HOST_PORT = 8800;

export type Topology =
  | { readonly acceptors: number; readonly proposers: number; readonly learners: number }
  | { readonly replicas: number };

export interface PlannedConfig {
  readonly config: Config;
  readonly text: string;
  readonly seats: SeatState[];
  /** The learner or replica that alone may trim; undefined: what each wire does by itself. */
  readonly trimLearner: number | undefined;
}

function deliverers(topology: Topology): { readonly role: MemberRole; readonly count: number } {
  return "replicas" in topology
    ? { role: "replica", count: topology.replicas }
    : { role: "learner", count: topology.learners };
}

/** The seats, each on a host of its own. */
export function seatsOf(topology: Topology): Seat[] {
  const counts: readonly (readonly [MemberRole, number])[] =
    "replicas" in topology
      ? [["replica", topology.replicas]]
      : [
          ["acceptor", topology.acceptors],
          ["proposer", topology.proposers],
          ["learner", topology.learners],
        ];
  let host = 0;
  return counts.flatMap(([role, count]) =>
    Array.from({ length: count }, (_, id) => ({ role, id, host: host++ })),
  );
}

/** The one role among several learners that is told to trim, as the manuals' scripts do it. */
export function trimFlags(trimLearner: number | undefined, id: number): string[] {
  if (trimLearner === undefined) return [];
  return [id === trimLearner ? "--cantrim" : "--no-cantrim"];
}

function checkTrimLearner(topology: Topology, wanted: number | undefined): void {
  const { role, count } = deliverers(topology);
  if (wanted === undefined || wanted < count) return;
  throw new CliError(`--trim-learner ${wanted}: the cluster has no ${role} ${wanted}`, {
    exitCode: ExitCode.usage,
    hint: count === 0 ? "it has none" : `it has ${role} 0${count > 1 ? ` to ${count - 1}` : ""}`,
  });
}

/** A flag's value as a line of the file has it: a path there is not the shell's. */
function lineValue(key: string, value: string | number | boolean): string {
  if (key === SCHEMA.clusterKey.key) return resolve(String(value));
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}

export interface PlanOptions {
  readonly topology: Topology;
  /** Settings of `paxos.conf`, as flags. */
  readonly flags: Flags;
  /** Settings of ours, which flags override; what they are depends on the flags' own. */
  readonly own: (settings: Readonly<Settings>) => Readonly<Record<string, string>>;
  /** Of acceptors on disk, unless a flag names another. */
  readonly storagePath: string;
  readonly trimLearner: number | undefined;
  /** Where the file will be. */
  readonly path: string;
  /** The address of the next member; `host` counts from 0. */
  readonly takeAddress: (host: number) => string;
}

/** Seats and file; a setting that is wrong is an error that names its flag. */
export function planConfig(options: PlanOptions): PlannedConfig {
  const { topology, path } = options;
  checkTrimLearner(topology, options.trimLearner);
  const planned = seatsOf(topology);
  const addresses = planned.map((seat) => options.takeAddress(seat.host));
  const given = Object.fromEntries(
    Object.entries(options.flags).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, lineValue(key, value)]],
    ),
  );
  // One after the other, as `configText` asks for them.
  const members = () => {
    let at = 0;
    return { takeAddress: () => addresses[at++]! };
  };
  // Acceptors in memory have no use for it, which is no fault of the user's.
  const place = { [SCHEMA.storagePath.key]: options.storagePath };
  const checked = parseConfig(configText(members(), planned, place), path, { env: {}, flags: options.flags });
  if (checked.config === undefined) {
    const theirs = checked.diagnostics.filter(({ severity, line }) => severity === "error" || line === 0);
    throw configError(path, theirs);
  }
  const { wire, storageBackend } = checked.config.settings;
  const own = { ...options.own(checked.config.settings), ...(storageBackend === "memory" ? {} : place) };
  const text = configText(members(), planned, { ...own, ...given });
  const { config, diagnostics } = parseConfig(text, path, { env: {} });
  if (config === undefined) throw configError(path, diagnostics);
  const { role: delivers } = deliverers(topology);
  // In the Kernel_Paxos wire nobody trims unless told to, and a cluster in which nobody trims comes to a halt.
  const trimLearner = options.trimLearner ?? (wire === "native" ? undefined : 0);
  const seatIn = (group: number | undefined, { role, id, host }: Seat, address: string): SeatState => ({
    role,
    id,
    ...(group === undefined ? {} : { group }),
    host,
    address,
    args: role === delivers ? trimFlags(trimLearner, id) : [],
    process: undefined,
    startedAtMs: 0,
    logFrom: 0,
  });
  if (config.group !== ALL_GROUPS) {
    return {
      config,
      text,
      seats: planned.map((seat, i) => seatIn(undefined, seat, addresses[i]!)),
      trimLearner,
    };
  }
  // Who merges the groups is one process; every other role is one for each group.
  const isOne = ({ role }: Seat): boolean => role === "learner" && config.settings.merge;
  const seats = configsOfGroups(config).flatMap((view) =>
    planned.filter((seat) => !isOne(seat)).map((seat) => seatIn(view.group, seat, addressIn(view, seat))),
  );
  seats.push(...planned.filter(isOne).map((seat) => seatIn(undefined, seat, addressIn(config, seat))));
  return { config, text, seats, trimLearner };
}

/** The member's address in a group, as the file would have it. */
function addressIn(config: Config, { role, id }: Seat): string {
  const { address } = config[`${role}s`].find((member) => member.id === id)!;
  return address.kind === "udp" ? `${address.host} ${address.port}` : address.mac;
}

/** Learners' and replicas' ids are one sequence: they number the delivery devices of one directory. */
export function nextLearnerId(state: ClusterState): number {
  const ids = state.seats.filter(({ role }) => role === "learner" || role === "replica").map(({ id }) => id);
  return Math.max(-1, ...ids) + 1;
}

/** The address of host `index` on the bridge, as `paxos.conf` has it. */
export function hostAddress(index: number, udp: boolean = false): string {
  return udp ? `${hostIp(index)} ${HOST_PORT}` : hostMac(index);
}
