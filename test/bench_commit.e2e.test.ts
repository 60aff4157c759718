/**
 * `kpaxos bench commit`: short runs, as processes that commit at once, and that nothing is left of them whoever is ended. Figures
 * are not looked at, only that there are some.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withUser } from "./support/bench_user.ts";
import { COMMAND } from "./support/cluster.ts";
import { describeUnless } from "./support/skip.ts";
import { until } from "./support/until.ts";

const COMPILED = join(import.meta.dir, "../dist/kpaxos");
const TIMEOUT_MS = 120_000;

/** What processes that commit at once have to do. */
function commits(where: string, command: readonly string[] = COMMAND): void {
  test(
    `${where}: both backends, alone and at once`,
    () =>
      withUser(
        async (user) => {
          const words = ["--commits", "3", "--acceptors", "2", "--storage-path", user.home];
          const { prices, ...rest } = JSON.parse(await user.ok("bench", "commit", "--json", ...words)) as {
            prices: ({ storage: string } & Record<string, number>)[];
          };
          expect(rest).toEqual({ acceptors: 2, commits: 3 });
          expect(prices.map(({ storage }) => storage)).toEqual(["sqlite", "log"]);
          for (const { storage: _, ...times } of prices) {
            expect(Object.keys(times)).toEqual(["aloneUs", "quorumUs", "appendUs"]);
            for (const us of Object.values(times)) expect(us).toBeGreaterThan(0);
          }
          expect(readdirSync(user.home)).toEqual([]);
        },
        { command },
      ),
    TIMEOUT_MS,
  );
}

describe("commits", () => {
  commits("a checkout");
  describeUnless(
    existsSync(COMPILED) ? undefined : "dist/kpaxos is not there: npm run build",
    "compiled",
    () => commits("the executable", [COMPILED]),
  );

  test(
    "as a table: a line for each backend, in the order that was asked for",
    () =>
      withUser(async (user) => {
        const words = ["--commits", "3", "--acceptors", "2", "--storage", "log,sqlite"];
        const lines = (await user.ok("bench", "commit", ...words)).split("\n");
        expect(lines[0]).toMatch(/^p50 µs {2} *alone {2}a quorum of 2 at once {2} *append$/);
        expect(lines[1]).toMatch(/^log {5}( +\d+){3}$/);
        expect(lines[2]).toMatch(/^sqlite {2}( +\d+){3}$/);
        expect(lines.slice(3)).toEqual([""]);
        // Figures end where their titles do.
        expect(new Set(lines.slice(0, 3).map(({ length }) => length)).size).toBe(1);
      }),
    TIMEOUT_MS,
  );

  test(
    "a signal ends all processes, and nothing is left",
    () =>
      withUser(async (user) => {
        const words = ["--storage", "log", "--storage-path", user.home];
        const child = user.spawn(["bench", "commit", "--commits", "100000", ...words]);
        await until("there are databases", () => readdirSync(user.home).length > 0, 20_000);
        child.kill("SIGINT");
        await child.exited;
        expect(child.signalCode).toBe("SIGINT");
        expect(readdirSync(user.home)).toEqual([]);
        expect(readdirSync(tmpdir()).filter((name) => name.includes(`-${child.pid}-`))).toEqual([]);
      }),
    TIMEOUT_MS,
  );

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    test(
      `${signal} to the one that tells ends those that are told`,
      () =>
        withUser(async (user) => {
          const child = user.spawn(["bench", "commit", "--commits", "100000"]);
          await until("three commit", () => user.processes().length === 4, 60_000);
          child.kill(signal);
          await child.exited;
          expect(child.signalCode).toBe(signal);
          await until("nothing runs any more", () => user.processes().length === 0);
        }),
      TIMEOUT_MS,
    );
  }

  test(
    "one that ends is named",
    () =>
      withUser(async (user) => {
        const words = ["--storage", "log", "--storage-path", user.home];
        const child = user.spawn(["bench", "commit", "--commits", "100000", ...words]);
        const path = new Bun.Glob("*/append");
        const appended = (): boolean =>
          [...path.scanSync(user.home)].some((file) => statSync(join(user.home, file)).size > 0);
        await until("a turn of all is over", appended, 60_000);
        const told = user.processes().find(({ pid }) => pid !== child.pid)!;
        process.kill(told.pid, "SIGKILL");
        const [code, err] = await Promise.all([child.exited, child.stderr.text()]);
        expect(err).toMatch(/^error: process \d that commits ended by SIGKILL/m);
        expect(code).toBe(1);
      }),
    TIMEOUT_MS,
  );

  test(
    "one that is told commits what it reads at once, and ends with its input",
    () =>
      withUser(async (user) => {
        const words = ["--when-told", "--storage", "log", "--storage-path", user.home];
        const child = Bun.spawn([...COMMAND, "bench", "commit", ...words], {
          stdin: Buffer.from("123"),
          stdout: "pipe",
          stderr: "pipe",
        });
        const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
        expect({ err, code }).toEqual({ err: "", code: 0 });
        expect(out).toMatch(/^0 [\d.]+\n3 [\d.]+\n$/);
      }),
    TIMEOUT_MS,
  );
});
