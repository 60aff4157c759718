/**
 * A run under chaos: a cluster of real processes under load, mishaps drawn from a seed, then everything mended, all
 * delivered, a fresh learner, and the judgement. What failed keeps its directory: configuration, databases, logs,
 * deliveries, and what happened when.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canMakeNamespaces } from "../../src/ops/lab_capability.ts";
import type { MemberRole, Seat } from "../../src/ops/seats.ts";
import { COMMAND } from "../support/cluster.ts";
import { Lab } from "../support/lab.ts";
import { LabCluster } from "../support/lab_cluster.ts";
import { ethernetNetwork, loopbackNetwork, type Network } from "../support/lab_network.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { History, positionText } from "./history.ts";
import { Mishaps, type Mode } from "./mishaps.ts";
import { Client, Learner, Member, type Player } from "./players.ts";

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly mode: Mode;
  readonly udp: boolean;
  /** Of each of the three clients. */
  readonly valuesPerSecond: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** Gets a line now and then. */
  readonly say: (line: string) => void;
}

export interface ChaosReport {
  readonly problems: readonly string[];
  readonly values: number;
  readonly acknowledged: number;
  readonly kills: number;
  readonly stops: number;
  readonly cuts: number;
  /** Of what failed. */
  readonly directory: string | undefined;
}

const ACCEPTORS = 3;
const PROPOSERS = 2;
const LEARNERS = 2;
const CLIENTS = 3;
/** Learner that starts when all is over. */
const FRESH = LEARNERS;
const REPORT_MS = 10_000;
const SETTLE_MS = 25_000;
const STOP_MS = 5000;
/** How far apart the last trims are, so that there are many within a run. */
const TRIM_EVERY = 500;

function seatsOf(): Seat[] {
  let host = 0;
  const several = (role: MemberRole, count: number): Seat[] =>
    Array.from({ length: count }, (_, id) => ({ role, id, host: host++ }));
  return [
    ...several("acceptor", ACCEPTORS),
    ...several("proposer", PROPOSERS),
    ...several("learner", LEARNERS + 1),
  ];
}

async function makeNetwork(udp: boolean, members: number): Promise<Network> {
  const ability = canMakeNamespaces();
  if (udp || !ability.ok || ability.reenter) return await loopbackNetwork(members);
  return ethernetNetwork(Lab.create({ hosts: members + CLIENTS }));
}

function storageOf(mode: Mode, directory: string): Record<string, string> {
  return mode === "amnesia"
    ? { "storage-backend": "memory" }
    : { "storage-backend": "sqlite", "storage-path": join(directory, "storage") };
}

class Run {
  readonly #options: ChaosOptions;
  readonly #cluster: LabCluster;
  readonly #history = new History();
  readonly #members: Member[];
  readonly #learners: Learner[];
  readonly #clients: Client[];
  readonly #mishaps: Mishaps;
  readonly #events: string[] = [];
  readonly #beganMs = performance.now();

