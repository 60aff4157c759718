/**
 * `kpaxos bench`: short runs of everything it does, over UDP, between network namespaces, as an ordinary user and as the compiled
 * executable; and that nothing is ever left behind. Figures are not looked at, only that there are some.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "../src/bench/goals.ts";
import type { BenchResult } from "../src/bench/result.ts";
import { ownerOf } from "../src/ops/lab_names.ts";
import { listNamespaces } from "../src/ops/lab_sweep.ts";
import { benchResult, cellResult, roundOf } from "./support/bench_result.ts";
import { type UserOptions, withUser } from "./support/bench_user.ts";
import { type ClusterUser, whyNoOrdinaryUser } from "./support/cluster_command.ts";
import { describeNetns } from "./support/netns.ts";
import { describeUnless } from "./support/skip.ts";
import { until } from "./support/until.ts";

const COMPILED = join(import.meta.dir, "../dist/kpaxos");
const SHORT = ["--seconds", "0.2", "--warm-up", "0.1", "--rounds", "1"];
const TIMEOUT_MS = 120_000;

function namespacesOf(pid: number): string[] {
  return listNamespaces().filter((name) => ownerOf(name) === pid);
}

async function bench(user: ClusterUser, ...words: string[]): Promise<BenchResult> {
  return JSON.parse(await user.ok("bench", ...SHORT, "--json", ...words)) as BenchResult;
}

function expectMeasured(result: BenchResult, cells: number): void {
  expect(result).toMatchObject({ format: "kpaxos-bench", machine: { bun: Bun.version } });
  expect(result.machine.loadAfter).toHaveLength(3);
  expect(result.cells).toHaveLength(cells);
  for (const { rounds, latencyUs, series } of result.cells) {
    expect(series.length).toBeGreaterThan(0);
    expect(latencyUs.p50).toBeGreaterThan(0);
    expect(latencyUs.max).toBeGreaterThanOrEqual(latencyUs.p999);
    for (const round of rounds) {
      // On a machine that stands still for a while none may come back just then.
      expect(round.valuesPerSecond).toBeGreaterThanOrEqual(0);
      expect(round.processes.map(({ name }) => name.split(" ")[0])).toContain("client");
      for (const one of round.processes) expect(one.residentBytes).toBeGreaterThan(1e6);
    }
  }
}

/** What every place has to do. */
function behaves(place: string, where: readonly string[], options: UserOptions = {}): void {
  test(
    `${place}: loads, half of them, a page`,
    () =>
      withUser(async (user) => {
        const page = join(user.home, "report");
        const words = ["--windows", "1,10", "--half", "--report", page, ...where];
        const result = await bench(user, ...words);
        const halves = result.cells.filter(({ cell }) => cell.halfOfWindow !== undefined);
        expectMeasured(result, 2 + halves.length);
        // Of what is too slow to be halved there is none.
        for (const { cell } of halves) expect(cell.window).toBe(4096);
        expect(result.commandLine).toContain("--half --report");
        const names = result.cells[0]!.rounds[0]!.processes.map(({ name }) => name);
        expect(names).toEqual(["acceptor 0", "acceptor 1", "acceptor 2", "proposer 0", "client"]);
        expect(result.cells.some(({ rounds }) => rounds[0]!.framesPerValue! > 0)).toBe(true);
        expect(readdirSync(page).sort()).toEqual(["index.html", "result.json"]);
        expect(readFileSync(join(page, "index.html"), "utf8")).toContain("</html>");
        // Read as what it was before.
        const compared = await user.run(
          "bench",
          "--compare",
          join(page, "result.json"),
          join(page, "result.json"),
        );
        expect(compared).toMatchObject({ code: 0, err: "" });
        expect(compared.out).toContain("cannot tell");
      }, options),
    TIMEOUT_MS,
  );

  test(
    `${place}: a signal ends everything, and itself by that signal`,
    () =>
      withUser(async (user) => {
        for (const [signal, words] of [
          ["SIGINT", ["--seconds", "60", ...where]],
          ["SIGTERM", ["link", "--seconds", "60", ...where]],
        ] as const) {
          const child = user.spawn(["bench", ...words]);
          const said = Promise.all([child.stdout.text(), child.stderr.text()]);
          await until("both ends or a client run", () => user.processes().length >= 3, 20_000);
          child.kill(signal);
          await child.exited;
          expect(child.signalCode).toBe(signal);
          expect((await said).join("")).not.toContain("error");
          expect(namespacesOf(child.pid)).toEqual([]);
          await until("nothing runs any more", () => user.processes().length === 0);
        }
      }, options),
    TIMEOUT_MS,
  );

  test(
    `${place}: the bare link`,
    () =>
      withUser(async (user) => {
        const words = ["bench", "link", "--sizes", "64,1000", "--seconds", "0.1", "--json", ...where];
        const { figures } = JSON.parse(await user.ok(...words)) as {
          figures: {
            bytes: number;
            packets: string;
            oneWay: Record<string, number>;
            roundTrips: Record<string, number>;
          }[];
        };
        expect(figures.map(({ bytes, packets }) => [bytes, packets])).toEqual(
          [64, 1000].flatMap((bytes) => ["bundles", "single"].map((kind) => [bytes, kind])),
        );
        for (const { oneWay, roundTrips } of figures) {
          expect(oneWay.receivedPerSecond).toBeGreaterThan(0);
          expect(roundTrips.perSecond).toBeGreaterThan(0);
        }
      }, options),
    TIMEOUT_MS,
  );
}

