/**
 * The demonstration: a local cluster like that of `kpaxos cluster up`, clients of two kinds, an acceptor that is killed
 * under load and comes back, figures, and proof that two learners delivered the same. It reports facts, prints nothing.
 *
 * Invariant: whatever happens, a `stop` from the caller included, nothing of it is left when the promise settles,
 * unless the cluster was to be kept and everything went well.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "../error.ts";
import { diesWithUs } from "./child.ts";
import { addUserLearner, remove, restartSeats, up } from "./cluster.ts";
import { type Choice, choosePlace, commandOn, describePlace, linkOf } from "./cluster_place.ts";
import {
  clusterEnvironment,
  configPath,
  logTail,
  newestLog,
  type StartOptions,
  seatNamed,
  speakable,
  stopSeats,
  waitEnd,
} from "./cluster_roles.ts";
import {
  aliveSeats,
  type ClusterState,
  clusterDirectory,
  readState,
  type SeatState,
  writeState,
} from "./cluster_state.ts";
import {
  type ClientFigures,
  LineDigest,
  lastFigures,
  lastInstance,
  type Recovered,
  recoveredIn,
} from "./lab_figures.ts";
import { labPrefix } from "./lab_names.ts";
import { how, LabProcess } from "./lab_process.ts";
import { sweepLeftovers } from "./lab_sweep.ts";
import { makeOwnDirectory } from "./own_directory.ts";
import { signal } from "./process_id.ts";

const DEMO_NAME = "demo";
const WINDOWS = [1, 100] as const;
/** Of each client while an acceptor is down. */
const OUTAGE_WINDOW = 10;
const VICTIM = "acceptor/2";
const VALUE_SIZE = 64;
/** How long a client may take beyond its own time. */
const SETTLE_MS = 10_000;
/** How long an acceptor may take to recover under load. */
const RECOVERY_MS = 30_000;
/** Learners that deliver nothing more for this long have got what they will get. */
const QUIET_MS = 3000;

export interface DemoOptions {
  /** Of each of the two loads that are measured. */
  readonly seconds: number;
  readonly udp: boolean;
  readonly wire: string;
  /** Leaves the cluster up, to be ended with `kpaxos cluster down`. */
  readonly keep: boolean;
  /** Ends it early. */
  readonly stop: AbortSignal;
}

export interface Place {
  readonly link: "ethernet" | "udp";
  readonly description: string;
  readonly reason: string;
}

export interface Run extends ClientFigures {
  readonly window: number;
  readonly valueSize: number;
}

export interface Outage {
  readonly acceptor: number;
  readonly downSeconds: number;
  /** What it said itself when it voted again; null in the Kernel_Paxos wire, where it votes at once and knows nothing. */
  readonly recovered: (Recovered & { readonly seconds: number }) | null;
  readonly window: number;
  readonly clients: readonly (ClientFigures & { readonly deliveries: "own learner" | "user-learner" })[];
}

export interface Agreement {
  readonly learners: number;
  readonly values: number;
  readonly sha256: string;
}

/** Told as it happens. */
export interface DemoListener {
  place(place: Place): void;
  started(names: readonly string[], seconds: number): void;
  ran(run: Run): void;
  /** An acceptor was killed, started again and votes again, and values went on all the time. */
  survived(outage: Outage): void;
  agreed(agreement: Agreement): void;
  /** The last instance each acceptor named in its log; undefined when it named none. */
  acceptors(lastInstances: readonly (number | undefined)[]): void;
  /** The cluster is left running. */
  kept(state: ClusterState): void;
  stopped(processes: number): void;
}

type Child = Parameters<NonNullable<StartOptions["onStarted"]>>[0]["child"];

class Demo {
  readonly #state: ClusterState;
  readonly #options: DemoOptions;
  readonly #listener: DemoListener;
  readonly #digests: ReadonlyMap<string, LineDigest>;
  readonly #children: Map<SeatState, Child>;
  readonly #clients: LabProcess[] = [];
  readonly #start: StartOptions;
  /** Seats' processes started, clients' not counted. */
  #restarts = 0;