  constructor(options: ChaosOptions, network: Network, seats: readonly Seat[]) {
    this.#options = options;
    const settings = (directory: string): Record<string, string> => ({
      "trim-every": `${TRIM_EVERY}`,
      "snapshot-path": join(directory, "snapshots"),
      ...storageOf(options.mode, directory),
      ...options.settings,
    });
    const cluster = new LabCluster({ network, seats, settings, command: COMMAND });
    this.#cluster = cluster;
    const history = this.#history;
    this.#members = seats
      .filter(({ role }) => role !== "learner")
      .map(({ role, id }) => new Member(cluster, history, role, id));
    this.#learners = Array.from({ length: LEARNERS }, (_, id) => new Learner(cluster, history, id));
    this.#clients = Array.from({ length: CLIENTS }, (_, id) => {
      const { valuesPerSecond } = options;
      const host = seats.length + id;
      return new Client(cluster, history, {
        command: COMMAND,
        id,
        host,
        proposerId: id % PROPOSERS,
        valuesPerSecond,
      });
    });
    this.#mishaps = new Mishaps(
      this.#players,
      options.mode,
      seededRandom(options.seed),
      (text) => this.#note(text),
      (text) => history.problem(text),
    );
  }

  get #players(): Player[] {
    return [...this.#members, ...this.#learners, ...this.#clients];
  }

  #note(text: string): void {
    this.#events.push(`${((performance.now() - this.#beganMs) / 1000).toFixed(3)} ${text}`);
  }

  async run(): Promise<ChaosReport> {
    const history = this.#history;
    let reporter: ReturnType<typeof setInterval> | undefined;
    try {
      for (const player of this.#players) player.start();
      await Promise.all(this.#players.map((player) => player.process!.ready(15_000)));
      await until("the first values are delivered", () => history.log.size > 0, 15_000);
      this.#note("begins");
      reporter = setInterval(() => this.#report(), REPORT_MS);
      await this.#mishaps.play(this.#options.seconds * 1000);
      this.#note("mended");
      this.#report();
      await this.#settle();
    } catch (error) {
      history.problem(`harness: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      clearInterval(reporter);
      await this.#endAll();
    }
    return this.#conclude();
  }

  #report(): void {
    const { kills, stops, cuts } = this.#mishaps;
    const seconds = Math.round((performance.now() - this.#beganMs) / 1000);
    const { acknowledged, log } = this.#history;
    this.#options.say(
      `${seconds} s: ${acknowledged} values acknowledged, ${log.size} delivered; ` +
        `${kills} killed, ${stops} stopped${cuts > 0 ? `, ${cuts} power cuts` : ""}`,
    );
  }

  /** All runs again: everything handed in is confirmed, everything confirmed delivered, and again to a newcomer. */
  async #settle(): Promise<void> {
    const history = this.#history;
    const finished = await Promise.all(this.#clients.map((client) => client.finish(SETTLE_MS)));
    if (finished.includes(false)) return;
    this.#note("clients have ended");
    if (!(await this.#reach(this.#learners, "the learners"))) return;
    const fresh = new Learner(this.#cluster, history, FRESH);
    this.#learners.push(fresh);
    fresh.start();
    await this.#reach([fresh], "the fresh learner");
    this.#note("all is delivered");
  }

  async #reach(learners: readonly Learner[], who: string): Promise<boolean> {
    const history = this.#history;
    const isThere = (): boolean =>
      history.missing().length === 0 && learners.every((one) => one.hasReached(history.highest));
    try {
      await until(`${who} deliver all`, isThere, SETTLE_MS);
      return true;
    } catch {
      const at = learners.map(({ name, deliveries }) => `${name} at ${positionText(deliveries!.last)}`);
      history.problem(
        `liveness: ${at.join(", ")}, the highest delivered is ${positionText(history.highest)}`,
      );
      return false;
    }
  }

  async #endAll(): Promise<void> {
    for (const player of this.#players) player.dismiss();
    const endings = await this.#cluster.stopAll(STOP_MS);
    for (const { process, ending } of endings) {
      if (ending.exitCode === 0 && !ending.killed) continue;
      this.#history.problem(`end: ${process.name} did not end cleanly on SIGTERM\n${process.tail(4)}`);
    }
  }

  #conclude(): ChaosReport {
    const history = this.#history;
    for (const player of this.#players) player.judge();
    for (const { deliveries } of this.#learners) if (deliveries) history.judgeComplete(deliveries);
    const problems = history.judge();
    const { kills, stops, cuts } = this.#mishaps;
    const { acknowledged, log } = history;
    const directory = problems.length === 0 ? undefined : this.#keep(problems);
    return { problems, values: log.size, acknowledged, kills, stops, cuts, directory };
  }

  /** Moves everything to where nobody sweeps it. */
  #keep(problems: readonly string[]): string {
    const { directory } = this.#cluster;
    for (const player of this.#players) player.writeLogs(join(directory, "logs"));
    writeFileSync(join(directory, "problems"), `${problems.join("\n")}\n`);
    writeFileSync(join(directory, "events"), `${this.#events.join("\n")}\n`);
    const { log, learners, submissions } = this.#history;
    const delivered = learners.map(({ learner, positions }) => {
      const lines = positions.map((position) => `${positionText(position)} ${log.get(position)}`);
      return `${learner}\n${lines.join("\n")}\n`;
    });
    writeFileSync(join(directory, "delivered"), delivered.join("\n"));
    const handed = [...submissions.values()].map(
      ({ client, given, acknowledged }) => `${client}: ${acknowledged} of ${given} acknowledged`,
    );
    writeFileSync(join(directory, "submitted"), `${handed.join("\n")}\n`);
    const kept = mkdtempSync(join(tmpdir(), `kpaxos-chaos-seed-${this.#options.seed}-`));
    rmSync(kept, { recursive: true });
    renameSync(directory, kept);
    return kept;
  }

  close(): void {
    this.#cluster.close();
  }
}

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const seats = seatsOf();
  const network = await makeNetwork(options.udp, seats.length);
  let run: Run;
  try {
    run = new Run(options, network, seats);
  } catch (error) {
    network.close();
    throw error;
  }
  try {
    return await run.run();
  } finally {
    run.close();
  }
}

/** The command that does the same again. */
export function chaosCommand({ seconds, seed, mode, udp, valuesPerSecond }: ChaosOptions): string {
  const words = [`--seconds ${seconds}`, `--seed ${seed}`, `--mode ${mode}`, `--rate ${valuesPerSecond}`];
  return `npm run chaos -- ${words.join(" ")}${udp ? " --udp" : ""}`;
}