behaves("UDP", ["--udp"]);
describeNetns("raw Ethernet", () => {
  behaves("raw Ethernet", []);

  test(
    "beside the floor, wires, storage, replicas, clients, groups, an open loop",
    () =>
      withUser(async (user) => {
        const floor = await bench(user, "--floor", "--windows", "1", "--layout", "roles,replicas");
        expectMeasured(floor, 2);
        if (floor.noFloor === null) {
          for (const { rounds } of floor.cells) expect(rounds[0]!.floor!.valuesPerSecond).toBeGreaterThan(0);
          for (const one of floor.cells) expect(one.floor).toMatchObject({ rate: null, lost: 0 });
        } else expect(floor.noFloor).toContain("compiler");
        const udp = await bench(user, "--udp", "--floor", "--windows", "1");
        expectMeasured(udp, 1);
        expect(udp.place).toContain("network namespaces on a bridge, UDP");
        expect(udp.cells[0]!.rounds[0]!.floor?.valuesPerSecond).toEqual(
          floor.noFloor === null ? expect.any(Number) : undefined,
        );
        const wide = ["--wires", "native,kernel-paxos", "--storage", "memory,sqlite", "--clients", "2"];
        expectMeasured(await bench(user, "--windows", "10", "--batching", "no", ...wide), 4);
        const groups = await bench(user, "--groups", "2", "--acceptors", "1", "--windows", "10");
        expectMeasured(groups, 1);
        const names = groups.cells[0]!.rounds[0]!.processes.map(({ name }) => name);
        expect(names).toContain("acceptor 0 of group 1");
        expect(names.slice(-2)).toEqual(["client of group 0", "client of group 1"]);
        const open = await bench(user, "--rate", "100,300.5", "--acceptors", "1", "--sizes", "8");
        expectMeasured(open, 2);
        expect(open.cells.map(({ cell }) => cell.rate)).toEqual([100, 300.5]);
      }),
    TIMEOUT_MS,
  );

  test(
    "the floor in an open loop: at the same rate, or at half of its own maximum",
    () =>
      withUser(async (user) => {
        const open = await bench(user, "--floor", "--rate", "500.5,2000", "--acceptors", "1");
        expectMeasured(open, 2);
        if (open.noFloor !== null) {
          expect(open.noFloor).toContain("compiler");
          return;
        }
        expect(open.cells.map(({ floor }) => floor!.rate)).toEqual([500.5, 2000]);
        const halves = await bench(user, "--floor", "--half", "--windows", "100", "--batching", "no");
        for (const { cell, rounds, floor } of halves.cells) {
          const [{ floor: beside }] = rounds as [(typeof rounds)[number]];
          expect(floor!.rate).toBe(beside!.rate ?? null);
          expect(floor!.latencyUs.p50).toBeGreaterThan(0);
          if (cell.halfOfWindow === undefined) continue;
          const closed = halves.cells[0]!.floor!.valuesPerSecond;
          expect(floor!.rate).toBe(Number((closed / 2).toPrecision(3)));
        }
        // Without a maximum of its own it has no half of it.
        const large = await bench(user, "--floor", "--half", "--windows", "40000", "--acceptors", "1");
        expect(large.cells.map(({ floor }) => floor)).toEqual(large.cells.map(() => undefined));
      }),
    TIMEOUT_MS,
  );

  test(
    "the targets, each with what was measured",
    () =>
      withUser(async (user) => {
        const words = [
          "bench",
          "--preset",
          "targets",
          "--json",
          "--seconds",
          "0.1",
          "--warm-up",
          "0.1",
          "--rounds",
          "1",
        ];
        const { targets } = JSON.parse(await user.ok(...words)) as { targets: Target[] };
        expect(targets.length).toBeGreaterThanOrEqual(20);
        const verdicts = ["reached", "missed", "too close to tell", null];
        for (const { what, goal, measured, verdict } of targets) {
          expect([what, goal, measured]).not.toContain("");
          expect(verdicts).toContain(verdict);
          expect(measured).not.toMatch(/NaN|undefined|Infinity/);
        }
        const halves = targets.filter(({ what, ratio }) => what.includes("half of that") && ratio !== null);
        if (Bun.which("cc") !== null)
          for (const { measured } of halves)
            expect(measured).toMatch(/; floor at half of its own: [\d,]+ values/);
      }),
    5 * TIMEOUT_MS,
  );

  describeUnless(
    existsSync(COMPILED) ? undefined : "dist/kpaxos is not there: npm run build",
    "compiled",
    () => {
      test(
        "the executable carries the floor's sources",
        () =>
          withUser(
            async (user) => {
              const result = await bench(user, "--floor", "--windows", "1");
              expectMeasured(result, 1);
              const { floor } = result.cells[0]!.rounds[0]!;
              expect(floor === undefined ? result.noFloor : "compiled").toMatch(/compile/);
            },
            { command: [COMPILED] },
          ),
        TIMEOUT_MS,
      );
    },
  );
});
describeUnless(whyNoOrdinaryUser(), "an ordinary user", () =>
  behaves("a user namespace", [], { ordinary: true }),
);

