/**
 * `npm run soak -- [--minutes 60] [--config replicas|acceptors] [--clients 3] [--outstanding 4] [--storage memory|sqlite|log]
 * [--growth 16] [--udp] [--write]`: the two configurations in which Kernel_Paxos's manual reports a crash after two hours,
 * under a moderate load in a closed loop. Every ten seconds it notes memory, descriptors and CPU of each process; at the
 * end it says whether anything grew. `--write` puts the page and its curve into docs/soak.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { canMakeNamespaces } from "../../src/ops/lab_capability.ts";
import { how, type LabProcess } from "../../src/ops/lab_process.ts";
import type { Seat } from "../../src/ops/seats.ts";
import { COMMAND, hostCount, seat } from "../support/cluster.ts";
import { Lab } from "../support/lab.ts";
import { LabCluster } from "../support/lab_cluster.ts";
import { ethernetNetwork, loopbackNetwork, type Network } from "../support/lab_network.ts";
import { until } from "../support/until.ts";
import { runScript, UsageError } from "./script.ts";
import { type Sample, type Trend, trendOf } from "./soak_figures.ts";
import { markdown, memoryCurve } from "./soak_page.ts";

const SAMPLE_MS = 10_000;
const SAY_SECONDS = 60;
const NOISE_MIB = 8;
/** Of a run whose memory is judged; its second half is measured. */
const LEAST_SECONDS = 1200;
const STOP_MS = 5000;
const CLOCK_TICKS = 100;
const DOCS = join(import.meta.dir, "../../docs/soak");

const CONFIGS: Readonly<Record<string, { readonly title: string; readonly seats: readonly Seat[] }>> = {
  replicas: {
    title: "Soak: three replicas, three clients",
    seats: [0, 1, 2].map((id) => seat("replica", id, id)),
  },
  acceptors: {
    title: "Soak: three acceptors, a proposer, a learner, three clients",
    seats: [
      ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
      seat("proposer", 0, 3),
      seat("learner", 0, 4),
    ],
  },
};

interface Options {
  readonly minutes: number;
  readonly config: string;
  readonly clients: number;
  readonly outstanding: number;
  readonly storage: string;
  readonly growth: number;
  readonly udp: boolean;
  readonly write: boolean;
}

function readWords(): Options {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "60" },
      config: { type: "string", default: "replicas" },
      clients: { type: "string", default: "3" },
      outstanding: { type: "string", default: "4" },
      storage: { type: "string", default: "memory" },
      growth: { type: "string", default: "16" },
      udp: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const positive = (name: "minutes" | "clients" | "outstanding" | "growth"): number => {
    const number = Number(values[name]);
    if (!(number > 0)) throw new UsageError(`--${name} ${values[name]} is not a positive number`);
    return number;
  };
  const oneOf = (name: "config" | "storage", choices: readonly string[]): string => {
    if (choices.includes(values[name])) return values[name];
    throw new UsageError(`--${name} is one of ${choices.join(", ")}`);
  };
  return {
    minutes: positive("minutes"),
    config: oneOf("config", Object.keys(CONFIGS)),
    clients: positive("clients"),
    outstanding: positive("outstanding"),
    storage: oneOf("storage", ["memory", "sqlite", "log"]),
    growth: positive("growth"),
    udp: values.udp,
    write: values.write,
  };
}

function commandLine({ minutes, config, clients, outstanding, storage, udp }: Options): string {
  const words = `--minutes ${minutes} --config ${config} --clients ${clients} --outstanding ${outstanding}`;
  return `npm run soak -- ${words} --storage ${storage}${udp ? " --udp" : ""}`;
}

/** What /proc says of a process that runs. */
function look(pid: number, second: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const times = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    second,
    rssKib: Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]),
    fds: readdirSync(`/proc/${pid}/fd`).length,
    cpuSeconds: (Number(times[11]) + Number(times[12])) / CLOCK_TICKS,
  };
}

/** Follows what a learner prints without keeping it. */
class Position {
  iid = 0;
  #tail = "";
  readonly #decoder = new TextDecoder();

