/**
 * Clusters of real processes for end-to-end tests. A test gets a running cluster; afterwards every role must end
 * with exit code 0 on SIGTERM within 3 s, and nothing stays. On failure every log is shown.
 *
 * The program is `src/main.ts`, or the executable that KPAXOS_BIN names.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ClientFigures, lastFigures } from "../../src/ops/lab_figures.ts";
import { how, type LabProcess, type ProcessOptions } from "../../src/ops/lab_process.ts";
import type { MemberRole, Seat } from "../../src/ops/seats.ts";
import { Lab } from "./lab.ts";
import { LabCluster } from "./lab_cluster.ts";
import { ethernetNetwork, labUdpNetwork, loopbackNetwork, type Network } from "./lab_network.ts";
import { createRelayLab, type Faults, type Relay } from "./relay.ts";
import { until } from "./until.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const STOP_MS = 3000;

export const COMMAND: readonly string[] =
  process.env.KPAXOS_BIN === undefined ? [process.execPath, MAIN] : [process.env.KPAXOS_BIN];

export interface TestClusterOptions {
  readonly seats: readonly Seat[];
  /** Default: raw Ethernet in namespaces. */
  readonly link?: "ethernet" | "udp" | "udp6" | "loopback";
  /** Hosts besides those of the seats, for clients; they come last. Default 1. */
  readonly spareHosts?: number;
  readonly mtu?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** Puts a faulty hub between the hosts. Not with `loopback`. */
  readonly faults?: Faults;
  readonly seed?: number;
  /** false: the test starts the seats itself. */
  readonly start?: boolean;
  /** Instead of kpaxos. */
  readonly command?: readonly string[];
}

export interface Delivery {
  readonly iid: number;
  readonly index: number;
  /** Both 0 in the Kernel_Paxos wire. */
  readonly session: number;
  readonly sequence: number;
  /** In hex. */
  readonly value: string;
}

export class TestCluster extends LabCluster {
  /** The faulty hub, when one was asked for. */
  relay: Relay | undefined;
  /** Where its hosts are, unless it is on loopback. */
  lab: Lab | undefined;
  /** First host that no seat is on. */
  readonly spareHost: number;

  constructor(network: Network, options: TestClusterOptions) {
    super({
      network,
      seats: options.seats,
      settings: options.settings ?? {},
      command: options.command ?? COMMAND,
    });
    this.spareHost = hostCount(options.seats);
  }

  /** One that prints JSON does so five times a second: who waits for values to come waits no longer than that. */
  override client(host: number, args: readonly string[], options: ProcessOptions = {}): LabProcess {
    return super.client(host, args.includes("--json") ? ["--interval", "0.2", ...args] : args, options);
  }

  /** Runs a client to its end and returns its figures; its exit code must be 0. */
  async runClient(
    args: readonly string[],
    options: { host?: number; timeoutMs?: number } = {},
  ): Promise<ClientFigures> {
    const client = this.client(options.host ?? this.spareHost, [...args, "--json"]);
    const ending = await client.ending(options.timeoutMs ?? 60_000);
    if (ending.exitCode !== 0) throw new Error(`the client ended${how(ending)}:\n${client.tail()}`);
    return lastFigures(client.stdout);
  }

  /** The bridge carries no multicasts to these hosts any more. */
  dropMulticasts(hosts: readonly number[]): void {
    for (const host of hosts) {
      const port = this.lab!.ports[host]!;
      const words = ["ip", "link", "set", port, "type", "bridge_slave", "mcast_flood", "off"];
      const { exitCode, stderr } = this.lab!.execInHub(words);
      if (exitCode !== 0) throw new Error(stderr);
    }
  }

  /** Starts a learner (of the configuration) whose deliveries are collected. */
  startLearner(id: number, args: readonly string[] = [], role: MemberRole = "learner"): Deliveries {
    return new Deliveries((feed) =>
      this.start(role, id, { args: ["--print", "--json", ...args], onStdout: feed }),
    );
  }

  /** Every role that runs ends with exit code 0 in time. */
  async stopCleanly(): Promise<void> {
    const endings = await this.stopAll(STOP_MS);
    const bad = endings.filter(({ ending }) => ending.exitCode !== 0 || ending.killed);
    if (bad.length === 0) return;
    throw new Error(
      `not ended cleanly: ${bad.map(({ process, ending }) => process.name + how(ending)).join("; ")}`,
    );
  }

  logs(): string {
    return this.processes.map((one) => `--- ${one.name}: ${one.argv.join(" ")}\n${one.tail(60)}`).join("\n");
  }
}

/** What one learner delivered, in order. */
export class Deliveries {
  readonly process: LabProcess;
  readonly list: Delivery[] = [];
  #text = "";
  readonly #decoder = new TextDecoder();

