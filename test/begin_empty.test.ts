/**
 * An application that comes to a log which was trimmed before: it stands still and says what it can be told; told so, it begins
 * with an empty state, unless somebody has one.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { MemoryCluster } from "./support/memory_cluster.ts";
import { type StoreReplica, storedValue, storeReplica } from "./support/store_replica.ts";

// Much is simulated; how long that takes depends on who else is at work.
setDefaultTimeout(60_000);

const SECOND_US = 1_000_000;
const SETTINGS = [
  ...["acceptor-window-instances 4096", "learner-window-instances 1024", "trim-every 300"],
  "learner-window-bytes 4MiB",
];

/** A cluster that has worked for a while. */
function worn(seed: number): MemoryCluster {
  const cluster = new MemoryCluster({ seed, wire: "native", settings: SETTINGS });
  cluster.startAll();
  const client = cluster.client({ values: 1_000_000, clients: 2, outstanding: 1, canTrim: false });
  cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 1000);
  cluster.stop(client);
  cluster.runFor(SECOND_US);
  return cluster;
}

const begins = ({ lines }: StoreReplica): number =>
  lines.filter(({ message }) => message.includes("begins with an empty state")).length;
const stands = ({ lines }: StoreReplica): string[] =>
  lines.filter(({ level }) => level === "error").map(({ message }) => message);

function putsAndSees(
  cluster: MemoryCluster,
  at: StoreReplica,
  all: readonly StoreReplica[],
  key: string,
): void {
  const outcome = at.put(key, "1");
  cluster.runUntil(`${key} is applied`, () => outcome.done);
  cluster.runUntil(`${key} is everywhere`, () => all.every(({ store }) => storedValue(store, key) === "1"));
}

test("not told so it stands still, and says what it can be told, and the risk", () => {
  const cluster = worn(301);
  const one = storeReplica(cluster, 5, { beginEmptyBy: "the right word" });
  cluster.runFor(20 * SECOND_US);
  expect(one.host.cores.learner!.waitsForSnapshot).toBe(true);
  expect(stands(one).length).toBe(2);
  expect(stands(one)[0]).toMatch(
    /the application "kv" that leads .* here, the right word has it begin .*what came before is not in it.*only ever the first one/,
  );
});

test("told so it begins after five seconds; the next ones get its state, and are the same", () => {
  const cluster = worn(302);
  const first = storeReplica(cluster, 5, { beginsEmpty: true });
  cluster.runFor(4.9 * SECOND_US);
  expect(begins(first)).toBe(0);
  cluster.runUntil("it begins", () => begins(first) === 1, 2 * SECOND_US);
  expect(first.store.size).toBe(0);
  putsAndSees(cluster, first, [first], "a");
  const second = storeReplica(cluster, 6, { beginsEmpty: true });
  cluster.runUntil("it goes on", () => second.parts.snapshots.counters.restored > 0, 2 * SECOND_US);
  putsAndSees(cluster, second, [first, second], "b");
  cluster.stop(first.host, false);
  const again = storeReplica(cluster, 5);
  putsAndSees(cluster, second, [again, second], "c");
  expect(Buffer.compare(again.store.snapshot(), second.store.snapshot())).toBe(0);
  expect([begins(again), begins(second), stands(first), stands(second)]).toEqual([0, 0, [], []]);
});

test("told so, and somebody has a state who could not be heard at first: that one is taken", () => {
  const cluster = worn(303);
  const first = storeReplica(cluster, 5, { beginsEmpty: true });
  cluster.runUntil("it begins", () => begins(first) === 1);
  putsAndSees(cluster, first, [first], "a");
  const second = storeReplica(cluster, 6, { beginsEmpty: true });
  cluster.network.isolate([first.host.link]);
  cluster.runFor(4 * SECOND_US);
  cluster.network.heal();
  cluster.runUntil("it goes on", () => second.parts.snapshots.counters.restored > 0);
  expect([begins(second), storedValue(second.store, "a")]).toEqual([0, "1"]);
});

test("told so on a log that is whole, it reads it from its beginning", () => {
  const cluster = new MemoryCluster({ seed: 304, wire: "native", settings: SETTINGS });
  cluster.startAll();
  const early = storeReplica(cluster, 4);
  putsAndSees(cluster, early, [early], "a");
  cluster.stop(early.host, false);
  const late = storeReplica(cluster, 5, { beginsEmpty: true });
  cluster.runUntil("it has it", () => storedValue(late.store, "a") === "1");
  expect(begins(late)).toBe(0);
});

test("nobody has sessions either: it says so, and takes a state of its own when one comes at last", () => {
  const cluster = worn(305);
  const first = storeReplica(cluster, 5, { beginsEmpty: true });
  cluster.runUntil("it begins", () => begins(first) === 1);
  putsAndSees(cluster, first, [first], "a");
  const others = ["learner 0", "proposer 0"].map((name) => cluster.host(name));
  for (const host of others) cluster.stop(host, false);
  const second = storeReplica(cluster, 6, { beginsEmpty: true });
  cluster.network.isolate([first.host.link]);
  cluster.runFor(30 * SECOND_US);
  expect([begins(second), stands(second).length > 0]).toEqual([0, true]);
  cluster.network.heal();
  cluster.runUntil("it has it", () => storedValue(second.store, "a") === "1");
});
