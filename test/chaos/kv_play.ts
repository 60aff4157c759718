/**
 * A key-value store, each of whose servers votes (`kpaxos kv serve --replica`), called over its sockets: everything that was
 * answered has to be linearizable, with what all servers hold in the end; so must be what a server holds that starts then.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { deviceName } from "../../src/delivery/device_layout.ts";
import { CliError } from "../../src/error.ts";
import { KvClient } from "../../src/kv/client.ts";
import { kvSocketPath } from "../../src/kv/place.ts";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import type { Seat } from "../../src/ops/seats.ts";
import { KvHistory } from "../../src/sim/kv_history.ts";
import { Violation } from "../../src/sim/violation.ts";
import type { LabCluster } from "../support/lab_cluster.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { History } from "./history.ts";
import { Caller, nowUs } from "./kv_caller.ts";
import { type LoadOptions, type Play, SETTLE_MS } from "./play.ts";
import { Player } from "./players.ts";

const CALLERS_PER_SERVER = 2;
const BEGIN_MS = 15_000;
/** Longer than leaders take to change; a server that stands still answers later than this or never. */
const TIMEOUT_S = 5;

class Server extends Player {
  readonly socket: string;
  readonly client: KvClient;
  readonly #cluster: LabCluster;
  readonly #seat: Seat;

  constructor(cluster: LabCluster, history: History, seat: Seat) {
    super(seat.role, seat.id, history);
    this.#cluster = cluster;
    this.#seat = seat;
    this.socket = kvSocketPath(join(cluster.directory, "devices"), deviceName("kpaxos", seat.id));
    this.client = new KvClient({ socket: this.socket }, SETTLE_MS);
  }

  protected override launch(_life: number): LabProcess {
    const { id, host, role } = this.#seat;
    const words = [
      "kv",
      "serve",
      "-f",
      this.#cluster.configPath,
      "--id",
      `${id}`,
      "--timeout",
      `${TIMEOUT_S}`,
    ];
    const voting = role === "replica" ? ["--replica"] : [];
    return this.#cluster.launch(`kv ${this.name}`, host, [...words, ...voting]);
  }

  /** False: not yet. */
  async writes(mark: string): Promise<boolean> {
    try {
      return (await this.client.put(mark, new TextEncoder().encode(mark))).done;
    } catch (error) {
      if (error instanceof CliError) return false;
      throw error;
    }
  }

  /** All it holds, after a read that the leader has confirmed. */
  async contents(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for await (const { key, value } of this.client.list("", "confirmed"))
      found.set(key, new TextDecoder().decode(value));
    return found;
  }
}

export class KvPlay implements Play {
  readonly #problems = new History();
  readonly #calls = new KvHistory();
  readonly #servers: Server[];
  readonly #fresh: Server;
  readonly #callers: Caller[];
  #undecided: readonly string[] = [];

  constructor(cluster: LabCluster, seats: readonly Seat[], { valuesPerSecond, seed }: LoadOptions) {
    const server = (seat: Seat): Server => new Server(cluster, this.#problems, seat);
    this.#servers = seats.filter(({ role }) => role === "replica").map(server);
    this.#fresh = server(seats.find(({ role }) => role === "learner")!);
    this.#callers = this.#servers.flatMap((one, at) =>
      Array.from({ length: CALLERS_PER_SERVER }, (_, second) => {
        const name = `c${CALLERS_PER_SERVER * at + second}`;
        const random = seededRandom(seed * 1_000 + CALLERS_PER_SERVER * at + second);
        const perSecond = valuesPerSecond / CALLERS_PER_SERVER;
        return new Caller({ name, socket: one.socket, history: this.#calls, random, perSecond });
      }),
    );
  }

  get players(): Player[] {
    return this.#servers;
  }
  get acknowledged(): number {
    return this.#calls.answered;
  }
  get values(): number {
    return this.#calls.answered + this.#calls.lost;
  }
  get undecided(): number {
    return this.#undecided.length;
  }

  async begin(): Promise<void> {
    for (const caller of this.#callers) caller.start();
    await until("the first calls are answered", () => this.acknowledged > 0, BEGIN_MS);
  }

  async settle(note: (text: string) => void): Promise<void> {
    await Promise.all(this.#callers.map((caller) => caller.finish()));
    note("callers have ended");
    const calls = this.#calls;
    const first = await this.#holds(this.#servers[0]!);
    this.#fresh.start();
    await this.#fresh.process!.ready(BEGIN_MS);
    for (const server of [...this.#servers, this.#fresh]) {
      const found = server === this.#servers[0] ? first : await this.#holds(server);
      const atUs = nowUs();
      for (const key of calls.keys()) calls.finds(server.name, key, found.get(key) ?? null, atUs);
    }
    note("all servers have answered");
  }

  /** What a server holds, after a write through it. */
  async #holds(server: Server): Promise<Map<string, string>> {
    const mark = `end.${server.name}`;
    await until(`${server.name} answers`, () => server.writes(mark), SETTLE_MS);
    return await server.contents();
  }

  dismiss(): void {
    for (const caller of this.#callers) caller.stop();
    for (const server of [...this.#servers, this.#fresh]) server.dismiss();
  }

  judge(): readonly string[] {
    for (const server of this.#servers) server.judge();
    for (const caller of this.#callers) for (const text of caller.problems) this.#problems.problem(text);
    try {
      this.#undecided = this.#calls.check();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#problems.problem(error.message);
    }
    return this.#problems.judge();
  }

  problem(text: string): void {
    this.#problems.problem(text);
  }

  write(directory: string): void {
    writeFileSync(join(directory, "calls"), `${this.#calls.lines().join("\n")}\n`);
  }
}
