/**
 * Delivery to programs with real processes: `kpaxos tail`, the Kernel_Paxos device read by a plain C program, and
 * learners that are killed under them.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { compileC } from "../support/compile.ts";
import { WIRES } from "../support/e2e.ts";
import { until } from "../support/until.ts";

const SEATS = [
  seat("acceptor", 0, 0),
  seat("acceptor", 1, 1),
  seat("acceptor", 2, 2),
  seat("proposer", 0, 3),
  seat("learner", 0, 4, ["--catch-up"]),
];
const HOST = 4;

interface Printed {
  readonly iid: number;
  readonly index: number;
  readonly session: number;
  readonly value: string;
}

/** A tail that prints JSON, and what it has printed. */
async function startTail(cluster: TestCluster, args: readonly string[] = []) {
  const words = ["tail", "-f", cluster.configPath, "--json", ...args];
  const tail = cluster.launch("tail", HOST, words);
  await tail.waitForLine(/reads .*\.sock/, 10_000);
  const values = (): Printed[] => tail.stdout.map((line) => JSON.parse(line) as Printed);
  const reach = async (count: number): Promise<void> => {
    await until(`${count} values`, () => values().length >= count, 10_000);
  };
  return { tail, values, reach };
}

function expectInOrder(values: readonly Printed[]): void {
  const places = values.map(({ iid, index }) => iid * 1000 + index);
  expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
}

describe("delivery to programs", () => {
  for (const wire of WIRES) {
    describe(wire, () => {
      test("tail: what is there, what comes, and on over a killed learner", async () => {
        await withCluster({ seats: SEATS, link: "loopback", settings: { wire } }, async (cluster) => {
          const load = ["--outstanding", "5", "--value-size", "3"];
          await cluster.runClient([...load, "--values", "50"]);
          const oldest = await startTail(cluster, ["--from", "oldest"]);
          const present = await startTail(cluster);
          await oldest.reach(50);
          expect(new Set(oldest.values().map(({ value }) => value))).toEqual(new Set(["616263"]));
          for (const signal of ["SIGKILL", "SIGTERM"] as const) {
            const learner = cluster.member("learner", 0);
            learner.kill(signal);
            await learner.exited;
            await cluster.start("learner", 0).ready();
            const before = oldest.values().length;
            await cluster.runClient([...load, "--values", "50"]);
            await oldest.reach(before + 50);
          }
          await present.reach(100);
          expectInOrder(oldest.values());
          expect(present.values()).toEqual(oldest.values().slice(-present.values().length));
          const again = await startTail(cluster, ["--from", "oldest"]);
          await again.reach(150);
          expect(again.values()).toEqual(oldest.values());
          expect(oldest.tail.stderr.filter((line) => line.startsWith("missed"))).toEqual([]);
          expect(oldest.tail.stderr.join("\n")).toContain("waiting for learner 0");
          for (const { tail } of [oldest, present, again]) {
            tail.kill("SIGINT");
            expect(await tail.exited).toMatchObject({ exitCode: 0, killed: false });
          }
        });
      }, 60_000);

      test("tail: a count, positions, forms", async () => {
        await withCluster({ seats: SEATS, link: "loopback", settings: { wire } }, async (cluster) => {
          await cluster.runClient(["--values", "20", "--value-size", "5"]);
          const run = async (...args: string[]): Promise<string[]> => {
            const tail = cluster.launch("tail", HOST, ["tail", "-f", cluster.configPath, ...args]);
            expect(await tail.ending(10_000)).toMatchObject({ exitCode: 0, killed: false });
            return tail.stdout;
          };
          // In the native wire the first instance opens the client's session.
          const first = wire === "native" ? 2 : 1;
          const two = [`${first}.0 abcde`, `${first + 1}.0 abcde`];
          expect(await run("--from", "1", "--count", "2")).toEqual(two);
          expect(await run("--from", "7.0", "--count", "1", "--hex")).toEqual(["7.0 6162636465"]);
          const raw = await run("--from", "oldest", "--count", "1", "--raw");
          expect(raw[0]).toMatch(wire === "native" ? /^2\.0 abcde$/ : /^1\.0 0x([0-9a-f]{2}){32}6162636465$/);
        });
      }, 60_000);

      test("a program of Kernel_Paxos at the device", async () => {
        await withCluster(
          { seats: SEATS, link: "loopback", settings: { wire }, start: false },
          async (cluster) => {
            const path = join(cluster.directory, "paxos", "klearner0");
            const start = async (): Promise<void> => {
              const learner = cluster.start("learner", 0, { args: ["--device-path", path] });
              await learner.ready();
            };
            await start();
            await cluster.startAll();
            const program = compileC(join(import.meta.dir, "../support/device_reader.c"));
            const output: string[] = [];
            const child = Bun.spawn([program, path], { stdout: "pipe", stdin: "ignore" });
            const reading = (async () => {
              for await (const chunk of child.stdout) output.push(new TextDecoder().decode(chunk));
            })();
            const lines = (): string[] => output.join("").split("\n").slice(0, -1);
            try {
              await cluster.member("learner", 0).waitForLine(/a program reads/, 10_000);
              await cluster.runClient(["--values", "30", "--value-size", "6"]);
              await until("all records", () => lines().length === 31);
              const size = wire === "native" ? 6 : 38;
              const first = wire === "native" ? 97 : 0;
              expect(new Set(lines())).toEqual(new Set(["open", `${size} ${size + 8} ${first}`]));
              const learner = cluster.member("learner", 0);
              learner.kill("SIGKILL");
              await learner.exited;
              await until("the program sees the end", () => lines().at(-1) === "end");
              await start();
            } finally {
              child.kill();
              await reading;
            }
          },
        );
      }, 60_000);
    });
  }
});