  constructor(start: (feed: (chunk: Uint8Array) => void) => LabProcess) {
    this.process = start((chunk) => this.#feed(chunk));
  }

  #feed(chunk: Uint8Array): void {
    const lines = (this.#text + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) if (line !== "") this.list.push(JSON.parse(line) as Delivery);
  }

  get values(): string[] {
    return this.list.map((delivery) => delivery.value);
  }

  async reach(count: number, timeoutMs = 20_000): Promise<void> {
    try {
      await until(
        `${this.process.name} delivers ${count} values`,
        () => this.list.length >= count,
        timeoutMs,
      );
    } catch (error) {
      throw new Error(`it delivered ${this.list.length}`, { cause: error });
    }
  }
}

/** All delivered the same values in the same order; waits until the slowest has as many as the fastest. */
export async function expectSameOrder(learners: readonly Deliveries[], timeoutMs = 20_000): Promise<void> {
  const shape = (): string =>
    learners.map(({ process, list }) => `${process.name}: ${list.length}`).join(", ");
  const goal = Math.max(...learners.map(({ list }) => list.length));
  await until(
    "the learners have caught up with each other",
    () => learners.every(({ list }) => list.length >= goal),
    timeoutMs,
  ).catch((cause: unknown) => {
    throw new Error(`learners differ: ${shape()}`, { cause });
  });
  const first = learners[0]!;
  for (const other of learners.slice(1)) {
    const common = Math.min(first.list.length, other.list.length);
    for (let at = 0; at < common; at++) {
      const [mine, theirs] = [first.list[at]!, other.list[at]!];
      if (mine.iid === theirs.iid && mine.index === theirs.index && mine.value === theirs.value) continue;
      throw new Error(
        `delivery ${at} differs: ${first.process.name} ${JSON.stringify(mine)}, ` +
          `${other.process.name} ${JSON.stringify(theirs)}`,
      );
    }
  }
}

export function hostCount(seats: readonly Seat[]): number {
  return Math.max(-1, ...seats.map((seat) => seat.host)) + 1;
}

async function makeNetwork(
  options: TestClusterOptions,
): Promise<{ network: Network; lab?: Lab; relay: Relay | undefined }> {
  const link = options.link ?? "ethernet";
  if (link === "loopback") {
    if (options.faults !== undefined) throw new Error("faults need a laboratory: no relay on loopback");
    return { network: await loopbackNetwork(options.seats.length), relay: undefined };
  }
  const labOptions = {
    hosts: hostCount(options.seats) + (options.spareHosts ?? 1),
    ip: link !== "ethernet",
    ...(options.mtu === undefined ? {} : { mtu: options.mtu }),
  };
  let lab: Lab;
  let relay: Relay | undefined;
  if (options.faults === undefined) {
    lab = Lab.create(labOptions);
  } else {
    const made = await createRelayLab({ ...labOptions, seed: options.seed ?? 1, faults: options.faults });
    ({ lab, relay } = made);
  }
  const network =
    link === "ethernet" ? ethernetNetwork(lab) : labUdpNetwork(lab, link === "udp" ? "ip" : "ip6");
  return { network, lab, relay };
}

/** Runs `body` with a cluster whose seats are ready (unless `start` is false). */
export async function withCluster(
  options: TestClusterOptions,
  body: (cluster: TestCluster) => Promise<void>,
): Promise<void> {
  const { network, lab, relay } = await makeNetwork(options);
  let cluster: TestCluster;
  try {
    cluster = new TestCluster(network, options);
  } catch (error) {
    network.close();
    throw error;
  }
  cluster.relay = relay;
  cluster.lab = lab;
  try {
    if (options.start !== false) await cluster.startAll();
    await body(cluster);
    await cluster.stopCleanly();
  } catch (error) {
    console.error(`${readFileSync(cluster.configPath, "utf8")}\n${cluster.logs()}`);
    if (relay !== undefined) console.error(`relay: ${JSON.stringify(await relay.stats().catch(String))}`);
    throw error;
  } finally {
    cluster.close();
  }
}

export const seat = (role: MemberRole, id: number, host: number, args: readonly string[] = []): Seat => ({
  role,
  id,
  host,
  args,
});

/** Three acceptors, a proposer, two learners, each on a host of its own: hosts 0…5; clients on host 6. */
export const STANDARD: readonly Seat[] = [
  seat("acceptor", 0, 0),
  seat("acceptor", 1, 1),
  seat("acceptor", 2, 2),
  seat("proposer", 0, 3),
  seat("learner", 0, 4),
  seat("learner", 1, 5),
];

/** Three replicas on hosts 0…2, clients on host 3. */
export const REPLICAS: readonly Seat[] = [
  seat("replica", 0, 0),
  seat("replica", 1, 1),
  seat("replica", 2, 2),
];

/** Three hosts with acceptor, proposer and learner each, all on the host's one MAC; clients on host 3. */
export const SHARED_MAC: readonly Seat[] = [0, 1, 2].flatMap((host) => [
  seat("acceptor", host, host),
  seat("proposer", host, host),
  seat("learner", host, host),
]);
