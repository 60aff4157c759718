/**
 * From starting a role to its first frame. UDP on 127.0.0.1; the peers it speaks to are this process, which answers nothing.
 */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../error.ts";
import { freePorts } from "../ops/free_ports.ts";
import { makeOwnDirectory } from "../ops/own_directory.ts";
import { ifThere, readProc } from "../ops/proc.ts";

const HOST = "127.0.0.1";
const PATIENCE_MS = 10_000;
/** At most, whatever the role. */
const PEERS = 4;

export const STARTED_ROLES: Readonly<Record<string, readonly string[]>> = {
  acceptor: ["run", "acceptor", "--id", "0", "-f"],
  proposer: ["run", "proposer", "--id", "0", "-f"],
  learner: ["run", "learner", "--id", "0", "--no-device", "-f"],
  replica: ["run", "replica", "--id", "0", "--no-device", "-f"],
  client: ["run", "client", "-f"],
};

export interface Start {
  readonly wallMs: number;
  /** Processor time of all its threads. */
  readonly cpuMs: number;
}

/** Where one role is started, again and again. */
export class StartStage {
  /** What to say to a program that it starts the role here. */
  readonly words: readonly string[];
  readonly #role: string;
  readonly #directory: string;
  readonly #sockets: { close(): void }[] = [];
  #heard: (() => void) | undefined;

  /** In the Kernel_Paxos wire an acceptor is silent until it is spoken to. */
  static async open(role: string, wire = "native"): Promise<StartStage> {
    const stage = new StartStage(role);
    try {
      await stage.#configure(wire);
      return stage;
    } catch (error) {
      stage.close();
      throw error;
    }
  }

  private constructor(role: string) {
    const words = STARTED_ROLES[role];
    if (words === undefined) throw new CliError(`no role ${role}: ${Object.keys(STARTED_ROLES).join(", ")}`);
    this.#role = role;
    this.#directory = makeOwnDirectory();
    this.words = [...words, join(this.#directory, "paxos.conf")];
  }

  /** Starts it, and ends it with its first frame. */
  async once(program: readonly string[]): Promise<Start> {
    const first = Promise.withResolvers<void>();
    this.#heard = first.resolve;
    const began = performance.now();
    // Without what would end it with us: that is a program more to start.
    const argv = [...program, ...this.words];
    const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    const timer = setTimeout(
      () => first.reject(new CliError(`${this.#role}: no frame within ${PATIENCE_MS} ms of its start`)),
      PATIENCE_MS,
    );
    const ended = (code: number): void =>
      first.reject(new CliError(`${this.#role}: ended with ${code} instead of speaking: ${argv.join(" ")}`));
    child.exited.then(ended);
    try {
      await first.promise;
      const wallMs = performance.now() - began;
      const ns = ranNs(child.pid);
      if (ns === undefined)
        throw new CliError(`${this.#role}: ended with its first frame: ${argv.join(" ")}`);
      return { wallMs, cpuMs: ns / 1e6 };
    } finally {
      clearTimeout(timer);
      child.kill("SIGKILL");
      await child.exited;
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #configure(wire: string): Promise<void> {
    const peers = await this.#listen();
    const [own] = await freePorts(1, HOST);
    const at = (port: number | undefined): string => `${HOST} ${port}`;
    const is = (role: string): boolean => this.#role === role;
    const lines = is("replica")
      ? [`replica 0 ${at(own)}`, `replica 1 ${at(peers[0])}`, `replica 2 ${at(peers[1])}`]
      : [
          `acceptor 0 ${at(is("acceptor") ? own : peers[0])}`,
          `acceptor 1 ${at(peers[1])}`,
          `acceptor 2 ${at(peers[3])}`,
          `proposer 0 ${at(is("proposer") ? own : peers[2])}`,
          ...(is("learner") ? [`learner 0 ${at(own)}`] : []),
        ];
    writeFileSync(this.words.at(-1)!, `wire ${wire}\n${lines.join("\n")}\n`);
  }

  /** Ports at which this process hears what comes. */
  async #listen(): Promise<number[]> {
    const ports: number[] = [];
    while (ports.length < PEERS) {
      const data = (): void => this.#heard?.();
      const socket = await Bun.udpSocket({ hostname: HOST, port: 0, socket: { data } });
      this.#sockets.push(socket);
      ports.push(socket.port);
    }
    return ports;
  }
}

/** Nanoseconds that the threads of a process have run. One that ends meanwhile is not counted; undefined: the process has ended. */
export function ranNs(pid: number): number | undefined {
  const threads = ifThere(() => readdirSync(`/proc/${pid}/task`));
  const times = threads?.flatMap((thread) => readProc(`/proc/${pid}/task/${thread}/schedstat`) ?? []);
  if (times === undefined || times.length === 0) return undefined;
  return times.reduce((sum, text) => sum + Number(text.split(" ")[0]), 0);
}
