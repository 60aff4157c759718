/**
 * Where no snapshot leads on: what every process says of it, how often it asks, and that it goes on once somebody has one; how all
 * sessions begin anew where nobody has is `test/session_reset.test.ts`. And a snapshot that is of a former log.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Config } from "../src/config/config.ts";
import { buildLearning } from "../src/delivery/learning.ts";
import {
  decodeSnapshot,
  type Encoded,
  encodedOf,
  encodeSnapshot,
  SESSIONS_ONLY,
} from "../src/delivery/snapshot.ts";
import type { Loaded, SnapshotPlace } from "../src/delivery/snapshot_file.ts";
import type { Snapshots } from "../src/delivery/snapshots.ts";
import { CliError } from "../src/error.ts";
import { buildAcceptor, buildFilter, buildProposer } from "../src/node/build.ts";
import { clusterIdOf } from "../src/node/identity.ts";
import type { SessionFilter } from "../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../src/protocol/learner/session_table.ts";
import { Busy, Role } from "../src/protocol/types.ts";
import { collectingLog, type Line } from "./support/collecting_log.ts";
import { type ClusterOptions, type Host, MemoryCluster } from "./support/memory_cluster.ts";

// Much is simulated; how long that takes depends on who else is at work.
setDefaultTimeout(60_000);

const SETTINGS = ["learner-window-instances 1024", "acceptor-window-instances 4096", "trim-every 300"];
const SECOND_US = 1_000_000;

interface Part {
  readonly host: Host;
  readonly snapshots: Snapshots;
  readonly filter: SessionFilter;
  readonly lines: Line[];
}

/** A learner without applications, and what it says. */
function learnerOf(cluster: MemoryCluster, id: number, place?: SnapshotPlace): Part {
  const { log, lines } = collectingLog();
  let snapshots: Snapshots | undefined;
  let filter: SessionFilter | undefined;
  const host = cluster.start(`learner ${id}`, id, Role.learner, Role.learner, (context) => {
    filter = buildFilter(context, null);
    const plan = {
      role: Role.learner,
      canTrim: true,
      name: `learner-${id}`,
      start: "first",
      state: filter,
      place,
      onGap: () => undefined,
    } as const;
    const made = buildLearning({ ...context, log }, plan, context.outbox(Role.learner));
    snapshots = made.snapshots;
    return { cores: { learner: made.learner }, extras: [made.snapshots] };
  });
  return { host, snapshots: snapshots!, filter: filter!, lines };
}

/** A proposer that finds a snapshot. */
function proposerOf(cluster: MemoryCluster, id: number, place: SnapshotPlace): Host {
  return cluster.start(`proposer ${id}`, id, Role.proposer | Role.learner, Role.proposer, (context) => {
    const filter = buildFilter(context, null);
    const plan = {
      role: Role.proposer,
      canTrim: true,
      ofProposer: true,
      name: `proposer-${id}`,
      start: "near",
      state: filter,
      place,
      onGap: () => undefined,
    } as const;
    const { learner, snapshots } = buildLearning(context, plan, context.outbox(Role.proposer));
    return { cores: buildProposer(context, { learner, filter }), extras: [snapshots] };
  });
}

/** All that had a snapshot are gone, and the acceptors have trimmed. */
function bereft(seed: number): MemoryCluster {
  const cluster = new MemoryCluster({ seed, wire: "native", settings: SETTINGS });
  cluster.startAll();
  cluster.client({ values: 1_000_000, clients: 4, outstanding: 4, canTrim: false });
  cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 1000);
  for (const name of ["learner 0", "proposer 0", "client 0"]) cluster.stop(cluster.host(name), false);
  return cluster;
}