test(
  "a load that cannot be measured fails alone",
  () =>
    withUser(async (user) => {
      const words = ["--udp", "--acceptors", "1", "--windows", "1", "--sizes", "64,7000000"];
      const { code, out } = await user.run("bench", ...SHORT, "--json", ...words);
      expect(code).toBe(1);
      const result = JSON.parse(out) as BenchResult;
      expectMeasured(result, 1);
      expect(result.failures).toHaveLength(1);
      expect(result.failures[0]!.cell).toContain("7000000 B");
      expect(result.failures[0]!.why).toContain("--value-size 7000000 is more than max-value-size");
    }),
  TIMEOUT_MS,
);

describe("a cluster that runs", () => {
  test(
    "is measured by its configuration, and left as it is",
    () =>
      withUser(async (user) => {
        await user.ok("cluster", "up", "--link", "udp", "--acceptors", "1");
        try {
          const { config } = await user.status();
          const result = await bench(user, "-f", config, "--windows", "1");
          expectMeasured(result, 1);
          expect(result.cells[0]!.cell).toMatchObject({ acceptors: 1, layout: "roles" });
          expect(result.cells[0]!.rounds[0]!.framesPerValue).toBeNull();
          const refused = await user.run("bench", "-f", config, "--acceptors", "3");
          expect(refused).toMatchObject({ code: 2 });
          expect(refused.err).toContain("--acceptors is of a cluster that bench starts itself");
          expect((await user.status()).up).toBe(true);
        } finally {
          await user.ok("cluster", "down");
        }
      }),
    TIMEOUT_MS,
  );
});

