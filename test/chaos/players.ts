/**
 * The places of a cluster under chaos and the lives of their processes: started, killed, stopped and continued, each life
 * with its log; clients that are fed values and learners whose deliveries are read.
 *
 * Invariant: an end of a process that nobody here caused is a problem.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { how, LabProcess } from "../../src/ops/lab_process.ts";
import type { MemberRole } from "../../src/ops/seats.ts";
import type { LabCluster } from "../support/lab_cluster.ts";
import { type Deliveries, type History, isBehind, type Submissions } from "./history.ts";

/** Values handed to a client beyond what it has confirmed. */
const AHEAD = 64;
const FEED_EVERY_MS = 10;
const BUG = /this is a bug in kpaxos|assertion|panic|Segmentation fault/i;
/** What a learner says when it goes on elsewhere than where it was. */
const SKIPPED = /instances (\d+) to (\d+) were trimmed/;
const RESTORED = /goes on behind instance (\d+) with/;

export type PlayerRole = MemberRole | "client";

export abstract class Player {
  readonly name: string;
  readonly role: PlayerRole;
  readonly lives: LabProcess[] = [];
  isStopped = false;
  protected readonly history: History;
  #wanted = false;

  constructor(role: PlayerRole, id: number, history: History) {
    this.role = role;
    this.name = `${role} ${id}`;
    this.history = history;
  }

  get process(): LabProcess | undefined {
    return this.lives.at(-1);
  }

  /** Whether an acceptor lives here. */
  get votes(): boolean {
    return this.role === "acceptor" || this.role === "replica";
  }

  get isUp(): boolean {
    return this.process?.isRunning === true && !this.isStopped;
  }

  protected abstract launch(life: number): LabProcess;

  start(): LabProcess {
    const started = this.launch(this.lives.length + 1);
    this.lives.push(started);
    this.#wanted = true;
    started.exited.then((ending) => {
      if (started !== this.process || !this.#wanted) return;
      this.history.problem(`end: ${this.name}, life ${this.lives.length}, ended${how(ending)} by itself`);
    });
    return started;
  }

  /** Nothing more is expected of this life: its end is no problem. */
  dismiss(): void {
    this.#wanted = false;
  }

  kill(): void {
    this.dismiss();
    this.isStopped = false;
    this.process?.kill("SIGKILL");
  }

  stop(): void {
    this.isStopped = true;
    this.process?.kill("SIGSTOP");
  }

  goOn(): void {
    this.isStopped = false;
    this.process?.kill("SIGCONT");
  }

  /** Looks through the logs of all lives. */
  judge(): void {
    for (const [at, life] of this.lives.entries()) {
      const line = life.stderr.find((one) => BUG.test(one));
      if (line !== undefined) this.history.problem(`bug: ${this.name}, life ${at + 1}: ${line}`);
    }
  }

  writeLogs(directory: string): void {
    mkdirSync(directory, { recursive: true });
    for (const [at, life] of this.lives.entries()) {
      const file = join(directory, `${this.name.replace(" ", "-")}.${at + 1}`);
      writeFileSync(`${file}.log`, `${life.argv.join(" ")}\n${life.stderr.join("\n")}\n`);
    }
  }
}

/** An acceptor, a proposer, or whatever else of the configuration only has to live. */
export class Member extends Player {
  protected readonly cluster: LabCluster;
  protected readonly id: number;

  constructor(cluster: LabCluster, history: History, role: MemberRole, id: number) {
    super(role, id, history);
    this.cluster = cluster;
    this.id = id;
  }

  protected override launch(_life: number): LabProcess {
    return this.cluster.start(this.role as MemberRole, this.id);
  }
}

interface Printed {
  readonly iid: number;
  readonly index: number;
  readonly value: string;
}

/** A learner, or a replica: each life has deliveries of its own. */
export class Learner extends Member {
  deliveries: Deliveries | undefined;

  constructor(cluster: LabCluster, history: History, id: number, role: MemberRole = "learner") {
    super(cluster, history, role, id);
  }

