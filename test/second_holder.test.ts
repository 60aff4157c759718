/**
 * Who holds a state: what is in memory of one process alone is not trimmed from under it; what two have, or a file, is. And what
 * is said of it.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { SecondHolder } from "../src/delivery/second_holder.ts";
import { type Encoded, encodeSnapshot } from "../src/delivery/snapshot.ts";
import type { Loaded, SnapshotPlace } from "../src/delivery/snapshot_file.ts";
import { SnapshotPolicy } from "../src/delivery/snapshot_policy.ts";
import { CliError } from "../src/error.ts";
import { Busy } from "../src/protocol/types.ts";
import { collectingLog, type Line } from "./support/collecting_log.ts";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";
import { type StoreReplica, storedValue, storeReplica } from "./support/store_replica.ts";

// Much is simulated; how long that takes depends on who else is at work.
setDefaultTimeout(60_000);

const SECOND_US = 1_000_000;
const KIND = 7;
/** Full after 2048 instances, half full after 1024; a snapshot each 200. */
const SETTINGS = [
  ...["acceptor-window-instances 2048", "learner-window-instances 1024", "trim-every 200"],
  ...["learner-window-bytes 4MiB", "acceptor-window-bytes 8MiB"],
];

function taken(iid: number): Encoded {
  return encodeSnapshot(
    { kind: KIND, iid, logId: 0, table: new Uint8Array(0), application: new Uint8Array(0) },
    1,
  );
}

interface Bench {
  readonly policy: SnapshotPolicy;
  readonly second: SecondHolder;
  /** What every ask was for. */
  readonly asks: number[];
  readonly lines: Line[];
  keep(iid: number, nowUs: number): void;
  tick(fromUs: number, toUs: number, isPressed?: boolean): void;
}

function bench(): Bench {
  const policy = new SnapshotPolicy({ every: 100, everyBytes: 10_000, needsSecond: true }, undefined);
  const asks: number[] = [];
  const { log, lines } = collectingLog();
  const outbox = { snapshotAsk: (_kind: number, above: number) => void asks.push(above) };
  const second = new SecondHolder(policy, { kind: KIND, what: "the state", needs: "", outbox, log });
  return {
    policy,
    second,
    asks,
    lines,
    keep: (iid, nowUs) => policy.taken(taken(iid), iid, nowUs),
    tick: (fromUs, toUs, isPressed = false) => {
      for (let us = fromUs; us < toUs; us += 10_000) {
        policy.tick(us, Number.MAX_SAFE_INTEGER, isPressed);
        second.tick(us, { isPressed, trimmedIid: 0 });
      }
    },
  };
}

