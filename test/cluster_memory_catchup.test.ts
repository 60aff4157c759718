/**
 * Whole clusters in one process: learners that come late, fall behind a trim, or stand where the log cannot be read any more,
 * while the others go on and trim under them.
 */
import { describe, expect, test } from "bun:test";
import { buildLearning } from "../src/delivery/learning.ts";
import type { Snapshots } from "../src/delivery/snapshots.ts";
import { Role } from "../src/protocol/types.ts";
import { Chain } from "./support/chain.ts";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";
import { PlainState } from "./support/plain_state.ts";

const STORM = { loss: 0.05, duplication: 0.05, reordering: 0.1 };
/** The learners' windows of simulated clusters are tiny; these have room for what is under way. */
const ROOMY = ["learner-window-instances 1024", "learner-window-bytes 4MiB"];
/** The network here is so fast that a window is full within a quarter of a second. */
const SMALL = [...ROOMY, "acceptor-window-instances 8192", "acceptor-window-bytes 8MiB", "trim-every 500"];

interface Machine {
  readonly host: Host;
  readonly chain: Chain;
  readonly snapshots: Snapshots;
}

/** A learner with a state machine behind it. */
function machine(
  cluster: MemoryCluster,
  id: number,
  start: "first" | "newest" = "first",
  bytes?: number,
): Machine {
  const chain = new Chain("chain", bytes);
  let made: Snapshots | undefined;
  const host = cluster.start(`learner ${id}`, id, Role.learner, Role.learner, (context) => {
    const { learner, snapshots } = buildLearning(
      context,
      {
        role: Role.learner,
        canTrim: true,
        name: `learner-${id}`,
        start,
        state: new PlainState(chain),
        machine: chain,
        onGap: (first, last) => chain.skipped(first, last),
      },
      context.outbox(Role.learner),
    );
    made = snapshots;
    return { cores: { learner }, extras: [snapshots] };
  });
  return { host, chain, snapshots: made! };
}

/** Load for ever: some values of some size, always as many under way. */
function load(cluster: MemoryCluster, outstanding = 16): Host {
  return cluster.client({ values: 1_000_000, clients: 4, outstanding: outstanding / 4, canTrim: false });
}

function head(cluster: MemoryCluster): number {
  return Math.max(
    ...cluster.hosts.map(({ cores }) => (cores.proposer === undefined ? 0 : cores.learner!.next - 1)),
  );
}

function isAtHead(cluster: MemoryCluster, one: Host): boolean {
  const { next } = one.cores.learner!;
  return next > 0 && next >= head(cluster) - 64;
}

/** It gets to the head and stays there for a while. */
function reachesAndStays(cluster: MemoryCluster, one: Host): void {
  cluster.runUntil("at the head", () => isAtHead(cluster, one));
  const from = head(cluster);
  let away = 0;
  let looks = 0;
  cluster.runUntil("a while later", () => {
    looks++;
    if (!isAtHead(cluster, one)) away++;
    return head(cluster) >= from + 2000;
  });
  expect(away / looks).toBeLessThan(0.1);
}

function stopLoad(cluster: MemoryCluster): void {
  for (const host of [...cluster.hosts]) if (host.cores.client !== undefined) cluster.stop(host);
  cluster.runFor(2_000_000);
}

function sameState(cluster: MemoryCluster, machines: readonly Machine[]): void {
  cluster.runUntil("all machines at the end", () =>
    machines.every(({ chain }) => chain.iid === head(cluster)),
  );
  expect(new Set(machines.map(({ chain }) => chain.sum)).size).toBe(1);
}

describe("the manuals' known bug: catch-up that never reaches the present while trimming goes on", () => {
  for (const [name, faults] of [
    ["quiet", {}],
    ["storm", STORM],
  ] as const) {
    test(`a fresh learner reaches the head under full load and stays: ${name}`, () => {
      const cluster = new MemoryCluster({ seed: 71, wire: "native", faults, settings: SMALL });
      cluster.startAll();
      load(cluster);
      cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 2000);
      const late = cluster.learner(7);
      reachesAndStays(cluster, late);
      const { skips, first } = late.recorder!;
      expect(skips.length).toBeGreaterThan(0);
      expect(skips[0]![0]).toBe(1);
      expect(first).toBe(skips[0]![1] + 1);
    });

    test(`a state machine, too, with nothing left out and nothing twice: ${name}`, () => {
      const cluster = new MemoryCluster({ seed: 72, wire: "native", faults, learners: 0, settings: SMALL });
      cluster.startAll();
      const machines = [machine(cluster, 0), machine(cluster, 1)];
      load(cluster);
      cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 2000);
      const late = machine(cluster, 7, "first", 100_000);
      machines.push(late);
      reachesAndStays(cluster, late.host);
      expect(late.chain.restored).toBeGreaterThan(0);
      stopLoad(cluster);
      sameState(cluster, machines);
    });
  }
});