  protected override launch(life: number): LabProcess {
    const deliveries = this.history.learner(`${this.name}, life ${life},`);
    this.deliveries = deliveries;
    const lines = new Lines((line) => {
      const { iid, index, value } = JSON.parse(line) as Printed;
      this.history.deliver(deliveries, iid, index, Buffer.from(value, "hex").toString());
    });
    // A replica always catches up.
    const args = [...(this.role === "learner" ? ["--catch-up"] : []), "--print", "--json"];
    const { role, id } = this;
    const started = this.cluster.start(role as MemberRole, id, {
      args,
      onStdout: (chunk) => lines.feed(chunk),
    });
    started.exited.then(() => this.#noteSkipped(started, deliveries));
    return started;
  }

  /** It has delivered everything up to this position, or goes on behind it with a snapshot. */
  hasReached(position: number): boolean {
    if (this.deliveries!.last >= position) return true;
    return this.process!.stderr.some((line) => isBehind(position, Number(RESTORED.exec(line)?.[1] ?? 0)));
  }

  #noteSkipped(life: LabProcess, deliveries: Deliveries): void {
    for (const line of life.stderr) {
      const found = SKIPPED.exec(line);
      if (found !== null) deliveries.skipped.push([Number(found[1]), Number(found[2])]);
      const restored = RESTORED.exec(line);
      if (restored !== null) deliveries.skipped.push([1, Number(restored[1])]);
    }
  }
}

export interface ClientOptions {
  readonly command: readonly string[];
  readonly id: number;
  readonly host: number;
  readonly proposerId: number;
  readonly valuesPerSecond: number;
}

/** `kpaxos submit -`: each life hands in values of its own and is told which are chosen. */
export class Client extends Player {
  readonly #cluster: LabCluster;
  readonly #options: ClientOptions;
  #submissions: Submissions | undefined;
  #stdin: Bun.FileSink | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #owedFromMs = 0;

  constructor(cluster: LabCluster, history: History, options: ClientOptions) {
    super("client", options.id, history);
    this.#cluster = cluster;
    this.#options = options;
  }

  protected override launch(life: number): LabProcess {
    const { command, id, host, proposerId } = this.#options;
    const words = ["submit", "-", "-f", this.#cluster.configPath, "--confirm", "--timeout", "60"];
    const argv = [...command, ...words, "--proposer-id", `${proposerId}`];
    const child = this.#cluster.network.spawn(host, argv, { cwd: this.#cluster.directory, stdin: "pipe" });
    const submissions = this.history.client(`c${id}-${life}`);
    const lines = new Lines((line) => {
      submissions.acknowledged = Number(line);
    });
    const started = new LabProcess(this.name, argv, child, { onStdout: (chunk) => lines.feed(chunk) });
    this.#cluster.processes.push(started);
    this.#submissions = submissions;
    this.#stdin = typeof child.stdin === "object" ? child.stdin : undefined;
    this.#owedFromMs = performance.now();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#feed(), FEED_EVERY_MS);
    return started;
  }

  #feed(): void {
    const submissions = this.#submissions!;
    if (!this.isUp || this.#stdin === undefined) return;
    const { valuesPerSecond } = this.#options;
    const due = ((performance.now() - this.#owedFromMs) / 1000) * valuesPerSecond;
    let text = "";
    for (let owed = Math.floor(due); owed > 0; owed--) {
      this.#owedFromMs += 1000 / valuesPerSecond;
      if (submissions.given - submissions.acknowledged < AHEAD) text += `${submissions.next()}\n`;
    }
    if (text !== "") this.#write(text);
  }

  /** A client that has just been killed reads no more; that is what the run is about. */
  #write(text: string): void {
    const stdin = this.#stdin!;
    try {
      stdin.write(text);
      Promise.resolve(stdin.flush()).catch(() => this.#stopFeeding());
    } catch {
      this.#stopFeeding();
    }
  }

  #stopFeeding(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  override kill(): void {
    this.#stopFeeding();
    super.kill();
  }

  /** Ends the input and waits until everything handed in is confirmed; false: it was not. */
  async finish(timeoutMs: number): Promise<boolean> {
    this.#stopFeeding();
    this.dismiss();
    const { client, given } = this.#submissions!;
    await Promise.resolve(this.#stdin?.end()).catch(() => undefined);
    const ending = await this.process!.ending(timeoutMs);
    const { acknowledged } = this.#submissions!;
    if (ending.exitCode === 0 && acknowledged === given) return true;
    const tail = this.process!.tail(4);
    this.history.problem(
      `liveness: ${this.name} (${client}) ended${how(ending)}, ${acknowledged} of ${given} confirmed\n${tail}`,
    );
    return false;
  }
}

/** Whole lines of a stream; what was cut off at its end is nobody's. */
class Lines {
  readonly #sink: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(sink: (line: string) => void) {
    this.#sink = sink;
  }

  feed(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") this.#sink(line);
  }
}