describe("a snapshot in memory", () => {
  test("is reported as far as an offer covers it, and an offer is not remembered", () => {
    const { policy, second, asks, keep, tick } = bench();
    keep(100, 0);
    tick(0, 0.5 * SECOND_US);
    second.onOffer(KIND, 500);
    expect([asks, policy.reported]).toEqual([[], 0]);
    tick(0.5 * SECOND_US, 1.1 * SECOND_US);
    expect([asks, policy.ripe, policy.reported]).toEqual([[1], 100, 0]);
    second.onOffer(KIND + 1, 500);
    expect(policy.reported).toBe(0);
    second.onOffer(KIND, 60);
    expect(policy.reported).toBe(60);
    second.onOffer(KIND, 500);
    expect(policy.reported).toBe(100);
    // That one could have been of 500 is of no use to the next.
    keep(200, 2 * SECOND_US);
    tick(2 * SECOND_US, 3.1 * SECOND_US);
    expect([asks, policy.ripe, policy.reported]).toEqual([[1, 100], 200, 100]);
  });

  test("is asked for once a second, four times under pressure, and no more once a part is covered", () => {
    const { policy, second, asks, keep, tick } = bench();
    keep(100, 0);
    tick(0, 11 * SECOND_US);
    expect(asks.length).toBe(10);
    tick(11 * SECOND_US, 12 * SECOND_US, true);
    expect(asks.length).toBe(14);
    second.onOffer(KIND, 60);
    tick(12 * SECOND_US, 20 * SECOND_US);
    expect([asks.length, policy.reported]).toEqual([14, 60]);
    tick(20 * SECOND_US, 20.1 * SECOND_US, true);
    expect(asks.slice(14)).toEqual([60]);
  });

  test("of which nobody else has one: what is said, and how often", () => {
    const { policy, second, lines, keep, tick } = bench();
    keep(100, 0);
    tick(0, 10.9 * SECOND_US);
    expect([lines, second.aloneUs > 0]).toEqual([[], true]);
    tick(10.9 * SECOND_US, 200 * SECOND_US);
    // After 11, 71 and 191 seconds.
    expect(lines.map(({ level }) => level)).toEqual(["warn", "warn", "warn"]);
    expect(lines[0]!.message).toMatch(
      /only this process has the state .* restart this one with snapshot-path/,
    );
    expect(second.text(50)).toMatch(/do not end this one before: instances 1 to 50 are trimmed/);
    second.onOffer(KIND, 100);
    tick(200 * SECOND_US, 201 * SECOND_US);
    expect([lines.length, policy.reported, second.aloneUs]).toEqual([3, 100, 0]);
  });

  test("that is in a file, too, is reported by itself", () => {
    const keeper = { written: 100, write: () => true };
    const policy = new SnapshotPolicy({ every: 100, everyBytes: 10_000, needsSecond: false }, keeper);
    policy.taken(taken(100), 0, 0);
    policy.tick(0, 100, true);
    expect(policy.reported).toBe(100);
  });
});

const held = (cluster: MemoryCluster): number =>
  Math.max(...cluster.hosts.flatMap(({ cores }) => cores.acceptor?.log.highestIid ?? []));

/** Three acceptors and a proposer, and as much load as they take. */
function loaded(seed: number, learners = 0): { cluster: MemoryCluster; client: Host; told: Set<Busy> } {
  const cluster = new MemoryCluster({ seed, wire: "native", learners, settings: SETTINGS });
  cluster.startAll();
  const client = cluster.client({ values: 1_000_000, clients: 4, outstanding: 1, canTrim: false });
  const told = new Set<Busy>();
  const core = client.cores.client!;
  const onBusy = core.onBusy.bind(core);
  core.onBusy = (reason) => {
    told.add(reason);
    onBusy(reason);
  };
  return { cluster, client, told };
}

function stopLoad(cluster: MemoryCluster, client: Host): void {
  cluster.stop(client);
  cluster.runFor(3 * SECOND_US);
}

function same(cluster: MemoryCluster, stores: readonly StoreReplica[], key: string, value: string): void {
  cluster.runUntil(`${key} is everywhere`, () =>
    stores.every(({ store }) => storedValue(store, key) === value),
  );
}

describe("a cluster in memory with one replica of a store", () => {
  test("trims nothing, says so, is full, and goes on with a second one", () => {
    const { cluster, client, told } = loaded(201);
    const first = storeReplica(cluster, 5);
    first.put("greeting", "hello");
    cluster.runUntil("it is full", () => told.has(Busy.windowFull));
    expect(cluster.trimmedIid).toBe(0);
    // It says so from nine tenths on.
    expect(held(cluster)).toBeWithin(1843, 2049);
    cluster.runFor(4 * SECOND_US);
    expect(first.parts.snapshots.loneliness).toContain(
      'only this process has the state of the application "kv"',
    );
    expect(first.lines.filter(({ message }) => message.startsWith("only this process")).length).toBe(1);
    const second = storeReplica(cluster, 6);
    cluster.runUntil("the log goes on", () => cluster.trimmedIid > 4000);
    expect(first.parts.snapshots.loneliness).toBeNull();
    // Either may die now, and the other one has it all.
    cluster.stop(first.host, false);
    same(cluster, [second, storeReplica(cluster, 5)], "greeting", "hello");
    stopLoad(cluster, client);
  });

  test("started again with a file it has lost nothing, and the log is trimmed", () => {
    // With a line in paxos.conf nothing is trimmed while it is away, however long.
    const { cluster, client, told } = loaded(202, 1);
    cluster.stop(cluster.host("learner 0"));
    const first = storeReplica(cluster, 5);
    first.put("greeting", "hello");
    cluster.runUntil("it is full", () => told.has(Busy.windowFull));
    cluster.stop(first.host, false);
    cluster.runFor(15 * SECOND_US);
    const again = storeReplica(cluster, 5, { place: new SoonPlace() });
    cluster.runUntil("the log goes on", () => cluster.trimmedIid > 4000);
    expect(storedValue(again.store, "greeting")).toBe("hello");
    stopLoad(cluster, client);
  });
});

