/**
 * A storage that fails ends its node: nothing that a turn would have revealed leaves, in the turn itself or later.
 */
import { describe, expect, test } from "bun:test";
import { createLog } from "../src/log.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { restoreAcceptor } from "../src/node/acceptor_storage.ts";
import { Runner } from "../src/node/run.ts";
import type { Node } from "../src/node/turn.ts";
import type { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { AcceptorLog } from "../src/protocol/acceptor/acceptor_log.ts";
import { AcceptorRestore } from "../src/protocol/acceptor/acceptor_restore.ts";
import type { Ballot } from "../src/protocol/types.ts";
import { simConfig } from "../src/sim/parts.ts";
import type { Storage } from "../src/storage/storage.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";

describe("a commit that throws", () => {
  for (const [wire, replicas] of [
    ["native", 0],
    ["native", 3],
    ["kernel-paxos", 0],
    ["kernel-paxos", 3],
  ] as const) {
    test(`${wire}, ${replicas > 0 ? "replicas" : "roles apart"}: no frame of its turn is sent`, () => {
      const cluster = new MemoryCluster({ seed: 1, wire, replicas });
      const hosts = [0, 1, 2].map((id) => (replicas > 0 ? cluster.replica(id) : cluster.acceptor(id)));
      if (replicas === 0) {
        cluster.proposer(0);
        cluster.learner(0);
      }
      const client = cluster.client({ values: 10_000, outstanding: 4 });
      const values = () => client.cores.client!.counters.delivered;
      cluster.runUntil("values are chosen", () => values() > 50);
      const { node, link } = hosts[0]!;
      const failing = new Error("the disk is full");
      let sentBefore = -1;
      const commit = node.storage.commit.bind(node.storage);
      let left = 20;
      node.storage.commit = () => {
        if (--left > 0) return commit();
        sentBefore = link.counters().txFrames;
        throw failing;
      };
      expect(() => cluster.runFor(60_000_000)).toThrow(failing);
      expect(link.counters().txFrames).toBe(sentBefore);
    });
  }

  test("ends the loop with its error, and the link is never asked to send again", async () => {
    const failing = new Error("the disk is full");
    const asked: number[] = [];
    let turns = 0;
    const link = {
      asleepUs: 0,
      watchEventLoop: () => undefined,
      step: (ntx: number) => {
        asked.push(ntx);
        return 1;
      },
    };
    const node = {
      hasMore: false,
      roles: { nextTickUs: () => 0 },
      turn: () => {
        if (++turns === 3) throw failing;
        return turns;
      },
    };
    const runner = new Runner([{ node: node as unknown as Node, link: link as unknown as SystemLink }]);
    expect(await runner.run().catch((error: unknown) => error)).toBe(failing);
    runner.stop(() => {
      throw new Error("nothing is said after a failure");
    });
    await Bun.sleep(0);
    expect(asked).toEqual([0, 1, 2]);
  });
});

describe("what a storage kept, put back", () => {
  const value = new Uint8Array(1000);
  const at = (ballot: number) => ballot as Ballot;
  function empty(instances: number, bytes: number): Acceptor {
    return { log: new AcceptorLog({ instances, bytes }) } as unknown as Acceptor;
  }

  test("a promise above the accepted ballot stays, whichever is told first", () => {
    const acceptor = empty(16, 65536);
    const restore = new AcceptorRestore(acceptor);
    restore.trimmed(4);
    restore.promisedAt(5, at(50));
    restore.accepted(5, at(20), 7, 1, value, 0, 3);
    restore.accepted(6, at(20), 7, 0, value, 0, 3);
    restore.promisedAt(6, at(50));
    restore.promisedAt(7, at(50));
    const { log } = acceptor;
    expect([log.trimIid, log.highestIid, restore.lacks]).toEqual([4, 6, undefined]);
    expect([5, 6, 7].map((iid) => log.promisedAt(iid))).toEqual([50, 50, 50].map(at));
    expect([5, 6, 7].map((iid) => log.ballotAt(iid))).toEqual([20, 20, 0].map(at));
    expect([log.flagsAt(5), log.lifeAt(5), log.lengthAt(5)]).toEqual([1, 7, 3]);
  });

  test("a value longer than a frame takes now is refused at start, with both lengths", () => {
    const { settings } = simConfig({ acceptors: 1, proposers: 1, learners: 0 }, []);
    const storage = {
      forgets: false,
      replay: (into: AcceptorRestore) => {
        into.accepted(1, at(1), 1, 0, value, 0, 900);
        into.accepted(2, at(1), 1, 0, value, 0, 10);
        return true;
      },
    } as unknown as Storage;
    const restore = (maxValue: number) =>
      restoreAcceptor(empty(16, 65536), storage, settings, createLog("quiet", ""), maxValue);
    expect(restore(900)).toBe(true);
    expect(() => restore(896)).toThrow("900 bytes in an instance, of which one may have 896 here");
  });

  test("what does not fit is said, and which limit it met", () => {
    const few = new AcceptorRestore(empty(16, 65536));
    for (let iid = 1; iid <= 20; iid++) few.accepted(iid, at(1), 1, 0, value, 0, 10);
    expect([few.lacks, few.records]).toEqual(["instances", 16]);
    const small = new AcceptorRestore(empty(1024, 65536));
    for (let iid = 1; iid <= 100; iid++) small.accepted(iid, at(1), 1, 0, value, 0, 1000);
    expect([small.lacks, small.records]).toEqual(["bytes", 64]);
  });
});