describe("every snapshot is lost behind a trim", () => {
  test("a learner says what is missing and what to do, less and less often, and asks once a second", () => {
    const cluster = bereft(91);
    const { host, snapshots, filter, lines } = learnerOf(cluster, 0);
    const said = () => lines.filter(({ message }) => message.includes("nothing can be delivered here"));
    cluster.runFor(1.9 * SECOND_US);
    expect(said()).toEqual([]);
    const learner = host.cores.learner!;
    cluster.runFor(2.1 * SECOND_US);
    expect(learner.waitsForSnapshot).toBe(true);
    cluster.runFor(98 * SECOND_US);
    // It has read on; without a leader nothing makes the sessions known.
    expect([learner.waitsForSnapshot, learner.isBehind, filter.isWhole]).toEqual([false, false, false]);
    // After 2, 12, 32 and 72 seconds.
    expect(said().length).toBe(4);
    expect(said()[0]!.level).toBe("error");
    expect(said()[0]!.message).toMatch(
      new RegExp(`instances 1 to ${learner.trimmedIid} are trimmed, and for 2 s .* snapshot of the sessions`),
    );
    expect(said()[3]!.message).toContain("for 72 s");
    expect(snapshots.fetch.counters.asked).toBeGreaterThan(90);
    expect(snapshots.fetch.counters.asked).toBeLessThan(115);
  });

  test("a proposer refuses values for want of a snapshot, and clients are told so, until all sessions begin anew", () => {
    const cluster = bereft(92);
    const proposer = cluster.proposer(0);
    const host = cluster.client({ values: 5, canTrim: false });
    const client = host.cores.client!;
    const told = new Set<Busy>();
    const onBusy = client.onBusy.bind(client);
    client.onBusy = (reason) => {
      told.add(reason);
      onBusy(reason);
    };
    cluster.runFor(4 * SECOND_US);
    expect(proposer.cores.learner!.waitsForSnapshot).toBe(true);
    expect([...told]).toEqual([Busy.noSnapshot]);
    expect(client.counters.delivered).toBe(0);
    cluster.runUntil("all is delivered", () => client.isDone, 10 * SECOND_US);
    expect([...told]).toEqual([Busy.noSnapshot]);
    expect(client.counters.delivered).toBe(5);
  });

  test("whoever has one after all leads on at once", () => {
    const cluster = new MemoryCluster({ seed: 93, wire: "native", settings: SETTINGS });
    cluster.startAll();
    cluster.client({ values: 1_000_000, clients: 4, outstanding: 4, canTrim: false });
    cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 1000);
    cluster.stop(cluster.host("client 0"), false);
    cluster.stop(cluster.host("learner 0"), false);
    const { host, snapshots, filter, lines } = learnerOf(cluster, 0);
    cluster.network.isolate([cluster.host("proposer 0").link]);
    cluster.runFor(20 * SECOND_US);
    expect(filter.isWhole).toBe(false);
    const fromUs = cluster.nowUs;
    cluster.network.heal();
    cluster.runUntil("it goes on", () => snapshots.counters.restored > 0);
    expect(cluster.nowUs - fromUs).toBeLessThan(1.5 * SECOND_US);
    cluster.runUntil("it stands nowhere", () => !host.cores.learner!.waitsForSnapshot && filter.isWhole);
    expect(filter.resets).toBe(0);
    expect(lines.filter(({ message }) => message.includes("nothing can be delivered")).length).toBe(2);
  });
});

test("of a table with a gap in it no snapshot is taken", () => {
  const cluster = new MemoryCluster({ seed: 96, wire: "native", settings: SETTINGS });
  cluster.startAll();
  cluster.stop(cluster.host("learner 0"));
  const { host, snapshots, filter } = learnerOf(cluster, 0);
  cluster.client({ values: 1_000_000, clients: 4, outstanding: 4, canTrim: false });
  cluster.runUntil("it takes snapshots", () => snapshots.counters.taken > 3);
  const { taken } = snapshots.counters;
  filter.skipped(filter.iid, filter.iid);
  const { delivered } = host.cores.learner!.counters;
  cluster.runUntil("as much again", () => host.cores.learner!.counters.delivered > delivered + 3000);
  expect(filter.isWhole).toBe(false);
  expect(snapshots.counters.taken).toBe(taken);
});

/** A place with a snapshot in it that nobody has written here. */
class FoundPlace implements SnapshotPlace {
  readonly path = "/somewhere/learner-0.snapshot";
  readonly written: number;
  readonly #loaded: Loaded;

  constructor(iid: number, config: Config, logId = 0) {
    const { sessionLimit: sessions, maxValueBytes } = config.settings;
    const table = new SessionTable({ sessions, maxValueBytes }).serialize();
    const snapshot = { kind: SESSIONS_ONLY, iid, logId, table, application: new Uint8Array(0) };
    this.#loaded = { snapshot, encoded: encodeSnapshot(snapshot, clusterIdOf(config)) };
    this.written = iid;
  }

  write(): boolean {
    return false;
  }

  load(): Loaded {
    return this.#loaded;
  }

  refusal(why: string): CliError {
    return new CliError(`${this.path} cannot be used: ${why}`);
  }
}

/** What a process keeps over its restarts, in whatever cluster. */
class KeptPlace implements SnapshotPlace {
  readonly path = "/somewhere/learner-0.snapshot";
  written = 0;
  #bytes: Uint8Array | undefined;

  write({ bytes, iid }: Encoded): boolean {
    this.#bytes = bytes;
    this.written = iid;
    return true;
  }

