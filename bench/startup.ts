/**
 * From starting a process to its first frame, for each role: milliseconds on the wall, the median and the fastest of some
 * starts, and processor time of all its threads until then. UDP on 127.0.0.1; the peers it speaks to are this process, which
 * answers nothing. The program measured is dist/kpaxos where it is built, else src/main.ts. Several programs take turns, so that
 * a busy moment meets all of them.
 *
 *     bun bench/startup.ts [--starts 21] [--main PATH]... [--role R]... [--wire W]
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePorts } from "../src/ops/free_ports.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const HOST = "127.0.0.1";
const PATIENCE_MS = 10_000;
const GOAL_MS = 30;
const ROLES: Readonly<Record<string, readonly string[]>> = {
  version: ["--version"],
  acceptor: ["run", "acceptor", "--id", "0", "-f"],
  proposer: ["run", "proposer", "--id", "0", "-f"],
  learner: ["run", "learner", "--id", "0", "--no-device", "-f"],
  replica: ["run", "replica", "--id", "0", "--no-device", "-f"],
  client: ["run", "client", "-f"],
};

interface Start {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Nanoseconds that all threads of a process have run. */
function ranNs(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return sum;
}

class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), "kpaxos-startup-"));
  readonly #sockets: { close(): void }[] = [];
  #heard: (() => void) | undefined;

  /** Ports at which this process listens. */
  async peers(count: number): Promise<number[]> {
    const ports: number[] = [];
    while (ports.length < count) {
      const socket = await Bun.udpSocket({
        hostname: HOST,
        port: 0,
        socket: { data: () => this.#heard?.() },
      });
      this.#sockets.push(socket);
      ports.push(socket.port);
    }
    return ports;
  }

  firstFrame(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#heard = resolve;
    return promise;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function configure(stage: Stage, role: string, wire: string): Promise<string> {
  const peers = await stage.peers(4);
  const [own] = await freePorts(1, HOST);
  const at = (port: number | undefined): string => `${HOST} ${port}`;
  const lines =
    role === "replica"
      ? [`replica 0 ${at(own)}`, `replica 1 ${at(peers[0])}`, `replica 2 ${at(peers[1])}`]
      : [
          `acceptor 0 ${at(role === "acceptor" ? own : peers[0])}`,
          `acceptor 1 ${at(peers[1])}`,
          `acceptor 2 ${at(peers[3])}`,
          `proposer 0 ${at(role === "proposer" ? own : peers[2])}`,
          ...(role === "learner" ? [`learner 0 ${at(own)}`] : []),
        ];
  // In the Kernel_Paxos wire an acceptor is silent until it is spoken to.
  const file = join(stage.directory, "paxos.conf");
  writeFileSync(file, `wire ${wire}\n${lines.join("\n")}\n`);
  return file;
}

async function once(stage: Stage, role: string, argv: readonly string[]): Promise<Start> {
  const first = role === "version" ? undefined : stage.firstFrame();
  const began = performance.now();
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${role}: no frame in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    await Promise.race([first ?? child.exited, late]);
    const wallMs = performance.now() - began;
    const cpuUs =
      child.exitCode === null ? ranNs(child.pid) / 1000 : Number(child.resourceUsage()?.cpuTime.total ?? 0);
    return { wallMs, cpuMs: cpuUs / 1000 };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
    await child.exited;
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

function row(role: string, program: string, starts: readonly Start[]): string {
  const walls = starts.map(({ wallMs }) => wallMs);
  const [mid, fast] = [median(walls), Math.min(...walls)];
  const cpu = median(starts.map(({ cpuMs }) => cpuMs));
  const mark = fast < GOAL_MS ? "" : " (too slow)";
  return `| ${role} | ${program} | ${mid.toFixed(1)} | ${fast.toFixed(1)}${mark} | ${cpu.toFixed(1)} |\n`;
}

async function main(): Promise<void> {
  const { values: chosen } = parseArgs({
    options: {
      starts: { type: "string", default: "21" },
      main: { type: "string", multiple: true, default: [existsSync(EXECUTABLE) ? EXECUTABLE : MAIN] },
      role: { type: "string", multiple: true, default: Object.keys(ROLES) },
      wire: { type: "string", default: "native" },
    },
  });
  const programs = chosen.main.map((path) => (path.endsWith(".ts") ? [process.execPath, path] : [path]));
  process.stdout.write(
    "| start of | program | median ms | fastest ms | processor ms |\n| --- | --- | ---: | ---: | ---: |\n",
  );
  for (const role of chosen.role) {
    if (chosen.wire !== "native" && role === "acceptor") continue;
    const words = ROLES[role];
    if (words === undefined) throw new Error(`no role ${role}: ${Object.keys(ROLES).join(", ")}`);
    const stage = new Stage();
    try {
      const file = role === "version" ? [] : [await configure(stage, role, chosen.wire)];
      const starts = programs.map((): Start[] => []);
      for (let i = 0; i < Number(chosen.starts); i++) {
        for (const [at, program] of programs.entries())
          starts[at]!.push(await once(stage, role, [...program, ...words, ...file]));
      }
      for (const [at, path] of chosen.main.entries()) process.stdout.write(row(role, path, starts[at]!));
    } finally {
      stage.close();
    }
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
