/**
 * The microbenchmarks run, each for a moment: their figures are not looked at. All programs of bench/ tell wrong flags.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./support/until.ts";

const BENCH = join(import.meta.dir, "../bench");
const MICRO = join(BENCH, "micro.ts");
const STORAGE = join(BENCH, "storage.ts");

function micro(...args: string[]): { status: number; out: string; err: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, MICRO, ...args]);
  return { status: exitCode, out: stdout.toString(), err: stderr.toString() };
}

test("every microbenchmark runs", () => {
  const { status, out, err } = micro("--quick", "--json");
  expect({ status, err }).toEqual({ status: 0, err: "" });
  const rows = JSON.parse(out) as {
    name: string;
    opsPerSecond: number;
    nsPerOp: number;
    marginPercent: number;
  }[];
  expect(rows.length).toBeGreaterThanOrEqual(25);
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  for (const { opsPerSecond, nsPerOp } of rows) {
    expect(opsPerSecond).toBeGreaterThan(0);
    expect(nsPerOp).toBeGreaterThan(0);
  }
  for (const what of [
    "encode accept",
    "decode accept",
    "acceptor",
    "learner",
    "proposer",
    "a value packed",
    "packed value admitted",
    "packed value delivered",
    "packed value, accept",
    "leader: a full instance",
    "a replica's acceptor: a full instance",
    "a replica's learner: a full instance",
    "a replica's acceptor and learner: a full instance",
    "a value's whole way",
    "ring",
    "FFI",
    "crc32c",
    "UDP",
  ])
    expect(rows.some(({ name }) => name.includes(what))).toBe(true);
});

test("as a table, and only some", () => {
  const { status, out } = micro("--quick", "--only", "crc32c");
  expect(status).toBe(0);
  const lines = out.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^task +ops\/s +ns\/op +±$/);
  expect(lines).toHaveLength(5);
});

test("what is in no name is told, with all names there are", () => {
  const { status, out, err } = micro("--only", "crc23c");
  expect({ status, out }).toEqual({ status: 2, out: "" });
  expect(err).toStartWith('error: --only: no task has "crc23c" in its name\nhint: the tasks are\n');
  expect(err.trimEnd().split("\n").length).toBeGreaterThanOrEqual(25);
  expect(err).toContain("\n  crc32c of 64 B in C\n");
});

test("so does what a key costs", () => {
  const { exitCode, stdout } = Bun.spawnSync([
    ...[process.execPath, join(import.meta.dir, "../bench/auth.ts")],
    ...["--quick", "--json"],
  ]);
  expect(exitCode).toBe(0);
  const rows = JSON.parse(stdout.toString()) as Record<string, number>[];
  expect(rows.map(({ bytes }) => bytes)).toEqual([64, 512, 1500]);
  for (const row of rows) for (const ns of Object.values(row)) expect(ns).toBeGreaterThan(0);
});

test("the benchmark of storage runs", () => {
  const words = [STORAGE, "--quick", "--json"];
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, ...words]);
  expect({ exitCode, err: stderr.toString() }).toEqual({ exitCode: 0, err: "" });
  const rows = JSON.parse(stdout.toString()) as { records: number; ratio: number }[];
  expect(rows.map(({ records }) => records)).toEqual([1, 1, 64, 64, 256, 256, 1, 1, 64, 64, 256, 256]);
  for (const { ratio } of rows) expect(ratio).toBeGreaterThan(0);
});

test("the benchmark of storage tells a directory that is not there", () => {
  const words = [STORAGE, "--storage-path", "/none/here"];
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, ...words]);
  expect({ exitCode, out: stdout.toString() }).toEqual({ exitCode: 2, out: "" });
  expect(stderr.toString()).toMatch(
    /^error: no place for databases: ENOENT.*\nhint: .*--storage-path DIR\n$/,
  );
});

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s ends the benchmark of storage, and nothing is left",
  async (signal) => {
    const home = mkdtempSync(join(tmpdir(), "kpaxos-bench-test-"));
    try {
      const child = Bun.spawn([process.execPath, STORAGE, "--storage-path", home], { stderr: "pipe" });
      const plain = new Bun.Glob("*/plain");
      await until("it measures", () => [...plain.scanSync(home)].length > 0, 20_000);
      child.kill(signal);
      await child.exited;
      expect({ by: child.signalCode, err: await child.stderr.text() }).toEqual({ by: signal, err: "" });
      expect(readdirSync(home)).toEqual([]);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  },
  30_000,
);

describe("a flag that nobody knows is told, with those there are", () => {
  const programs = [...new Bun.Glob("*.ts").scanSync(BENCH)].filter((file) =>
    readFileSync(join(BENCH, file), "utf8").includes("await script("),
  );

  test("these are programs", () => expect(programs.length).toBeGreaterThan(10));

  test.each(programs)("%s", (file) => {
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, join(BENCH, file), "--no-such-flag"]);
    expect(exitCode).toBe(2);
    expect(stderr.toString()).toMatch(new RegExp(`^error: .*--no-such-flag.*\\nhint: bun .*bench/${file} `));
  });
});

test("so is a wrong value", () => {
  const words = [join(BENCH, "groups.ts"), "--groups", "1,0"];
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, ...words]);
  expect(exitCode).toBe(2);
  expect(stderr.toString()).toContain('--groups: "0" is no whole number above 0');
});

describe("whose rows nobody reads any more", () => {
  /** Prints for ever, `each` time so many rows. */
  const rows = (each: number): string => `
    import { printRow, script } from ${JSON.stringify(join(BENCH, "support/script.ts"))};
    await script(async () => {
      try {
        for (;;) {
          for (let row = 0; row < ${each}; row++) printRow(["a", row]);
          await Bun.sleep(1);
        }
      } finally {
        process.stderr.write("cleaned up\\n");
      }
    });`;
  const ended = async (each: number, redirection: string): Promise<unknown> => {
    const line = `"$0" -e "$1" ${redirection}; exit \${PIPESTATUS[0]}`;
    const child = Bun.spawn(["bash", "-c", line, process.execPath, rows(each)], {
      stdout: "pipe",
      stderr: "pipe",
      timeout: 20_000,
    });
    return [await child.exited, await child.stdout.text(), await child.stderr.text()];
  };

  test.each([1, 1000])("it cleans up and ends without a word (%d at once)", async (each) => {
    expect(await ended(each, "| head -1")).toEqual([0, "| a | 0 |\n", "cleaned up\n"]);
  });

  test("it says so where they find no room", async () => {
    const told = expect.stringMatching(/^error: cannot write to standard output: ENOSPC.*\n/);
    expect(await ended(1, "> /dev/full")).toEqual([1, "", told]);
  });
});