  constructor(state: ClusterState, options: DemoOptions, listener: DemoListener, setup: Setup) {
    this.#state = state;
    this.#options = options;
    this.#listener = listener;
    this.#digests = setup.digests;
    this.#children = setup.children;
    this.#start = setup.start;
  }

  async run(since: number): Promise<void> {
    const state = this.#state;
    const server = await addUserLearner(state, this.#seat("learner/0"), this.#start);
    this.#listener.started(state.seats.map(speakable), (performance.now() - since) / 1000);
    let values = 0;
    for (const window of WINDOWS) {
      const run = await this.#load(window);
      values += run.values;
      this.#listener.ran(run);
    }
    const outage = await this.#outage(server);
    for (const figures of outage.clients) values += figures.values;
    this.#listener.survived(outage);
    this.#listener.agreed(await this.#settle(values));
    if (this.#options.keep) await this.#keep();
    else await this.#end(outage);
  }

  #seat(name: string): SeatState {
    const seat = seatNamed(this.#state, name);
    if (seat === undefined) throw new CliError(`the demo's cluster has no ${name}`);
    return seat;
  }

  #client(name: string, args: readonly string[]): LabProcess {
    const state = this.#state;
    const size = ["--value-size", `${VALUE_SIZE}`, "--json"];
    const words = ["run", "client", "-f", configPath(state), "--proposer-id", "0", ...size, ...args];
    const argv = [...state.command, ...words];
    const child = Bun.spawn(commandOn(state, state.clientHost, diesWithUs(argv), state.directory), {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: clusterEnvironment(state),
      cwd: state.directory,
      detached: true,
    });
    const client = new LabProcess(name, argv, child);
    this.#clients.push(client);
    return client;
  }

  async #figures(client: LabProcess, timeoutMs: number): Promise<ClientFigures> {
    const ending = await client.ending(timeoutMs);
    if (ending.exitCode !== 0) {
      throw new CliError(`the ${client.name} ended${how(ending)}; its log ends with:\n${client.tail()}`);
    }
    return lastFigures(client.stdout);
  }

