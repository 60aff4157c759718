/**
 * A trimmed log of which nobody has the sessions any more: all learners and proposers were in memory and restarted at once. After
 * a while the leader has all sessions begin anew; nothing is delivered twice (`src/sim/value_log.ts` looks at every delivery),
 * and clients are told that their sessions are gone.
 */
import { describe, expect, test } from "bun:test";
import { EntryFlag } from "../src/protocol/batch.ts";
import { SessionClient } from "../src/protocol/client/session_client.ts";
import { SessionFilter } from "../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../src/protocol/learner/session_table.ts";
import { Admission, Judging } from "../src/protocol/proposer/admission.ts";
import { RESET, RESET_BYTES } from "../src/protocol/reset_entry.ts";
import { Role } from "../src/protocol/types.ts";
import { batchOf, type Entry, open } from "./support/entries.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";
import { peerOf, Recorder } from "./support/recorder.ts";

const SETTINGS = ["learner-window-instances 1024", "acceptor-window-instances 4096", "trim-every 300"];
const SECOND_US = 1_000_000;

interface Play {
  readonly cluster: MemoryCluster;
  readonly client: SessionClient;
  /** Of the learners, in the order in which they began. */
  readonly filters: SessionFilter[];
}

/** A client has sent so much that the log is trimmed. */
function played(seed: number, options: { proposers?: number; settings?: string[] } = {}): Play {
  const filters: SessionFilter[] = [];
  const cluster = new MemoryCluster({
    seed,
    wire: "native",
    learners: 2,
    proposers: options.proposers ?? 2,
    settings: [...SETTINGS, ...(options.settings ?? [])],
    planted: (filter) => filters.push(filter),
  });
  cluster.startAll();
  const { client } = cluster.client({ values: 1_000_000, clients: 4, outstanding: 4, mostSize: 900 }).cores;
  if (!(client instanceof SessionClient)) throw new Error("sessions are of the native wire");
  cluster.runUntil("much is trimmed", () => cluster.trimmedIid > 1000);
  // From here on it is not so much.
  client.limit = client.counters.submitted;
  cluster.runUntil("the client is idle", () => client.isDone);
  return { cluster, client, filters };
}

/** Everybody who knows the sessions dies at once, in the midst of values; but for those named. */
function bereave({ cluster, client }: Play, spared: readonly string[] = []): void {
  const { delivered } = client.counters;
  client.limit = client.counters.submitted + 5_000;
  cluster.runUntil("values are under way", () => client.counters.delivered > delivered + 100);
  for (const host of [...cluster.hosts]) {
    const knows = host.cores.proposer !== undefined || host.name.startsWith("learner");
    if (knows && !spared.includes(host.name)) cluster.stop(host, false);
  }
}

/** `alone`: is not to be reached by those who begin, either. */
function restart(cluster: MemoryCluster, alone?: string): void {
  const runs = (name: string): boolean => cluster.hosts.some((host) => host.name === name);
  for (const id of [0, 1]) {
    if (id < cluster.config.proposers.length && !runs(`proposer ${id}`)) cluster.proposer(id);
    if (!runs(`learner ${id}`)) cluster.learner(id);
  }
  if (alone !== undefined) cluster.network.isolate([cluster.host(alone).link]);
}

/** All that was sent comes back or is uncertain, all learners are at the end, and have one table. */
function finish({ cluster, client, filters }: Play): void {
  client.limit = client.counters.submitted;
  cluster.runUntil("the client is done", () => client.isDone);
  const learners = (): number[] =>
    cluster.hosts.flatMap(({ cores }) =>
      cores.client === undefined && cores.learner ? cores.learner.next : [],
    );
  cluster.runUntil("all are at the end", () => new Set(learners()).size === 1);
  const tables = new Set(filters.slice(-2).map((filter) => Buffer.from(filter.snapshot()!).toString("hex")));
  expect(tables.size).toBe(1);
  const { delivered, uncertain, submitted, duplicates } = client.counters;
  expect([delivered + uncertain, duplicates]).toEqual([submitted, 0]);
}