describe("what is wrong is said before anything runs", () => {
  const wrong: readonly (readonly [words: readonly string[], said: string])[] = [
    [["--windows", "1,x"], '--windows expects a list of whole numbers from 1 to 65536, got "x"'],
    [["--windows", "1,,2"], "expects a list like A,B,C"],
    [["--windows", "0"], 'got "0"'],
    [["--rate", "-5"], "--rate"],
    [["--wires", "nativ"], "did you mean native?"],
    [["--storage", "tape"], "--storage expects a list of memory, sqlite"],
    [["--layout", "replica"], "did you mean replicas?"],
    [["--acceptors", "300"], "from 1 to 250"],
    [["--settings", "verbosiy=info"], "did you mean verbosity?"],
    [["--settings", "wire=native"], "--settings: wire has a flag of its own"],
    [["--settings", "verbosity"], "expects KEY=VALUE"],
    [["--settings", "verbosity=loud"], "verbosity"],
    [["--half", "--rate", "10"], "--half follows a closed loop"],
    [["--preset", "targets", "--windows", "1"], "--preset targets chooses --windows itself"],
    [["--preset", "targets", "--settings", "storage-sync=off"], "is about storage that syncs"],
    [["--preset", "goals"], "targets"],
    [["--compare", "a.json"], "--compare needs two results"],
    [["--compare", "/none/a.json", "/none/b.json"], "cannot read /none/a.json"],
    [["--compare", "a.json", "b.json", "--floor"], "--compare runs nothing, and --floor is about a run"],
    [["--compare", "a.json", "b.json", "--windows", "1"], "and --windows is about a run"],
    [["lnk"], 'unexpected "lnk"'],
    [["--report", "/dev/null/x"], "cannot write a report there: "],
    [["--storage-path", "/none"], "/none"],
    [["link", "--listen"], "--listen needs --interface NAME or --address IP:PORT"],
    [["link", "--listen", "--address", "1.2.3.4"], "--address expects IP:port"],
    [["link", "--peer", "02:00:00:00:00:01"], "a MAC needs --interface NAME"],
    [["link", "--interface", "eth0"], "--interface needs --listen, or --peer MAC"],
    [["link", "--sizes", "5"], "from 28 to"],
    [
      ["link", "--udp", "--interface", "eth0", "--peer", "02:00:00:00:00:01"],
      "--udp is about a link of this",
    ],
    [["link", "--address", "127.0.0.1:9"], "--address goes with --listen"],
    [["commit", "--storage", "memory"], "--storage expects a list of sqlite, log"],
    [["commit", "--storage-path", "/none"], "no place for databases: "],
    [["commit", "--when-told", "--storage", "log"], "--when-told needs --storage-path DIR"],
    [["commit", "--when-told", "--commits=5"], "--commits=5 says nothing to one process"],
    [["commit", "--when-told", "--storage-path", "/tmp"], "and one backend: --storage log"],
  ];
  for (const [words, said] of wrong) {
    test(words.join(" "), () =>
      withUser(async (user) => {
        const where =
          ["link", "commit"].includes(words[0]!) || words.includes("--compare")
            ? []
            : ["--udp", ...SHORT.slice(0, 2)];
        const free = where.filter((word) => !words.includes(word));
        const { code, out, err } = await user.run(
          "bench",
          ...words,
          ...(words.includes("--preset") ? [] : free),
        );
        expect({ code, out, err }).toEqual({
          code: expect.any(Number),
          out: "",
          err: expect.stringContaining(said),
        });
        expect([1, 2, 78]).toContain(code);
        expect(err).not.toContain("bug in kpaxos");
      }),
    );
  }
});

test("two results that differ: exit code 1", () =>
  withUser(async (user) => {
    const rates = [100, 101, 102, 103, 104];
    const paths = [1, 2].map((factor) => {
      const path = join(user.home, `${factor}.json`);
      const rounds = rates.map((rate) => roundOf(rate * factor));
      writeFileSync(path, JSON.stringify(benchResult([cellResult(rounds)])));
      return path;
    });
    const { code, out, err } = await user.run("bench", "--compare", ...paths);
    expect({ code, err }).toEqual({ code: 1, err: "" });
    expect(out).toContain("better");
    const json = await user.run("bench", "--json", "--compare", ...paths.toReversed());
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out).cells[0].differences[0]).toMatchObject({ verdict: "worse" });
    const twice = await user.run("bench", "--compare", paths.join(","), paths[0]!);
    expect(twice).toMatchObject({ code: 2, out: "" });
    expect(twice.err).toContain("are one run");
  }));