  async #load(window: number): Promise<Run> {
    const { seconds } = this.#options;
    const client = this.#client("client", ["--outstanding", `${window}`, "--seconds", `${seconds}`]);
    const figures = await this.#figures(client, seconds * 1000 + SETTLE_MS);
    if (figures.values === 0)
      throw new CliError(`no value was chosen with window ${window}.\n${this.#logs()}`);
    return { window, valueSize: VALUE_SIZE, ...figures };
  }

  /** Two clients, one of each kind, while an acceptor is killed and comes back. */
  async #outage(server: SeatState): Promise<Outage> {
    const victim = this.#seat(VICTIM);
    const window = ["--outstanding", `${OUTAGE_WINDOW}`];
    // In the Kernel_Paxos wire a client is its number, and both would have the same.
    const ids =
      this.#state.wire === "native"
        ? [[], []]
        : [
            ["--id", "100"],
            ["--id", "200"],
          ];
    const own = this.#client("client with a learner", [...window, ...ids[0]!]);
    const remote = this.#client("remote client", [...window, ...ids[1]!, "--learner", server.address]);
    const both = [own, remote];
    await this.#goOn(both, "before an acceptor was killed");
    const killed = performance.now();
    if (victim.process !== undefined) {
      signal(victim.process, "SIGKILL");
      await waitEnd(victim.process, SETTLE_MS);
    }
    await this.#goOn(both, `after ${speakable(victim)} was killed`);
    await restartSeats(this.#state, [victim], this.#start);
    this.#restarts++;
    const started = performance.now();
    const recovered = this.#state.wire === "native" ? await this.#recovery(victim, started) : null;
    await this.#goOn(both, `after ${speakable(victim)} was started again`);
    for (const client of both) client.kill("SIGINT");
    const [mine, theirs] = await Promise.all(both.map((client) => this.#figures(client, SETTLE_MS)));
    return {
      acceptor: victim.id,
      downSeconds: (started - killed) / 1000,
      recovered,
      window: OUTAGE_WINDOW,
      clients: [
        { deliveries: "own learner", ...mine! },
        { deliveries: "user-learner", ...theirs! },
      ],
    };
  }

  /** Waits until it says itself that it has recovered, and votes. */
  async #recovery(victim: SeatState, since: number): Promise<NonNullable<Outage["recovered"]>> {
    for (;;) {
      const recovered = recoveredIn(newestLog(this.#state, victim));
      const ms = performance.now() - since;
      if (recovered !== undefined) return { ...recovered, seconds: ms / 1000 };
      if (!aliveSeats(this.#state).includes(victim))
        throw this.#failure(victim, "ended before it voted again");
      if (ms > RECOVERY_MS) throw this.#failure(victim, `does not vote again after ${RECOVERY_MS / 1000} s`);
      await sleep(10);
    }
  }

  /** Waits until each client got values back in a second that began from now on. */
  async #goOn(clients: readonly LabProcess[], when: string): Promise<void> {
    // A second that has begun already does not count; before the first one there is none.
    const from = clients.map((client) => (client.stdout.length === 0 ? 0 : client.stdout.length + 1));
    const deadline = performance.now() + SETTLE_MS;
    const waiting = (): LabProcess | undefined =>
      clients.find(
        (client, index) => !client.stdout.slice(from[index]).some((line) => /"values":[1-9]/.test(line)),
      );
    for (let late = waiting(); late !== undefined; late = waiting()) {
      if (!late.isRunning || performance.now() > deadline) {
        const why = late.isRunning ? "got no value back" : "ended";
        throw new CliError(`the ${late.name} ${why} ${when}:\n${late.tail()}\n${this.#logs()}`);
      }
      await sleep(10);
    }
  }

  /** Waits until every learner has delivered what the clients had answered, and all the same. */
  async #settle(values: number): Promise<Agreement> {
    const digests = [...this.#digests.values()];
    let lines = -1;
    let deadline = 0;
    for (;;) {
      const now = performance.now();
      const total = digests.reduce((sum, digest) => sum + digest.lines, 0);
      if (total !== lines) deadline = now + QUIET_MS;
      lines = total;
      const [first, ...others] = digests.map((digest) => ({ lines: digest.lines, sha256: digest.digest() }));
      const same = first !== undefined && others.every((one) => one.sha256 === first.sha256);
      if (same && first.lines >= values)
        return { learners: digests.length, values: first.lines, sha256: first.sha256 };
      if (now > deadline) {
        const counts = [...this.#digests].map(
          ([name, digest]) => `${name} ${digest.lines} (${digest.digest().slice(0, 8)})`,
        );
        throw new CliError(
          `clients had ${values} values answered, but the learners differ: ${counts.join(", ")}\n${this.#logs()}`,
        );
      }
      await sleep(20);
    }
  }

  /** Learners printed for us; who reads a cluster that stays is somebody else's business. */
  async #keep(): Promise<void> {
    const printing = this.#state.seats.filter(({ role }) => role === "learner");
    await stopSeats(printing);
    await restartSeats(this.#state, printing, { stop: this.#options.stop });
    this.#listener.kept(this.#state);
  }

  async #end(outage: Outage): Promise<void> {
    const { seats } = this.#state;
    const alive = aliveSeats(this.#state);
    const dead = seats.find((seat) => !alive.includes(seat));
    if (dead !== undefined) throw this.#failure(dead, "ended by itself");
    const killed = await stopSeats(seats);
    const acceptors = seats.filter(({ role }) => role === "acceptor");
    const last = acceptors.map((seat) => lastInstance(newestLog(this.#state, seat)));
    this.#listener.acceptors(last);
    for (const seat of seats) {
      if (killed.includes(seat)) throw this.#failure(seat, "ended only by SIGKILL");
      const child = this.#children.get(seat);
      // Nothing else may be under way, and who waits for nothing that counts is ended by Bun.
      child?.ref();
      const code = await child?.exited;
      if (code !== undefined && code !== 0) throw this.#failure(seat, `ended with exit code ${code}`);
    }
    this.#checkVictim(outage, last[acceptors.indexOf(this.#seat(VICTIM))]);
    remove(this.#state);
    this.#listener.stopped(seats.length + this.#restarts + this.#clients.length);
  }

  /** Values went on for a second after it voted again: it must have accepted some of them. */
  #checkVictim({ recovered }: Outage, last: number | undefined): void {
    if (last !== undefined && last > (recovered?.upTo ?? 0)) return;
    const votes = recovered === null ? "" : `, and voted again from instance ${recovered.upTo + 1} on`;
    throw this.#failure(
      this.#seat(VICTIM),
      `was started again${votes}, but has accepted nothing: its last instance is ${last ?? "not known"}`,
    );
  }

  #failure(seat: SeatState, why: string): CliError {
    return new CliError(`${speakable(seat)} ${why}; its log ends with:\n${logTail(this.#state, seat)}`);
  }

  #logs(): string {
    return this.#state.seats
      .map((seat) => `${speakable(seat)}:\n${logTail(this.#state, seat, 4)}`)
      .join("\n");
  }
}

interface Setup {
  readonly digests: Map<string, LineDigest>;
  readonly children: Map<SeatState, Child>;
  readonly start: StartOptions;
}

/** Ends it without ceremony. */
function abandon(state: ClusterState): void {
  for (const seat of state.seats) if (seat.process !== undefined) signal(seat.process, "SIGKILL");
  remove(state);
}

function refuseSecond(): void {
  const before = readState(clusterDirectory(DEMO_NAME, undefined));
  if (before === undefined || aliveSeats(before).length === 0) return;
  throw new CliError(`the cluster ${DEMO_NAME} that was kept still runs`, {
    hint: `kpaxos cluster down --name ${DEMO_NAME}`,
  });
}

async function makeCluster(options: DemoOptions, choice: Choice, setup: Setup): Promise<ClusterState> {
  // A cluster that ends with us has nothing in common with those that are written down.
  if (!options.keep) sweepLeftovers();
  const own = options.keep
    ? { directory: clusterDirectory(DEMO_NAME, undefined) }
    : { directory: makeOwnDirectory(), prefix: labPrefix(process.pid, 0) };
  return await up({
    ...own,
    ...(options.keep ? {} : { deviceDirectory: `${own.directory}/devices` }),
    name: DEMO_NAME,
    choice,
    topology: { acceptors: 3, proposers: 1, learners: 2 },
    flags: { wire: options.wire },
    dies: !options.keep,
    stop: options.stop,
    start: (seat) => {
      if (seat.role !== "learner") return setup.start;
      const digest = new LineDigest();
      setup.digests.set(speakable(seat), digest);
      // Both learners print the log from its beginning, whichever was ready first.
      return { ...setup.start, args: ["--print", "--learner-catch-up"], onStdout: digest.feed };
    },
  });
}

async function aborted(stop: AbortSignal): Promise<void> {
  if (stop.aborted) return;
  await new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
}

/** Runs it all. A `stop` before its end removes everything and makes the promise reject with the signal's reason. */
export async function runDemo(options: DemoOptions, listener: DemoListener): Promise<void> {
  options.stop.throwIfAborted();
  const choice = choosePlace(options.udp ? "udp" : undefined);
  if (options.keep) refuseSecond();
  const hosts = 7;
  listener.place({
    link: linkOf(choice),
    description: describePlace(choice, hosts),
    reason: choice.reason,
  });
  const since = performance.now();
  const children = new Map<SeatState, Child>();
  const start: StartOptions = {
    dies: !options.keep,
    stop: options.stop,
    onStarted: ({ seat, child }) => children.set(seat, child),
  };
  const setup: Setup = { digests: new Map(), children, start };
  const state = await makeCluster(options, choice, setup);
  const running = new Demo(state, options, listener, setup).run(since);
  // When it was stopped early its processes die under it; what it says about that is of no interest.
  running.catch(() => undefined);
  try {
    const stopped = aborted(options.stop).then(() => {
      throw options.stop.reason;
    });
    await Promise.race([running, stopped]);
  } catch (error) {
    abandon(state);
    throw error;
  }
  if (options.keep) writeState(state);
}