describe("nobody knows the sessions any more", () => {
  test.each([1, 2, 3, 4])(
    "values flow again within seconds (seed %d)",
    (seed) => {
      const play = played(seed, { proposers: 1 + (seed % 2) });
      const { cluster, client } = play;
      bereave(play);
      const { delivered } = client.counters;
      const fromUs = cluster.nowUs;
      restart(cluster);
      cluster.runUntil("it goes on", () => client.counters.delivered > delivered + 200, 12 * SECOND_US);
      // Half the time for which silent learners count, and four leader timeouts.
      expect(cluster.nowUs - fromUs).toBeGreaterThan(7 * SECOND_US);
      finish(play);
      const [first, second] = play.filters.slice(-2) as [SessionFilter, SessionFilter];
      expect([first.resets, second.resets]).toEqual([1, 1]);
      expect(client.counters.expired).toBe(4);
      expect(client.counters.uncertain).toBeGreaterThan(0);
      expect(cluster.proposers().reduce((sum, { reset }) => sum + reset.proposed, 0)).toBe(1);
      // What they left out they were told, from the beginning to where sessions began anew.
      for (const { name, recorder } of cluster.hosts) {
        if (!name.startsWith("learner")) continue;
        expect(recorder!.skips[0]![0]).toBe(1);
        expect(recorder!.skips[0]![1]).toBeGreaterThanOrEqual(1000);
      }
      // And it is as it was: learners begin with snapshots again.
      cluster.stop(cluster.host("learner 0"), false);
      cluster.learner(0);
      finish(play);
      expect(play.filters.at(-1)!.resets).toBe(0);
    },
    30_000,
  );

  test.each([11, 12, 13])(
    "who was only cut off goes through it like all others (seed %d)",
    (seed) => {
      // Trims come of acceptors half full alone, so that none comes between.
      const play = played(seed, { settings: ["trim-every 3000"] });
      const { cluster, client, filters } = play;
      const learners = cluster.hosts.filter(({ name }) => name.startsWith("learner"));
      const holder = filters[learners.indexOf(cluster.host("learner 1"))]!;
      bereave(play, ["learner 1"]);
      const { delivered } = client.counters;
      restart(cluster, "learner 1");
      cluster.runUntil("it goes on", () => client.counters.delivered > delivered + 200, 12 * SECOND_US);
      const before = [holder.resets, holder.counters.values];
      cluster.network.heal();
      play.filters.push(holder);
      finish(play);
      expect(before[0]).toBe(0);
      expect([holder.resets, holder.isWhole]).toEqual([1, true]);
      expect(holder.counters.values).toBeGreaterThan(before[1]! + 100);
    },
    30_000,
  );

  test("whoever has them after all comes in time: then nothing begins anew", () => {
    const play = played(21);
    const { cluster, client, filters } = play;
    bereave(play, ["learner 1"]);
    const { delivered, expired } = client.counters;
    restart(cluster, "learner 1");
    cluster.runUntil("the log is read without them", () => !filters.at(-1)!.isWhole, 8 * SECOND_US);
    cluster.network.heal();
    cluster.runUntil("it goes on", () => client.counters.delivered > delivered + 200, 4 * SECOND_US);
    play.filters.push(filters.at(-1)!);
    finish(play);
    expect(filters.map(({ resets }) => resets)).toEqual(filters.map(() => 0));
    expect(client.counters.expired).toBe(expired);
  }, 30_000);

  test("leaders that die over it: more than one does no harm", () => {
    const play = played(31);
    const { cluster, client } = play;
    bereave(play);
    const { delivered } = client.counters;
    restart(cluster);
    for (let i = 0; i < 3; i++) {
      const isOver = (): boolean =>
        client.counters.delivered > delivered || cluster.proposers().some(({ reset }) => reset.proposed > 0);
      cluster.runUntil("it is proposed, or was", isOver, 20 * SECOND_US);
      for (const { cores, name } of [...cluster.hosts])
        if (cores.proposer !== undefined || name.startsWith("learner"))
          cluster.stop(cluster.host(name), false);
      restart(cluster);
    }
    cluster.runUntil("it goes on", () => client.counters.delivered > delivered + 200, 20 * SECOND_US);
    finish(play);
  }, 30_000);
});

test("a leader refuses such an entry from clients, and counts it", () => {
  const { cluster, client, filters } = played(41, { proposers: 1 });
  cluster.start("rogue", 4000, Role.client, 0, (context) => {
    const outbox = context.outbox(Role.client);
    const mixed = batchOf([
      { session: 1, sequence: 1, value: "v" },
      { session: 0, sequence: 0, flags: 16 },
    ]);
    let left = 20;
    const pump = (): boolean => {
      if (left-- > 0) {
        outbox.clientValue(0, RESET, 0, RESET_BYTES, 0);
        outbox.clientValue(0, mixed, 0, mixed.length, 0);
      }
      return false;
    };
    return { cores: {}, extras: [{ pump }] };
  });
  const { delivered } = client.counters;
  client.limit = client.counters.submitted + 2000;
  cluster.runUntil("all is delivered", () => client.isDone);
  expect(cluster.host("proposer 0").node.wire.counters.badField).toBe(40);
  expect(client.counters.delivered).toBe(delivered + 2000);
  expect(filters.map(({ resets }) => resets)).toEqual(filters.map(() => 0));
  expect(client.counters.expired).toBe(0);
});

test("a proposer takes no such entry, by whatever way it comes", () => {
  const outbox = new Recorder();
  const filter = new SessionFilter(new SessionTable({ sessions: 8, maxValueBytes: 1024 }), null);
  const admission = new Admission(filter, outbox);
  const opening = batchOf([open(70)]);
  filter.deliver(1, opening, 0, opening.length);
  const value = (sequence: number): Entry => ({ session: 1, sequence, value: "v" });
  const reset: Entry = { session: 0, sequence: 0, flags: EntryFlag.reset };
  const taken = (entries: Entry[], judging: Judging, isForwarded: boolean): number[] => {
    const bytes = batchOf(entries);
    const before = admission.counters.taken;
    admission.open(peerOf("c0"), bytes, 0, bytes.length, isForwarded, judging);
    const lengths: number[] = [];
    while (admission.next()) lengths.push(admission.length);
    expect(admission.counters.taken - before).toBe(lengths.length);
    return lengths;
  };
  for (const judging of [Judging.pass, Judging.lenient, Judging.strict]) {
    for (const isForwarded of [false, true]) {
      expect(taken([reset], judging, isForwarded)).toEqual([]);
      expect(taken([{ ...open(9), flags: EntryFlag.open | EntryFlag.reset }], judging, isForwarded)).toEqual(
        [],
      );
    }
  }
  expect(admission.counters.forbidden).toBe(12);
  expect(taken([value(1), reset, value(2)], Judging.strict, false)).toEqual([20, 20]);
  expect(admission.counters.forbidden).toBe(13);
  expect(outbox.take()).toEqual([]);
});
