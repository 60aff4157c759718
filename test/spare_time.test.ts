/** What of its processors' time nobody used, read from what the kernel counts. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { SpareTime } from "../src/node/spare_time.ts";

const STAT = "/proc/stat";

/** Processors of which so much was used, so much idle and waiting for a disk. */
function stat(...cpus: readonly (readonly [used: number, idle: number, waiting: number])[]): string {
  const lines = cpus.map(([used, idle, waiting], i) => `cpu${i} ${used} 0 0 ${idle} ${waiting} 0 0 0 7 7`);
  return ["cpu  9 9 9 9 9 9 9 9 9 9", ...lines, "intr 5 5 5", "ctxt 1", ""].join("\n");
}

/** Looks once after each of these, on the processors of a list; the first look only begins. */
function shares(allowed: string, ...texts: readonly string[]): number[] {
  let text = "";
  const spare = new SpareTime((path) =>
    path === STAT ? text : `Name:\tx\nCpus_allowed_list:\t${allowed}\n`,
  );
  return texts.map((one) => {
    text = one;
    return spare.look();
  });
}

test("the share of idle time and waits for disks since the last look", () => {
  const texts = [stat([100, 100, 100]), stat([160, 130, 110]), stat([160, 230, 110]), stat([170, 230, 110])];
  expect(shares("0", ...texts)).toEqual([0, 0.4, 1, 0]);
});

test("processors that the thread may not run on do not count", () => {
  const texts = [stat([1, 1, 0], [1, 1, 0], [1, 1, 0]), stat([11, 1, 0], [1, 11, 0], [6, 6, 0])];
  expect(["0", "1", "2", "0-1", "1-2"].map((allowed) => shares(allowed, ...texts)[1])).toEqual([
    0, 1, 0.5, 0.5, 0.75,
  ]);
});

test("nothing is spare where nothing is counted, nothing has passed, or a count went back", () => {
  const some = stat([5, 5, 0]);
  expect(shares("7", some, some)).toEqual([0, 0]);
  expect(shares("0", "", "")).toEqual([0, 0]);
  expect(shares("0", some, some)).toEqual([0, 0]);
  expect(shares("0", some, stat([50, 4, 0]))).toEqual([0, 0]);
});

test("what this kernel says of this thread's processors is understood", () => {
  let idler = 0;
  const spare = new SpareTime((path) =>
    readFileSync(path, "latin1").replace(
      /^(cpu\d+(?: \d+){3}) (\d+)/gm,
      (_, before: string, idle: string) => `${before} ${Number(idle) + idler}`,
    ),
  );
  expect(spare.look()).toBe(0);
  idler = 1_000_000;
  expect(spare.look()).toBeGreaterThan(0.9);
});

test("of what cannot be read nothing is spare", () => {
  const spare = new SpareTime(() => "");
  expect([spare.look(), spare.look()]).toEqual([0, 0]);
});
