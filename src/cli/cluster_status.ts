/**
 * `kpaxos cluster status|list|logs`: what there is, and what it says.
 */
import { ExitCode } from "../error.ts";
import { askCluster } from "../ops/cluster_facts.ts";
import { lastTrouble, showLogs } from "../ops/cluster_logs.ts";
import { describePlace, hostsOf, linkOf } from "../ops/cluster_place.ts";
import { configPath, logPath } from "../ops/cluster_roles.ts";
import { aliveSeats, type ClusterState, listClusters, nameOf, type SeatState } from "../ops/cluster_state.ts";
import { stateOf as stateOfProcess } from "../ops/process_id.ts";
import { clusterArgs, clusterLine, seatOf, stateOf } from "./cluster_common.ts";
import { defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { groupLines } from "./status_text.ts";

export interface RoleStatus {
  readonly name: string;
  readonly role: string;
  readonly id: number;
  /** null: there are no groups, or it is of all. */
  readonly group: number | null;
  readonly alive: boolean;
  readonly state: "running" | "stopped" | "dead";
  readonly pid: number | null;
  readonly uptimeSeconds: number | null;
  readonly address: string;
  /** Its network namespace. */
  readonly host: string | null;
  /** Its last warning or error. */
  readonly trouble: string | null;
  readonly logFile: string;
}

function roleStatus(state: ClusterState, seat: SeatState): RoleStatus {
  const alive = seat.process === undefined ? "dead" : stateOfProcess(seat.process);
  return {
    name: nameOf(seat),
    role: seat.role,
    id: seat.id,
    group: seat.group ?? null,
    alive: alive !== "dead",
    state: alive,
    pid: alive === "dead" ? null : (seat.process?.pid ?? null),
    uptimeSeconds: alive === "dead" ? null : Math.round((Date.now() - seat.startedAtMs) / 100) / 10,
    address: seat.address,
    host: state.kind === "loopback" ? null : (hostsOf(state)[seat.host]?.name ?? null),
    trouble: lastTrouble(state, seat) ?? null,
    logFile: logPath(state, seat),
  };
}

/** What `status --json` prints: what is written down, what the processes are, what they say on the wire. */
export async function statusOf(state: ClusterState) {
  const asked = await askCluster(state);
  const roles = state.seats.map((seat) => roleStatus(state, seat));
  return {
    name: state.name,
    up: state.phase === "up" && roles.every((role) => role.alive),
    directory: state.directory,
    config: configPath(state),
    link: linkOf(state),
    place: state.kind,
    reason: state.reason,
    wire: state.wire,
    roles,
    asked,
  };
}

function uptime(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const statusCommand = defineKpaxosCommand({
  meta: {
    name: "status",
    description:
      "its roles: which run, where, since when, their last trouble; who leads, what acceptors hold",
    examples: [{ command: "kpaxos cluster status --json", what: "for programs" }],
    notes: [
      "What it asks on the wire is what kpaxos status asks. Exit code 1: a role is dead, no value can be chosen now, or there is no such cluster.",
    ],
  },
  args: { ...clusterArgs, json: { type: "boolean", description: "one JSON object" } },
  run: async ({ args }) => {
    const state = stateOf(args);
    const status = await statusOf(state);
    if (args.json === true) printJson(status);
    else {
      print(
        `cluster ${state.name}: ${describePlace(state, state.hosts)} (${state.reason}), wire ${state.wire}`,
      );
      if (state.phase !== "up") print("  its start was not finished: end it with kpaxos cluster down");
      for (const role of status.roles) {
        const life = role.alive
          ? `${role.state.padEnd(8)} pid ${String(role.pid).padEnd(8)} ${uptime(role.uptimeSeconds ?? 0).padEnd(9)}`
          : `${"dead".padEnd(8)} ${clusterLine(state, "start", [role.name])} `;
        print(`  ${role.name.padEnd(14)} ${life} ${role.address}`.trimEnd());
        if (role.trouble !== null) print(`    ${role.trouble}`);
      }
      print(`configuration: ${status.config}`);
      const { groups, trouble } = status.asked;
      for (const line of trouble === null ? groupLines(groups) : [trouble]) print(line);
    }
    return status.up && status.asked.ok !== false ? ExitCode.ok : ExitCode.failure;
  },
});

export const listCommand = defineKpaxosCommand({
  meta: {
    name: "list",
    description: "the clusters of this user",
    examples: [{ command: "kpaxos cluster list", what: "name, roles that run, network, directory" }],
    notes: ["Clusters that were given a --dir of their own are not listed."],
  },
  args: { json: { type: "boolean", description: "one JSON object a cluster" } },
  run: ({ args }) => {
    const clusters = listClusters();
    for (const state of clusters) {
      const alive = aliveSeats(state).length;
      const link = linkOf(state);
      const total = state.seats.length;
      const { name, directory, wire } = state;
      if (args.json === true) printJson({ name, alive, roles: total, link, wire, directory });
      else
        print(`${name.padEnd(16)} ${`${alive} of ${total} roles`.padEnd(16)} ${link.padEnd(9)} ${directory}`);
    }
    if (clusters.length === 0 && args.json !== true) print("no clusters; kpaxos cluster up makes one");
  },
});

export const logsCommand = defineKpaxosCommand({
  meta: {
    name: "logs",
    description: "what its roles log",
    examples: [
      { command: "kpaxos cluster logs", what: "all roles, by time" },
      { command: "kpaxos cluster logs acceptor/1 --follow", what: "one role, and what comes next" },
    ],
  },
  args: {
    ...clusterArgs,
    role: {
      type: "positional",
      valueHint: "ROLE/ID",
      completes: "roles",
      required: false,
      description: "only this role",
    },
    follow: { type: "boolean", alias: "f", description: "go on until the cluster is down" },
    lines: { type: "integer", min: 0, default: 100, description: "how many lines of what was logged before" },
  },
  run: async ({ args }) => {
    const state = stateOf(args);
    const seats = args.role === undefined ? state.seats : [seatOf(state, args.role)];
    await showLogs(state, { seats, lines: args.lines, follow: args.follow === true, print });
  },
});