  load(clusterId: number): Loaded | undefined {
    if (this.#bytes === undefined) return undefined;
    const snapshot = decodeSnapshot(this.#bytes, clusterId);
    if (typeof snapshot === "string") throw this.refusal(snapshot);
    return { snapshot, encoded: encodedOf(snapshot, this.#bytes) };
  }

  refusal(why: string): CliError {
    return new CliError(`${this.path} cannot be used: ${why}`);
  }
}

describe("a snapshot of a former log that the new one has outgrown", () => {
  const OTHER =
    /learner-0\.snapshot cannot be used: its log has the id \d+, and that of the acceptors \d+: it is of a former log/;
  const settings = [...SETTINGS, "snapshot-every 50"];

  /** A cluster that begins now, with so many values in its log. */
  const begun = (seed: number, values: number, more: Partial<ClusterOptions> = {}): MemoryCluster => {
    const cluster = new MemoryCluster({ seed, wire: "native", learners: 0, settings, ...more });
    cluster.startAll();
    const client = cluster.client({ values, outstanding: 1, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    cluster.stop(client);
    return cluster;
  };
  /** A learner reads the log, and leaves its snapshot. */
  const leave = (cluster: MemoryCluster, place: KeptPlace): number => {
    const { host } = learnerOf(cluster, 0, place);
    cluster.runUntil("a snapshot is written", () => place.written > 0);
    cluster.stop(host);
    return place.written;
  };
  const highest = (cluster: MemoryCluster): number =>
    cluster.host("acceptor 0").cores.acceptor!.log.highestIid;

  test("ends the process, which takes nothing of the new log", () => {
    const place = new KeptPlace();
    const covered = leave(begun(201, 100), place);
    const cluster = begun(202, 200);
    expect(highest(cluster)).toBeGreaterThan(covered);
    const { filter } = learnerOf(cluster, 0, place);
    expect(() => cluster.runFor(10 * SECOND_US)).toThrow(OTHER);
    expect(filter.iid).toBe(covered);
  });

  test("a proposer with one does not lead, and others get none of it", () => {
    const place = new KeptPlace();
    const covered = leave(begun(203, 100), place);
    const cluster = begun(204, 200);
    cluster.stop(cluster.host("proposer 0"), false);
    const acceptor = cluster.host("acceptor 0").cores.acceptor!;
    const end = highest(cluster);
    const proposer = proposerOf(cluster, 0, place);
    const other = learnerOf(cluster, 0);
    other.snapshots.fetch.want(SESSIONS_ONLY, covered - 1, cluster.nowUs);
    cluster.client({ values: 50, canTrim: false });
    expect(() => cluster.runFor(10 * SECOND_US)).toThrow(OTHER);
    expect(proposer.cores.proposer!.stage).toBe("waiting");
    expect(acceptor.log.highestIid).toBe(end);
    expect(other.snapshots.fetch.counters.offers).toBe(0);
  });

  test("is not taken from who runs on before the acceptors have told of their log", () => {
    const cluster = begun(213, 100);
    const { host } = learnerOf(cluster, 0);
    cluster.runUntil("it has read the log", () => host.cores.learner!.next > 50);
    for (const name of ["acceptor 0", "acceptor 1", "acceptor 2", "proposer 0"])
      cluster.stop(cluster.host(name), false);
    const learner = proposerOf(cluster, 0, new KeptPlace()).cores.learner!;
    cluster.runFor(SECOND_US);
    expect(learner.next).toBe(0);
    for (const id of [0, 1, 2]) cluster.acceptor(id);
    expect(() => cluster.runFor(5 * SECOND_US)).toThrow("the acceptors have begun a new log");
    expect(learner.next).toBe(1);
  });

  test("is none where the acceptors were replaced one after the other", () => {
    const place = new KeptPlace();
    const cluster = begun(205, 100);
    leave(cluster, place);
    for (let round = 0; round < 2; round++) {
      for (const id of [0, 1, 2]) {
        cluster.stop(cluster.host(`acceptor ${id}`), false);
        const { cores } = cluster.acceptor(id);
        cluster.runUntil("it votes", () => cores.acceptor!.isVoting);
      }
    }
    const generations = cluster.host("acceptor 1").cores.acceptor!.standing.generations;
    expect(Math.min(...generations)).toBeGreaterThan(1);
    const { host, lines } = learnerOf(cluster, 0, place);
    cluster.runFor(10 * SECOND_US);
    expect(host.cores.learner!.isDoubted).toBe(false);
    expect(lines.filter(({ level }) => level === "error")).toEqual([]);
    expect(host.cores.learner!.toldLogId).toBe(place.load(clusterIdOf(cluster.config))!.snapshot.logId);
  });

  const fresh = (cluster: MemoryCluster, id: number): Host =>
    cluster.start(`acceptor ${id}`, id, Role.acceptor, Role.acceptor, (context) => {
      const { acceptor, watch } = buildAcceptor(context, true);
      return { cores: { acceptor }, extras: [watch] };
    });

  test("is noticed where acceptors began with --fresh, too", () => {
    const place = new KeptPlace();
    leave(begun(207, 100), place);
    const cluster = new MemoryCluster({ seed: 208, wire: "native", learners: 0, settings });
    for (const id of [2, 1, 0]) fresh(cluster, id);
    cluster.proposer(0);
    const client = cluster.client({ values: 200, outstanding: 1, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    learnerOf(cluster, 0, place);
    expect(() => cluster.runFor(10 * SECOND_US)).toThrow(OTHER);
  });

  test("is none where one acceptor has kept the log, and the others go on with --fresh", () => {
    for (const kept of [0, 1, 2]) {
      const place = new KeptPlace();
      const cluster = begun(209 + kept, 100);
      leave(cluster, place);
      const others = [0, 1, 2].filter((id) => id !== kept);
      for (const id of others) cluster.stop(cluster.host(`acceptor ${id}`), false);
      for (const id of others) fresh(cluster, id);
      const { host } = learnerOf(cluster, 0, place);
      cluster.runFor(20 * SECOND_US);
      expect(host.cores.learner!.isDoubted).toBe(false);
    }
  });

  test("is none where all acceptors restart with their disks", () => {
    const place = new KeptPlace();
    const cluster = begun(206, 100, { durable: true });
    leave(cluster, place);
    for (const id of [0, 1, 2]) cluster.stop(cluster.host(`acceptor ${id}`), false);
    for (const id of [2, 1, 0]) cluster.acceptor(id);
    const { host } = learnerOf(cluster, 0, place);
    cluster.runFor(10 * SECOND_US);
    expect(host.cores.learner!.isDoubted).toBe(false);
    expect(host.cores.learner!.toldLogId).toBe(place.load(clusterIdOf(cluster.config))!.snapshot.logId);
  });
});

describe("a snapshot of a former log", () => {
  const withPlace = (seed: number, iid: number): [MemoryCluster, Part] => {
    const cluster = new MemoryCluster({ seed, wire: "native", settings: SETTINGS });
    cluster.startAll();
    const client = cluster.client({ values: 50, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    cluster.stop(cluster.host("learner 0"));
    return [cluster, learnerOf(cluster, 0, new FoundPlace(iid, cluster.config))];
  };

  test("is found out: it is ahead of all that the acceptors have", () => {
    const [cluster] = withPlace(94, 100_000);
    expect(() => cluster.runFor(10 * SECOND_US)).toThrow(
      /learner-0\.snapshot cannot be used: it covers instance 100000, and acceptors have no more than \d+: it is of a former log/,
    );
  });

  test("a proposer with one does not lead meanwhile: nothing is proposed, trimmed or said to be chosen on its account", () => {
    const cluster = new MemoryCluster({ seed: 96, wire: "native", learners: 0, settings: SETTINGS });
    cluster.startAll();
    const client = cluster.client({ values: 50, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    const acceptor = cluster.host("acceptor 0").cores.acceptor!;
    cluster.stop(client);
    cluster.runFor(SECOND_US);
    const { highestIid, trimIid } = acceptor.log;
    cluster.stop(cluster.host("proposer 0"), false);
    const proposer = proposerOf(cluster, 0, new FoundPlace(100_000, cluster.config));
    cluster.client({ values: 50, canTrim: false });
    expect(() => cluster.runFor(10 * SECOND_US)).toThrow(/it is of a former log/);
    expect(proposer.cores.proposer!.stage).toBe("waiting");
    expect(acceptor.log).toMatchObject({ highestIid, trimIid });
    expect(acceptor.chosenIid).toBeLessThanOrEqual(highestIid);
  });

  test("a proposer whose snapshot is of this log leads as soon as a quorum of acceptors has told how far it goes", () => {
    const cluster = new MemoryCluster({ seed: 97, wire: "native", learners: 0, settings: SETTINGS });
    cluster.startAll();
    const client = cluster.client({ values: 50, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    cluster.stop(cluster.host("proposer 0"), false);
    const startUs = cluster.nowUs;
    const { cores } = proposerOf(cluster, 0, new FoundPlace(1, cluster.config));
    cluster.runUntil("it leads", () => cores.proposer!.stage === "leading");
    expect(cluster.nowUs - startUs).toBeLessThan(20_000);
  });

  test("one that is not ahead is taken, however long it lasts", () => {
    const [cluster, { host }] = withPlace(95, 10);
    const end = cluster.host("proposer 0").cores.learner!.next;
    cluster.runUntil("it is at the end", () => host.cores.learner!.next === end);
    cluster.runFor(10 * SECOND_US);
  });
});
