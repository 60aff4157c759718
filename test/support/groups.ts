/**
 * Clusters of several groups: every seat of the topology is a process in each group.
 */
import type { LabProcess } from "../../src/ops/lab_process.ts";
import type { MemberRole, Seat } from "../../src/ops/seats.ts";
import { Deliveries, type TestCluster } from "./cluster.ts";
import { place } from "./failover.ts";
import { until } from "./until.ts";

export class GroupedCluster {
  readonly cluster: TestCluster;
  readonly groups: number;
  readonly #members = new Map<string, LabProcess>();

  /** Of a cluster that was made with `start: false` and the setting `groups`. */
  constructor(cluster: TestCluster, groups: number) {
    this.cluster = cluster;
    this.groups = groups;
  }

  /** Starts the processes of all seats in all groups, but the learners, and waits until they are ready. `args`: more flags. */
  async startAll(
    seats: readonly Seat[],
    args: (group: number) => readonly string[] = () => [],
  ): Promise<void> {
    const started: LabProcess[] = [];
    for (let group = 0; group < this.groups; group++) {
      for (const { role, id } of seats) {
        if (role !== "learner") started.push(this.start(group, role, id, args(group)));
      }
    }
    await Promise.all(started.map((one) => one.ready(20_000)));
  }

  start(
    group: number,
    role: MemberRole,
    id: number,
    args: readonly string[] = [],
    onStdout?: (chunk: Uint8Array) => void,
  ): LabProcess {
    const { cluster } = this;
    const { host } = cluster.seats.find((one) => one.role === role && one.id === id)!;
    const name = `${role} ${id} of group ${group}`;
    const words = ["run", role, "-f", cluster.configPath, "--id", `${id}`, "--group", `${group}`, ...args];
    const started = cluster.launch(name, host, words, onStdout === undefined ? {} : { onStdout });
    this.#members.set(name, started);
    return started;
  }

  learner(group: number, id: number, args: readonly string[] = []): Deliveries {
    return new Deliveries((feed) =>
      this.start(group, "learner", id, ["--print", "--json", "--catch-up", ...args], feed),
    );
  }

  /** A learner of all groups. */
  merged(id: number, host: number): Deliveries {
    const { cluster } = this;
    const words = [
      "run",
      "learner",
      "-f",
      cluster.configPath,
      "--id",
      `${id}`,
      "--catch-up",
      "--print",
      "--json",
    ];
    return new Deliveries((feed) =>
      cluster.launch(`learner ${id} of all groups`, host, words, { onStdout: feed }),
    );
  }

  member(group: number, role: MemberRole, id: number): LabProcess {
    return this.#members.get(`${role} ${id} of group ${group}`)!;
  }

  /** Waits until one of the proposers leads in the group; its id. */
  async leader(group: number, ids: readonly number[]): Promise<number> {
    const leading = (): number | undefined =>
      ids.find((id) => place(this.member(group, "proposer", id)) === "leading");
    return Number(await until(`somebody leads group ${group}`, () => leading()?.toString(), 15_000));
  }
}
