/**
 * The three systems that are measured beside each other, each with three servers on hosts of their own and its clients on a
 * fourth: etcd, `kpaxos kv`, and the log of kpaxos without a store.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { databaseDirectory } from "../../src/bench/database_directory.ts";
import { orStopped } from "../../src/bench/stopping.ts";
import type { Watched } from "../../src/bench/usage.ts";
import { CliError } from "../../src/error.ts";
import { LabProcess } from "../../src/ops/lab_process.ts";
import type { Lab } from "../../test/support/lab.ts";
import { LabCluster } from "../../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../../test/support/lab_network.ts";
import { REPLICAS } from "../support/seats.ts";
import type { Operation } from "./connection.ts";

export const HOSTS = REPLICAS.length + 1;
const CLIENT_HOST = REPLICAS.length;
const KV_PORT = 8080;
const ETCD_PORT = 2379;
const ETCD_PEER_PORT = 2380;
const PATIENCE_MS = 20_000;
const LOAD = join(import.meta.dir, "load.ts");
const IN_MEMORY = "/dev/shm";

export const SYSTEMS = ["etcd", "kpaxos kv", "kpaxos log"] as const;
export type System = (typeof SYSTEMS)[number];

export interface Place {
  readonly lab: Lab;
  /** How kpaxos is started. */
  readonly kpaxos: readonly string[];
  readonly etcd: string;
  /** On the disk. */
  readonly directory: string;
}

export interface Work {
  readonly operation: Operation;
  readonly outstanding: number;
  readonly warmUp: number;
  readonly seconds: number;
}

/** What every load is alike in. */
export interface Sort {
  readonly size: number;
  readonly keys: number;
  readonly connections: number;
}

export interface Stand {
  readonly members: readonly Watched[];
  readonly operations: readonly Operation[];
  /** A client that loads it. */
  client(work: Work): LabProcess;
  /** A client that puts every key once; undefined: there are none. */
  filler(): LabProcess | undefined;
  /** The last words of all. */
  trouble(): string;
  /** Ends all of it; what it had is free afterwards. */
  close(): Promise<void>;
}

/** What was started, and may not be ready. */
interface Begun extends Pick<Stand, "operations" | "client" | "filler"> {
  readonly members: readonly LabProcess[];
  readonly ready: RegExp;
  end(): void;
}

/** Starts a system; `storage` is a backend of kpaxos, and etcd's data are then on the disk, or in memory. */
export async function start(
  system: System,
  storage: string,
  place: Place,
  sort: Sort,
  stop: AbortSignal,
): Promise<Stand> {
  const home = databaseDirectory(storage === "memory" ? IN_MEMORY : place.directory);
  let begun: Begun | undefined;
  const close = async (): Promise<void> => {
    begun?.end();
    await Promise.all(begun?.members.map((one) => one.exited) ?? []);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    begun = system === "etcd" ? etcd(home, place, sort) : kpaxos(system, storage, home, place, sort);
    const { members, ready } = begun;
    await orStopped(Promise.all(members.map((one) => one.waitForLine(ready, PATIENCE_MS))), stop);
    return {
      ...begun,
      members: members.map(({ name, pid }) => ({ name, pid })),
      trouble: () => members.map((one) => `${one.name}:\n${one.tail(4)}`).join("\n"),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function addressOf(lab: Lab, host: number): string {
  const ip = lab.hosts[host]?.ip;
  if (ip === undefined) throw new CliError(`the laboratory has no IP address for host ${host}`);
  return ip;
}

function wordsOf(flags: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]);
}

/** Clients of servers that take requests over TCP. */
function loads(
  protocol: "grpc" | "http",
  port: number,
  { lab }: Place,
  sort: Sort,
): Pick<Stand, "client" | "filler"> {
  const at = REPLICAS.map(({ host }) => `${addressOf(lab, host)}:${port}`).join(",");
  const run = (words: readonly string[]): LabProcess => {
    const { size, keys, connections } = sort;
    const argv = [process.execPath, LOAD, ...wordsOf({ protocol, at, size, keys, connections }), ...words];
    return new LabProcess("client", argv, lab.spawn(CLIENT_HOST, argv));
  };
  return {
    client: ({ operation, outstanding, warmUp, seconds }) =>
      run(wordsOf({ operation, outstanding, seconds, "warm-up": warmUp })),
    filler: () => run(["--fill"]),
  };
}

function etcd(home: string, place: Place, sort: Sort): Begun {
  const { lab } = place;
  const urlOf = (host: number, port: number): string => `http://${addressOf(lab, host)}:${port}`;
  const all = REPLICAS.map(({ id, host }) => `member${id}=${urlOf(host, ETCD_PEER_PORT)}`).join(",");
  const members = REPLICAS.map(({ id, host }) => {
    const name = `member${id}`;
    const words = wordsOf({
      name,
      "data-dir": join(home, name),
      "listen-client-urls": urlOf(host, ETCD_PORT),
      "advertise-client-urls": urlOf(host, ETCD_PORT),
      "listen-peer-urls": urlOf(host, ETCD_PEER_PORT),
      "initial-advertise-peer-urls": urlOf(host, ETCD_PEER_PORT),
      "initial-cluster": all,
    });
    const argv = [place.etcd, ...words];
    return new LabProcess(`etcd ${name}`, argv, lab.spawn(host, argv, { cwd: home }));
  });
  const end = (): void => {
    for (const one of members) one.kill("SIGKILL");
  };
  const ready = /ready to serve client requests/;
  return { members, ready, end, operations: ["get", "put"], ...loads("grpc", ETCD_PORT, place, sort) };
}

function kpaxos(
  system: "kpaxos kv" | "kpaxos log",
  storage: string,
  home: string,
  place: Place,
  sort: Sort,
): Begun {
  const { lab } = place;
  const cluster = new LabCluster({
    network: { ...ethernetNetwork(lab), close: () => undefined },
    seats: REPLICAS,
    settings: storage === "memory" ? {} : { "storage-backend": storage, "storage-path": home },
    command: place.kpaxos,
  });
  const common = { ready: /\bready\b/, end: () => cluster.close() };
  if (system === "kpaxos log") {
    const members = REPLICAS.map(({ role, id }) => cluster.start(role, id));
    const client = ({ outstanding, warmUp, seconds }: Work): LabProcess => {
      const words = wordsOf({ outstanding, seconds, "warm-up": warmUp, "value-size": sort.size });
      return cluster.client(CLIENT_HOST, [...words, "--json", "--histogram"]);
    };
    return { ...common, members, operations: ["put"], client, filler: () => undefined };
  }
  const members = REPLICAS.map(({ id, host }) => {
    const listen = `${addressOf(lab, host)}:${KV_PORT}`;
    const words = ["kv", "serve", "-f", cluster.configPath, "--id", `${id}`, "--replica", "--listen", listen];
    return cluster.launch(`kv ${id}`, host, words);
  });
  return { ...common, members, operations: ["get", "put"], ...loads("http", KV_PORT, place, sort) };
}
