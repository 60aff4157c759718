/**
 * The demonstration: a whole cluster on this machine, a client, figures, and proof that two learners delivered the
 * same. It reports facts and prints nothing.
 *
 * Invariant: whatever happens, a `stop` from the caller, every process it started has ended and every
 * namespace is removed when the promise settles.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "../error.ts";
import { canMakeNamespaces, isInsideUserNamespace, Lab, selfCommand } from "./lab.ts";
import { LabCluster, type Seat } from "./lab_cluster.ts";
import { type ClientFigures, LineDigest, lastFigures } from "./lab_figures.ts";
import { ethernetNetwork, loopbackNetwork, type Network } from "./lab_network.ts";
import { how, type LabProcess } from "./lab_process.ts";

const HOSTS = 5;
const CLIENT_HOST = 4;
const WINDOWS = [1, 100] as const;
const VALUE_SIZE = 64;
/** How long a client may take beyond its own time. */
const SETTLE_MS = 10_000;
/** Learners that deliver nothing more for this long have got what they will get. */
const QUIET_MS = 3000;

/** The second learner shares the proposer's host: any mix of roles may. */
const SEATS: readonly Seat[] = [
  { role: "acceptor", id: 0, host: 0 },
  { role: "acceptor", id: 1, host: 1 },
  { role: "acceptor", id: 2, host: 2 },
  { role: "proposer", id: 0, host: 3 },
  { role: "learner", id: 0, host: CLIENT_HOST },
  { role: "learner", id: 1, host: 3 },
];

export interface DemoOptions {
  /** Of each run of the client. */
  readonly seconds: number;
  readonly udp: boolean;
  readonly wire: string;
  /** Leaves the cluster running until `stop`. */
  readonly keep: boolean;
  /** Ends it early; once the cluster is kept, that is its proper end. */
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
  agreed(agreement: Agreement): void;
  /** The last instance each acceptor named in its log; empty when none did. */
  acceptors(lastInstances: readonly (number | undefined)[]): void;
  /** The cluster is left running now. `enter` is what a shell needs in front of a command to be on a host of it. */
  kept(cluster: LabCluster, enter: readonly string[]): void;
  stopped(processes: number): void;
}

interface Site {
  readonly network: Network;
  readonly reason: string;
  readonly enter: readonly string[];
}

