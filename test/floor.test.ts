/**
 * The floor's loops, above all the open one: every value that had its turn while it measured counts once, whether it was answered, had to wait for
 * its place or never came back. All roles are on the `lo` of a network namespace of their own. How fast it is is not looked at.
 */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { compileFloor } from "../src/bench/floor.ts";
import { residentOf } from "../src/bench/usage.ts";
import { Policy } from "../src/native/cpus.ts";
import { describeNetns } from "./support/netns.ts";
import { describeUnless } from "./support/skip.ts";

const floor = compileFloor(true);
afterAll(() => {
  if (floor.ok) floor.remove();
});

const WARM_UP = 0.3;
const DRAIN_US = 500_000;
/** `$1`: the program; `$2`: what runs beside the client; then what the client is told. A role is started when the one before is ready. */
const SCRIPT = `
set -e
program=$1 others=$2; shift 2
ip link set lo up
all="lo --acceptors 3 --proposer 00:00:00:00:00:00 --client 00:00:00:00:00:00"
ready=$(dirname "$program")/ready.$$
mkfifo "$ready"
started=
trap 'kill $started; rm "$ready"' EXIT
start() { "$program" "$@" $all 2>"$ready" & started="$started $!"; read -r _ <"$ready"; }
if [ "$others" = roles ]; then
  for id in 0 1 2; do start acceptor --id $id; done
  start proposer
elif [ "$others" = replicas ]; then
  for id in 1 2; do start acceptor --id $id --learns; done
  start proposer --votes --learns
fi
"$program" client $all "$@"
`;

interface Told {
  readonly values: number;
  readonly lost: number;
  readonly valuesPerSecond: number;
  readonly latencies: readonly number[];
}

async function run(others: "nobody" | "roles" | "replicas", ...words: string[]): Promise<Told> {
  if (!floor.ok) throw new Error(floor.reason);
  const script = ["sh", "-c", SCRIPT, "sh", floor.program, others, ...words];
  const child = Bun.spawn(["unshare", "--net", ...script], { stdout: "pipe", stderr: "pipe" });
  const [text, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if (!text.startsWith("{")) throw new Error(`the floor said nothing: ${errors}`);
  return JSON.parse(text) as Told;
}

/** Of the pairs of microseconds and how often. */
function counted({ latencies }: Told): { values: number; least: number; most: number } {
  const us = latencies.filter((_, i) => i % 2 === 0);
  const values = latencies.filter((_, i) => i % 2 === 1).reduce((sum, often) => sum + often, 0);
  return { values, least: Math.min(...us), most: Math.max(...us) };
}

/** The first or the last turn may fall on either side of a limit. */
function expectAbout(values: number, turns: number): void {
  expect(Math.abs(values - turns)).toBeLessThanOrEqual(1);
}

describeNetns("the floor", () => {
  describeUnless(floor.ok ? undefined : floor.reason, "in an open loop", () => {
    test("counts what never comes back with the time it was waited for", async () => {
      const told = await run("nobody", "--rate", "1000", "--window", "10", "--seconds", "0.2");
      const { values, least, most } = counted(told);
      expectAbout(values, 200);
      expectAbout(told.lost, 1000 * (0.2 + WARM_UP));
      expect(least).toBeGreaterThanOrEqual(DRAIN_US - 1);
      expect(most).toBeLessThanOrEqual((DRAIN_US + 200_000) * (1 + 1 / 512));
      expect(told).toMatchObject({ values: 0, valuesPerSecond: 0 });
    });

    test("counts each value once", async () => {
      const told = await run("roles", "--rate", "2000.5", "--window", "4096", "--seconds", "1", "--packs");
      expectAbout(counted(told).values, 2000.5);
      expect(told.values).toBeGreaterThan(0);
    });

    test("counts what has to wait for its place, too", async () => {
      const told = await run("roles", "--rate", "1000000", "--window", "1", "--seconds", "0.3");
      expectAbout(counted(told).values, 300_000);
      expect(told.lost).toBeGreaterThan(0);
      expect(counted(told).most).toBeGreaterThanOrEqual(DRAIN_US);
    });

    test.each(["roles", "replicas"] as const)(
      "and in a closed one, of %s, what was answered",
      async (others) => {
        const told = await run(others, "--window", "10", "--seconds", "0.3");
        const { values } = counted(told);
        expect(values).toBeGreaterThan(0);
        expect(values).toBeLessThanOrEqual(told.values + 2 * 10);
      },
    );
  });
});

test("the floor refuses what is no rate", () => {
  if (!floor.ok) return;
  for (const rate of ["0", "-1", "x", "1e9", ""]) {
    const { exitCode, stderr } = Bun.spawnSync([floor.program, "client", "lo", "--rate", rate]);
    expect({ rate, exitCode }).toEqual({ rate, exitCode: 2 });
    expect(stderr.toString()).toContain("a number above 0");
  }
});

/** `SCHED_…` of sched(7), as the kernel tells it of a process: field 41 of its stat, counted behind the name. */
function policyOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38]);
}

/** A role that has said it is ready, on the `lo` of a namespace of its own. */
async function withReady(words: readonly string[], look: (pid: number) => void): Promise<void> {
  if (!floor.ok) throw new Error(floor.reason);
  const script = 'ip link set lo up && exec "$0" "$@"';
  const argv = ["unshare", "--net", "sh", "-c", script, floor.program, ...words];
  const child = Bun.spawn(argv, { stdout: "ignore", stderr: "pipe" });
  try {
    const { value } = await child.stderr.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("ready\n");
    look(child.pid);
  } finally {
    child.kill();
    await child.exited;
  }
}

describeNetns("the floor's memory", () => {
  describeUnless(floor.ok ? undefined : floor.reason, "is there before it is measured", () => {
    // Otherwise a page of it is made for every third value, on the way of that value: a lone one took a seventh longer.
    const INSTANCES = 65_536;
    const A_FRAME = 1500;
    test.each(["acceptor", "proposer", "client"])("of the %s", (role) =>
      withReady([role, "lo", "--seconds", "5"], (pid) =>
        expect(residentOf(pid)).toBeGreaterThan(INSTANCES * A_FRAME),
      ),
    );
  });
});

describeNetns("the floor's scheduling", () => {
  describeUnless(floor.ok ? undefined : floor.reason, "is that of the cluster beside it", () => {
    test.each([
      ["normal", Policy.other],
      ["auto", Policy.batch],
      ["realtime", Policy.roundRobin],
    ])("%s", async (scheduling, policy) => {
      await withReady(["acceptor", "lo", "--scheduling", scheduling], (pid) =>
        expect(policyOf(pid)).toBe(policy),
      );
    });
  });
});