  readonly feed = (chunk: Uint8Array): void => {
    this.#tail = (this.#tail + this.#decoder.decode(chunk, { stream: true })).slice(-1024);
    const at = this.#tail.lastIndexOf('{"iid":');
    const found = at < 0 ? null : /^\{"iid":(\d+),/.exec(this.#tail.slice(at));
    if (found !== null) this.iid = Number(found[1]);
  };
}

/** Values a client's lines have told of since the last look. */
class ClientMeter {
  readonly #process: LabProcess;
  #second = 0;
  values = 0;

  constructor(process: LabProcess) {
    this.#process = process;
  }

  look(): void {
    const { stdout } = this.#process;
    for (let at = Math.max(0, stdout.length - 100); at < stdout.length; at++) {
      const { second, values } = JSON.parse(stdout[at]!) as { second?: number; values: number };
      if (second === undefined || second <= this.#second) continue;
      this.#second = second;
      this.values += values;
    }
  }
}

class Soak {
  readonly #options: Options;
  readonly #cluster: LabCluster;
  readonly #position = new Position();
  readonly #meters: ClientMeter[] = [];
  readonly #series = new Map<string, Sample[]>();
  readonly #running: { readonly name: string; readonly process: LabProcess }[] = [];
  readonly #problems: string[] = [];
  /** Values delivered in all at each look. */
  readonly #totals: { readonly second: number; readonly values: number }[] = [];
  readonly #kept = mkdtempSync(join(tmpdir(), "kpaxos-soak-"));
  readonly #csv = join(this.#kept, "samples.csv");
  #trimmed = 0;

  constructor(options: Options, network: Network, seats: readonly Seat[]) {
    this.#options = options;
    const settings = (directory: string): Record<string, string> =>
      options.storage !== "memory"
        ? { "storage-backend": options.storage, "storage-path": join(directory, "storage") }
        : {};
    this.#cluster = new LabCluster({ network, seats, settings, command: COMMAND });
    writeFileSync(this.#csv, "second,process,rss_kib,fds,cpu_seconds,values,position,trimmed\n");
  }

  async start(): Promise<void> {
    const { seats } = this.#cluster;
    const reader = seats.findLast(({ role }) => role === "learner" || role === "replica")!;
    for (const one of seats) {
      const prints = { args: ["--print", "--json"], onStdout: this.#position.feed };
      this.#add(this.#cluster.start(one.role, one.id, one === reader ? prints : {}));
    }
    await Promise.all(this.#running.map(({ process }) => process.ready()));
    const host = hostCount(seats);
    for (let id = 0; id < this.#options.clients; id++) {
      const words = ["--outstanding", `${this.#options.outstanding}`, "--json"];
      const client = this.#cluster.client(host + id, words);
      this.#add(client, `client ${id}`);
      this.#meters.push(new ClientMeter(client));
    }
    await until("values are delivered", () => this.#position.iid > 0, 15_000);
  }

  #add(process: LabProcess, name = process.name): void {
    this.#running.push({ name, process });
    this.#series.set(name, []);
  }

  async run(): Promise<void> {
    const began = performance.now();
    const endSecond = this.#options.minutes * 60;
    let saidSecond = 0;
    for (let second = 0; second < endSecond && this.#problems.length === 0; ) {
      await Bun.sleep(Math.min(SAMPLE_MS, Math.max(0, endSecond * 1000 - (performance.now() - began))));
      second = Math.round((performance.now() - began) / 1000);
      this.#sample(second);
      if (second - saidSecond < SAY_SECONDS && second < endSecond) continue;
      saidSecond = second;
      this.#say(second);
    }
  }

  #sample(second: number): void {
    for (const meter of this.#meters) meter.look();
    const values = this.#meters.reduce((sum, meter) => sum + meter.values, 0);
    if (values === (this.#totals.at(-1)?.values ?? 0)) {
      this.#problems.push(`second ${second}: no value was delivered for ${SAMPLE_MS / 1000} s`);
    }
    this.#totals.push({ second, values });
    this.#lookAtTrims();
    let text = "";
    for (const { name, process } of this.#running) {
      if (!process.isRunning) {
        this.#problems.push(`${name} ended after ${second} s:\n${process.tail()}`);
        continue;
      }
      const sample = look(process.pid, second);
      this.#series.get(name)!.push(sample);
      const { rssKib, fds, cpuSeconds } = sample;
      text += `${[second, name, rssKib, fds, cpuSeconds, values, this.#position.iid, this.#trimmed].join(",")}\n`;
    }
    appendFileSync(this.#csv, text);
  }

  /** As far as the acceptors say, once a minute and at their end. */
  #lookAtTrims(): void {
    for (const { process } of this.#running) {
      for (const line of process.stderr.slice(-20)) {
        const holds = /\bholds instances (\d+) to/.exec(line)?.[1];
        const ends = /\btrimmed to (\d+)$/.exec(line)?.[1];
        if (holds !== undefined) this.#trimmed = Math.max(this.#trimmed, Number(holds) - 1);
        if (ends !== undefined) this.#trimmed = Math.max(this.#trimmed, Number(ends));
      }
    }
  }

  #say(second: number): void {
    const [rate] = this.#rates().slice(-1);
    const memory = [...this.#series].map(
      ([name, samples]) => `${name} ${((samples.at(-1)?.rssKib ?? 0) / 1024).toFixed(0)}`,
    );
    console.log(
      `${(second / 60).toFixed(1)} min: ${Math.round(rate)} values/s, instance ${this.#position.iid}, ` +
        `trimmed to ${this.#trimmed}; MiB: ${memory.join(", ")}`,
    );
  }

  /** Values a second in the first and the second half so far. */
  #rates(): readonly [number, number] {
    const end = this.#totals.at(-1);
    const middle = this.#totals.findLast(({ second }) => second <= (end?.second ?? 0) / 2);
    if (end === undefined) return [0, 0];
    if (middle === undefined || middle === end) return [end.values / end.second, end.values / end.second];
    return [middle.values / middle.second, (end.values - middle.values) / (end.second - middle.second)];
  }

  async stop(): Promise<void> {
    const clients = this.#running
      .filter(({ name }) => name.startsWith("client"))
      .map(({ process }) => process);
    for (const client of clients) client.kill("SIGINT");
    const endings = await Promise.all(
      clients.map(async (one) => ({ process: one, ending: await one.ending(STOP_MS) })),
    );
    endings.push(...(await this.#cluster.stopAll(STOP_MS)));
    this.#lookAtTrims();
    for (const { process, ending } of endings) {
      if (ending.exitCode === 0 && !ending.killed) continue;
      this.#problems.push(`${process.name} ended${how(ending)} when asked to end\n${process.tail()}`);
    }
  }

  conclude(title: string): number {
    const limits = {
      growthMibPerHour: this.#options.growth,
      noiseMib: NOISE_MIB,
      leastSeconds: LEAST_SECONDS / 2,
    };
    const trends: Trend[] = [...this.#series]
      .filter(([, samples]) => samples.length > 0)
      .map(([name, samples]) => trendOf(name, samples, limits));
    const problems = [...this.#problems, ...trends.flatMap((trend) => trend.problems)];
    const last = this.#totals.at(-1);
    const name = `${this.#options.config}-${this.#options.storage}`;
    const page = markdown({
      title,
      command: commandLine(this.#options),
      date: new Date().toISOString().slice(0, 10),
      machine: `${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), Bun ${Bun.version}`,
      seconds: last?.second ?? 0,
      isLong: (last?.second ?? 0) >= LEAST_SECONDS,
      values: last?.values ?? 0,
      rates: this.#rates(),
      position: this.#position.iid,
      trimmed: this.#trimmed,
      trends,
      problems,
      curve: `${name}.svg`,
    });
    if (problems.length > 0) this.#keepLogs();
    console.log(`\n${page}\nsamples${problems.length > 0 ? " and logs" : ""}: ${this.#kept}`);
    if (this.#options.write) {
      mkdirSync(DOCS, { recursive: true });
      writeFileSync(join(DOCS, `${name}.md`), page);
      writeFileSync(join(DOCS, `${name}.svg`), memoryCurve(this.#series));
    }
    return problems.length === 0 ? 0 : 1;
  }

  #keepLogs(): void {
    writeFileSync(join(this.#kept, "paxos.conf"), this.#cluster.config);
    for (const { name, process } of this.#running) {
      writeFileSync(join(this.#kept, `${name.replace(" ", "-")}.log`), `${process.stderr.join("\n")}\n`);
    }
  }

  close(): void {
    this.#cluster.close();
  }
}

async function makeNetwork(udp: boolean, members: number, hosts: number): Promise<Network> {
  const ability = canMakeNamespaces();
  if (udp || !ability.ok || ability.reenter) return await loopbackNetwork(members);
  return ethernetNetwork(Lab.create({ hosts }));
}

async function main(): Promise<number> {
  const options = readWords();
  const { title, seats } = CONFIGS[options.config]!;
  console.log(commandLine(options));
  const network = await makeNetwork(options.udp, seats.length, hostCount(seats) + options.clients);
  let soak: Soak;
  try {
    soak = new Soak(options, network, seats);
  } catch (error) {
    network.close();
    throw error;
  }
  try {
    await soak.start();
    await soak.run();
    await soak.stop();
    return soak.conclude(title);
  } finally {
    soak.close();
  }
}

await runScript(main);