/** Where the cluster can live, best first, and why there. */
async function chooseSite(udp: boolean): Promise<Site> {
  const ability = canMakeNamespaces();
  if (udp || !ability.ok) {
    const reason = ability.ok || udp ? "UDP was asked for" : ability.reason;
    return { network: await loopbackNetwork(SEATS.length), reason, enter: [] };
  }
  const lab = Lab.create({ hosts: HOSTS, handleSignals: false });
  const inside = isInsideUserNamespace();
  const enter = inside ? ["nsenter", "-t", `${process.pid}`, "-U", "-n", "-m", "--preserve-credentials"] : [];
  return {
    network: ethernetNetwork(lab),
    reason: inside ? "in a user namespace of our own" : "running as root",
    enter: [...enter, ...lab.commandOn(CLIENT_HOST, [])],
  };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

class Demo {
  readonly #cluster: LabCluster;
  readonly #options: DemoOptions;
  readonly #listener: DemoListener;
  readonly #enter: readonly string[];
  readonly #digests = new Map<number, LineDigest>();
  /** The stop signal is no longer a cancellation. */
  isKept = false;

  constructor(cluster: LabCluster, options: DemoOptions, listener: DemoListener, enter: readonly string[]) {
    this.#cluster = cluster;
    this.#enter = enter;
    this.#options = options;
    this.#listener = listener;
  }

  async run(): Promise<void> {
    await this.#start();
    let values = 0;
    for (const window of WINDOWS) {
      const run = await this.#load(window);
      values += run.values;
      this.#listener.ran(run);
    }
    this.#listener.agreed(await this.#settle(values));
    if (this.#options.keep) {
      this.isKept = true;
      this.#listener.kept(this.#cluster, this.#enter);
      await aborted(this.#options.stop);
    }
    const endings = await this.#cluster.stopAll();
    this.#listener.acceptors(
      SEATS.filter(({ role }) => role === "acceptor").map(({ id }) =>
        lastInstance(this.#cluster.member("acceptor", id)),
      ),
    );
    const bad = endings.find(({ ending }) => ending.killed || ending.exitCode !== 0);
    if (bad !== undefined) {
      throw new CliError(
        `${bad.process.name} ended${how(bad.ending)}; its log ends with:\n${bad.process.tail()}`,
      );
    }
    this.#listener.stopped(this.#cluster.processes.length);
  }

  async #start(): Promise<void> {
    const since = performance.now();
    const processes = SEATS.map(({ role, id }) => {
      if (role !== "learner") return this.#cluster.start(role, id);
      const digest = new LineDigest();
      this.#digests.set(id, digest);
      return this.#cluster.start(role, id, { args: ["--print"], onStdout: digest.feed });
    });
    await Promise.all(processes.map((one) => one.ready()));
    this.#listener.started(
      processes.map(({ name }) => name),
      (performance.now() - since) / 1000,
    );
  }

  async #load(window: number): Promise<Run> {
    const { seconds } = this.#options;
    const client = this.#cluster.client(CLIENT_HOST, [
      ...["--proposer-id", "0", "--nclients", "1", "--outstanding", `${window}`],
      ...["--value-size", `${VALUE_SIZE}`, "--seconds", `${seconds}`, "--json"],
    ]);
    const ending = await client.ending(seconds * 1000 + SETTLE_MS);
    if (ending.exitCode !== 0) {
      throw new CliError(`the client ended${how(ending)}; its log ends with:\n${client.tail()}`);
    }
    const figures = lastFigures(client.stdout);
    if (figures.values === 0)
      throw new CliError(`no value was chosen with window ${window}.\n${this.#logs()}`);
    return { window, valueSize: VALUE_SIZE, ...figures };
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
        const counts = digests.map(
          (digest, id) => `learner ${id} ${digest.lines} (${digest.digest().slice(0, 8)})`,
        );
        throw new CliError(
          `clients had ${values} values answered, but the learners differ: ${counts.join(", ")}\n${this.#logs()}`,
        );
      }
      await sleep(20);
    }
  }

  #logs(): string {
    return this.#cluster.processes.map((one) => `${one.name}:\n${one.tail(4)}`).join("\n");
  }
}

/** The last instance an acceptor named in its log. */
function lastInstance(acceptor: LabProcess): number | undefined {
  for (const line of acceptor.stderr.toReversed()) {
    const number = /\blast instance (\d+)/.exec(line)?.[1];
    if (number !== undefined) return Number(number);
  }
  return undefined;
}

/** Runs it all. A `stop` before its end removes everything and makes the promise reject with the signal's reason. */
export async function runDemo(options: DemoOptions, listener: DemoListener): Promise<void> {
  options.stop.throwIfAborted();
  const { network, reason, enter } = await chooseSite(options.udp);
  let cluster: LabCluster | undefined;
  try {
    listener.place({ link: network.link, description: network.description, reason });
    // Both learners print the log from its beginning, whichever was ready first.
    const settings = { wire: options.wire, "learner-catch-up": "yes" };
    cluster = new LabCluster({ network, seats: SEATS, settings, command: selfCommand() });
    const demo = new Demo(cluster, options, listener, enter);
    const running = demo.run();
    // When it was stopped early its processes die under it; what it says about that is of no interest.
    running.catch(() => undefined);
    const stopped = aborted(options.stop).then(async () => {
      if (demo.isKept) await running;
      throw options.stop.reason;
    });
    await Promise.race([running, stopped]);
  } finally {
    if (cluster === undefined) network.close();
    else cluster.close();
  }
}
