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
import type { Backend } from "../support/storage_model.ts";
import { KvPlay } from "./kv_play.ts";
import { LogPlay } from "./log_play.ts";
import { Mishaps, type Mode } from "./mishaps.ts";
import { CLIENTS, type ConfigName, type Play } from "./play.ts";

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly config: ConfigName;
  readonly mode: Mode;
  readonly udp: boolean;
  /** Of acceptors that keep something. */
  readonly storage: Backend;
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
  readonly undecided: number;
  readonly kills: number;
  readonly stops: number;
  readonly cuts: number;
  /** Of what failed. */
  readonly directory: string | undefined;
}

const REPORT_MS = 10_000;
const READY_MS = 15_000;
const STOP_MS = 5000;
/** How far apart the last trims are, so that there are many within a run. */
const TRIM_EVERY = 500;

/** The last learner is the one that starts when all is over. */
function seatsOf(config: ConfigName): Seat[] {
  let host = 0;
  const several = (role: MemberRole, count: number, firstId = 0): Seat[] =>
    Array.from({ length: count }, (_, at) => ({ role, id: firstId + at, host: host++ }));
  if (config !== "roles") return [...several("replica", 3), ...several("learner", 1, 3)];
  return [...several("acceptor", 3), ...several("proposer", 2), ...several("learner", 3)];
}

async function makeNetwork(udp: boolean, members: number): Promise<Network> {
  const ability = canMakeNamespaces();
  if (udp || !ability.ok || ability.reenter) return await loopbackNetwork(members);
  return ethernetNetwork(Lab.create({ hosts: members + CLIENTS }));
}

function storageOf(mode: Mode, backend: Backend, directory: string): Record<string, string> {
  return mode === "amnesia"
    ? { "storage-backend": "memory" }
    : { "storage-backend": backend, "storage-path": join(directory, "storage") };
}

class Run {
  readonly #options: ChaosOptions;
  readonly #cluster: LabCluster;
  readonly #play: Play;
  readonly #mishaps: Mishaps;
  readonly #events: string[] = [];
  readonly #beganMs = performance.now();

  constructor(options: ChaosOptions, network: Network, seats: readonly Seat[]) {
    const { config, mode, seed, valuesPerSecond } = options;
    this.#options = options;
    const settings = (directory: string): Record<string, string> => ({
      "trim-every": `${TRIM_EVERY}`,
      "snapshot-path": join(directory, "snapshots"),
      ...storageOf(mode, options.storage, directory),
      ...options.settings,
    });
    const cluster = new LabCluster({ network, seats, settings, command: COMMAND });
    this.#cluster = cluster;
    const load = { valuesPerSecond, seed };
    const play = config === "kv" ? new KvPlay(cluster, seats, load) : new LogPlay(cluster, seats, load);
    this.#play = play;
    this.#mishaps = new Mishaps(
      play.players,
      mode,
      seededRandom(seed),
      (text) => this.#note(text),
      (text) => play.problem(text),
    );
  }

  #note(text: string): void {
    this.#events.push(`${((performance.now() - this.#beganMs) / 1000).toFixed(3)} ${text}`);
  }

  async run(): Promise<ChaosReport> {
    const play = this.#play;
    let reporter: ReturnType<typeof setInterval> | undefined;
    try {
      for (const player of play.players) player.start();
      await Promise.all(play.players.map((player) => player.process!.ready(READY_MS)));
      await play.begin();
      this.#note("begins");
      reporter = setInterval(() => this.#report(), REPORT_MS);
      await this.#mishaps.play(this.#options.seconds * 1000);
      this.#note("mended");
      this.#report();
      await play.settle((text) => this.#note(text));
    } catch (error) {
      play.problem(`harness: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      clearInterval(reporter);
      await this.#endAll();
    }
    return this.#conclude();
  }

  #report(): void {
    const { kills, stops, cuts } = this.#mishaps;
    const seconds = Math.round((performance.now() - this.#beganMs) / 1000);
    const { acknowledged, values } = this.#play;
    this.#options.say(
      `${seconds} s: ${acknowledged} acknowledged, ${values} in all; ` +
        `${kills} killed, ${stops} stopped${cuts > 0 ? `, ${cuts} power cuts` : ""}`,
    );
  }

  async #endAll(): Promise<void> {
    this.#play.dismiss();
    const endings = await this.#cluster.stopAll(STOP_MS);
    for (const { process, ending } of endings) {
      if (ending.exitCode === 0 && !ending.killed) continue;
      this.#play.problem(`end: ${process.name} did not end cleanly on SIGTERM\n${process.tail(4)}`);
    }
  }

  #conclude(): ChaosReport {
    const play = this.#play;
    const problems = play.judge();
    const { acknowledged, values, undecided } = play;
    const { kills, stops, cuts } = this.#mishaps;
    const directory = problems.length === 0 ? undefined : this.#keep(problems);
    return { problems, values, acknowledged, undecided, kills, stops, cuts, directory };
  }

  /** Moves everything to where nobody sweeps it. */
  #keep(problems: readonly string[]): string {
    const { directory } = this.#cluster;
    for (const player of this.#play.players) player.writeLogs(join(directory, "logs"));
    writeFileSync(join(directory, "problems"), `${problems.join("\n")}\n`);
    writeFileSync(join(directory, "events"), `${this.#events.join("\n")}\n`);
    this.#play.write(directory);
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
  const seats = seatsOf(options.config);
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
export function chaosCommand(options: ChaosOptions): string {
  const { seconds, seed, config, mode, udp, storage, valuesPerSecond } = options;
  const what = [`--config ${config}`, `--mode ${mode}`];
  const words = [`--seconds ${seconds}`, `--seed ${seed}`, ...what, `--rate ${valuesPerSecond}`];
  return `npm run chaos -- ${words.join(" ")}${udp ? " --udp" : ""}${storage === "log" ? " --storage log" : ""}`;
}