describe("learners that fell behind", () => {
  test("cut off past learner-timeout: trimming goes on, and it comes back by snapshot, told exactly what it missed", () => {
    const settings = [...SMALL, "learner-timeout 1s", "trim-rule all"];
    const cluster = new MemoryCluster({ seed: 73, wire: "native", learners: 2, settings });
    cluster.startAll();
    load(cluster);
    const one = cluster.host("learner 1");
    cluster.runUntil("both deliver", () => one.recorder!.last > 100);
    cluster.network.isolate([one.link]);
    const left = one.recorder!.last;
    cluster.runUntil("the log is trimmed beyond it", () => cluster.trimmedIid > left + 2000);
    cluster.network.heal();
    reachesAndStays(cluster, one);
    expect(one.recorder!.skips.length).toBe(1);
    expect(one.recorder!.skips[0]![0]).toBeGreaterThan(left - 64);
  });

  test("cut off for less than that, it misses nothing: trimming waits for it", () => {
    const settings = [...SMALL, "learner-timeout 1h", "trim-rule all"];
    const cluster = new MemoryCluster({ seed: 74, wire: "native", learners: 2, settings });
    cluster.startAll();
    load(cluster);
    const one = cluster.host("learner 1");
    cluster.runUntil("both deliver", () => one.recorder!.last > 500);
    cluster.network.isolate([one.link]);
    const left = one.recorder!.last;
    cluster.runUntil("the others are far ahead", () => head(cluster) > left + 1500);
    expect(cluster.trimmedIid).toBeLessThanOrEqual(left);
    cluster.network.heal();
    reachesAndStays(cluster, one);
    expect(one.recorder!.skips).toEqual([]);
  });

  test("a learner's window that holds next to nothing makes it slower; it gets to the end all the same", () => {
    const settings = ["acceptor-window-instances 8192", "learner-timeout 1h", "trim-rule all"];
    const cluster = new MemoryCluster({ seed: 83, wire: "native", learners: 2, settings });
    cluster.startAll();
    load(cluster);
    const one = cluster.host("learner 1");
    cluster.runUntil("both deliver", () => one.recorder!.last > 500);
    cluster.network.isolate([one.link]);
    const left = one.recorder!.last;
    cluster.runUntil("the others are far ahead", () => head(cluster) > left + 1500);
    cluster.network.heal();
    cluster.runFor(200_000);
    stopLoad(cluster);
    cluster.runUntil("it is at the end", () => one.recorder!.last === head(cluster));
    expect(one.recorder!.skips).toEqual([]);
  });

  test("with trim-rule quorum one slow learner of three holds nothing back; with all it does", () => {
    for (const rule of ["quorum", "all"]) {
      const settings = [...SMALL, `trim-rule ${rule}`];
      const cluster = new MemoryCluster({ seed: 75, wire: "native", learners: 3, settings });
      cluster.startAll();
      load(cluster);
      const slow = cluster.host("learner 1").recorder!;
      cluster.runUntil("all deliver", () => slow.last > 100);
      slow.takes = false;
      const { last } = slow;
      if (rule === "quorum") {
        cluster.runUntil("the log is trimmed beyond it", () => cluster.trimmedIid > last + 3000);
        slow.takes = true;
        reachesAndStays(cluster, cluster.host("learner 1"));
        expect(slow.skips.length).toBeGreaterThan(0);
      } else {
        cluster.runFor(5_000_000);
        expect(cluster.trimmedIid).toBeLessThanOrEqual(last);
        slow.takes = true;
        reachesAndStays(cluster, cluster.host("learner 1"));
        expect(slow.skips).toEqual([]);
      }
    }
  }, 60_000);

  test("the server of a snapshot dies under way: another one serves it", () => {
    const cluster = new MemoryCluster({ seed: 76, wire: "native", learners: 0, settings: SMALL });
    cluster.startAll();
    const machines = [0, 1, 2].map((id) => machine(cluster, id, "first", 2_000_000));
    load(cluster, 8);
    cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 1000);
    const late = machine(cluster, 7);
    cluster.runUntil("it fetches", () => late.snapshots.fetch.counters.bytes > 200_000);
    const server = machines.findIndex(({ snapshots }) => snapshots.server.counters.bytes > 0);
    cluster.stop(machines[server]!.host, false);
    machines.splice(server, 1, late);
    reachesAndStays(cluster, late.host);
    expect(late.snapshots.fetch.counters.serversLeft).toBeGreaterThan(0);
    stopLoad(cluster);
    sameState(cluster, machines);
  });
});