test("two in memory bootstrap each other: trimmed soon, with few questions", () => {
  const { cluster, client } = loaded(203);
  const stores = [storeReplica(cluster, 5), storeReplica(cluster, 6)];
  const fromUs = cluster.nowUs;
  cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 10_000);
  const seconds = (cluster.nowUs - fromUs) / SECOND_US;
  for (const { parts, lines } of stores) {
    const { second, counters } = parts.snapshots;
    expect(second.counters.asked).toBeLessThan(counters.taken + 4 * (seconds + 2));
    expect(lines.filter(({ message }) => message.startsWith("only this process"))).toEqual([]);
  }
  stores[0]!.put("greeting", "hello");
  same(cluster, stores, "greeting", "hello");
  stopLoad(cluster, client);
  cluster.runFor(10 * SECOND_US);
  const asked = stores.map(({ parts }) => parts.snapshots.second.counters.asked);
  cluster.runFor(10 * SECOND_US);
  expect(stores.map(({ parts }) => parts.snapshots.second.counters.asked)).toEqual(asked);
});

test("what a partner had does not count for what comes after its death", () => {
  const { cluster, client } = loaded(204);
  const [first, second] = [storeReplica(cluster, 5), storeReplica(cluster, 6)];
  first.put("greeting", "hello");
  cluster.runUntil("something is trimmed", () => cluster.trimmedIid > 500);
  cluster.stop(second.host, false);
  cluster.runFor(SECOND_US);
  const { reported } = first.parts.snapshots.policy;
  cluster.runFor(20 * SECOND_US);
  expect(first.parts.snapshots.policy.reported).toBe(reported);
  expect(cluster.trimmedIid).toBeLessThanOrEqual(reported);
  same(cluster, [storeReplica(cluster, 6)], "greeting", "hello");
  stopLoad(cluster, client);
});

test("learners that deliver to others do not outvote a store that has its state alone", () => {
  const { cluster, client, told } = loaded(206, 3);
  const store = storeReplica(cluster, 5);
  store.put("greeting", "hello");
  cluster.runUntil("it is full", () => told.has(Busy.windowFull));
  cluster.runFor(5 * SECOND_US);
  expect(cluster.trimmedIid).toBe(0);
  const again = storeReplica(cluster, 6);
  same(cluster, [store, again], "greeting", "hello");
  cluster.runUntil("the log goes on", () => cluster.trimmedIid > 4000);
  stopLoad(cluster, client);
});

test("a proposer and a learner have the sessions, each for the other", () => {
  const { cluster, client } = loaded(205, 1);
  cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 4000);
  stopLoad(cluster, client);
});

/** A file that is written at once. */
class SoonPlace implements SnapshotPlace {
  readonly path = "/somewhere/kv-5.snapshot";
  written = 0;

  load(): Loaded | undefined {
    return undefined;
  }

  write(snapshot: Encoded): boolean {
    this.written = snapshot.iid;
    return true;
  }

  refusal(why: string): CliError {
    return new CliError(why);
  }
}
