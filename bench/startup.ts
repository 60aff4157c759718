/**
 * From starting a process to its first frame, for each role: milliseconds on the wall, the median and the fastest of some
 * starts, and processor time of all its threads until then. UDP on 127.0.0.1; the peers it speaks to are this process, which
 * answers nothing. The program measured is dist/kpaxos where it is built, else src/main.ts. Several programs take turns, so that
 * a busy moment meets all of them.
 *
 *     bun bench/startup.ts [--starts 21] [--main PATH]... [--role R]... [--wire W]
 */
import { STARTED_ROLES, type Start, StartStage } from "../src/bench/first_frame.ts";
import { median } from "../src/bench/statistics.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, usageError, whole } from "./support/script.ts";

const GOAL_MS = 30;
const ROLES = ["version", ...Object.keys(STARTED_ROLES)];

/** How long the program takes to say its version, and what that costs. */
async function version(program: readonly string[]): Promise<Start> {
  const began = performance.now();
  const child = Bun.spawn([...program, "--version"], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  await child.exited;
  return {
    wallMs: performance.now() - began,
    cpuMs: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000,
  };
}

function printStarts(role: string, program: string, starts: readonly Start[]): void {
  const walls = starts.map(({ wallMs }) => wallMs);
  const [mid, fast] = [median(walls), Math.min(...walls)];
  const cpu = median(starts.map(({ cpuMs }) => cpuMs));
  const mark = fast < GOAL_MS ? "" : " (too slow)";
  printRow([role, program, mid.toFixed(1), `${fast.toFixed(1)}${mark}`, cpu.toFixed(1)]);
}

async function main(): Promise<void> {
  const chosen = flags({
    starts: { type: "string", default: "21" },
    main: { type: "string", multiple: true, default: [MAIN_FLAG.main.default] },
    role: { type: "string", multiple: true, default: ROLES },
    wire: { type: "string", default: "native" },
  });
  const wanted = whole("starts", chosen.starts);
  const stranger = chosen.role.find((role) => !ROLES.includes(role));
  if (stranger !== undefined)
    throw usageError(`--role: there is no ${stranger}`, `there are ${ROLES.join(", ")}`);
  const programs = chosen.main.map(commandOf);
  printRow(["start of", "program", "median ms", "fastest ms", "processor ms"]);
  printRow(["---", "---", "---:", "---:", "---:"]);
  for (const role of chosen.role) {
    if (chosen.wire !== "native" && role === "acceptor") continue;
    const stage = role === "version" ? undefined : await StartStage.open(role, chosen.wire);
    try {
      const starts = programs.map((): Start[] => []);
      for (let i = 0; i < wanted; i++) {
        for (const [at, program] of programs.entries())
          starts[at]!.push(await (stage === undefined ? version(program) : stage.once(program)));
      }
      for (const [at, path] of chosen.main.entries()) printStarts(role, path, starts[at]!);
    } finally {
      stage?.close();
    }
  }
}

await script(main);