describe("what no quorum can repeat any more", () => {
  test.each([
    ["the third is gone: a snapshot leads past it", true],
    ["the third knows that it is chosen: nothing is left out", false],
  ])("chosen by a bare quorum, of which one has trimmed it, and %s", (_, isGone) => {
    const cluster = new MemoryCluster({ seed: 77, wire: "native", learners: 0 });
    cluster.startAll();
    const late = cluster.host("acceptor 2");
    cluster.runUntil("all acceptors vote", () => cluster.acceptors().length === 3);
    cluster.runFor(1_000_000);
    cluster.network.isolate([late.link]);
    const client = cluster.client({ values: 300, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    // One of the two that chose has trimmed; of the other the marks are gone, as after a restart.
    const [first, second] = [
      cluster.host("acceptor 0").cores.acceptor!,
      cluster.host("acceptor 1").cores.acceptor!,
    ];
    const last = second.log.highestIid;
    first.log.trim(last - 10);
    for (let iid = 1; iid <= last; iid++) if (second.log.ballotAt(iid) > 0) second.log.setFlags(iid, 0);
    cluster.network.heal();
    if (isGone) cluster.stop(late, false);
    const one = cluster.learner(7);
    cluster.runUntil("it is at the end", () => one.recorder!.last === head(cluster));
    expect(one.recorder!.skips.length).toBe(isGone ? 1 : 0);
  });

  test("where the other still has its marks, nothing is left out", () => {
    const cluster = new MemoryCluster({ seed: 78, wire: "native", learners: 0 });
    cluster.startAll();
    cluster.runFor(1_000_000);
    cluster.network.isolate([cluster.host("acceptor 2").link]);
    const client = cluster.client({ values: 300, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    cluster.runFor(1_000_000);
    cluster.host("acceptor 0").cores.acceptor!.log.trim(20);
    cluster.network.heal();
    const one = cluster.learner(7);
    cluster.runUntil("it is at the end", () => one.recorder!.last === head(cluster));
    expect(one.recorder!.skips).toEqual([]);
    expect(one.recorder!.first).toBe(1);
  });
});

describe("where a learner begins", () => {
  test("a new cluster waits for nobody", () => {
    const cluster = new MemoryCluster({ seed: 79, wire: "native", learners: 2, proposers: 2 });
    const from = cluster.nowUs;
    cluster.startAll([() => cluster.learner(5, false)]);
    cluster.runUntil("all have begun", () => cluster.hosts.every(({ cores }) => cores.learner?.next !== 0));
    expect(cluster.nowUs - from).toBeLessThan(1_500_000);
    for (const { cores } of cluster.hosts)
      if (cores.learner !== undefined) expect(cores.learner.next).toBe(1);
  });

  test("without catch-up: behind the newest snapshot that is offered, which is of now", () => {
    const cluster = new MemoryCluster({ seed: 80, wire: "native", settings: ROOMY });
    cluster.startAll();
    load(cluster);
    cluster.runUntil("something is delivered", () => head(cluster) > 10_000);
    const present = head(cluster);
    const late = cluster.learner(7, false);
    reachesAndStays(cluster, late);
    expect(late.recorder!.first).toBeGreaterThan(present / 2);
    expect(late.recorder!.skips).toEqual([]);
  });

  test("a proposer that restarts behind a trim begins with a snapshot, and leads", () => {
    const cluster = new MemoryCluster({ seed: 81, wire: "native", settings: SMALL });
    cluster.startAll();
    const client = load(cluster);
    cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 2000);
    cluster.stop(cluster.host("proposer 0"), false);
    cluster.runFor(500_000);
    const { delivered } = client.cores.client!.counters;
    const again = cluster.proposer(0);
    cluster.runUntil(
      "values are chosen again",
      () => client.cores.client!.counters.delivered > delivered + 1000,
    );
    expect(again.cores.proposer!.stage).toBe("leading");
    expect(again.cores.learner!.counters.restored).toBe(0);
    expect(again.cores.learner!.counters.delivered).toBeLessThan(again.cores.learner!.next - 2000);
  });

  test("a state machine never begins with a snapshot of sessions alone", () => {
    const cluster = new MemoryCluster({ seed: 82, wire: "native", settings: SMALL });
    cluster.startAll();
    load(cluster);
    cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 2000);
    const one = machine(cluster, 5);
    cluster.runFor(5_000_000);
    expect(one.chain.iid).toBe(0);
    expect(one.snapshots.fetch.stage).toBe("asking");
  });
});
