/**
 * What a group is: a view of the configuration that shares nothing with another group's; and where keys belong.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../src/config/config.ts";
import { configOfGroup, configsOfGroups, groupOfKey, oneGroup } from "../src/config/groups.ts";
import { parseConfig } from "../src/config/parse.ts";
import { openAcceptorStorage } from "../src/node/acceptor_storage.ts";
import { clusterIdOf } from "../src/node/identity.ts";
import { JointClient, shareOf } from "../src/node/joint_client.ts";
import { Election } from "../src/protocol/proposer/election.ts";
import { collectingLog } from "./support/collecting_log.ts";

const UDP =
  "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\nlearner 0 127.0.0.1 8803\nreplica 1 127.0.0.1 8802\n";
const ETHERNET = "acceptor 0 02:00:00:00:00:01\nproposer 0 02:00:00:00:00:01\n";

function parsed(text: string): Config {
  const { config, diagnostics } = parseConfig(text, "paxos.conf", {});
  if (config === undefined) throw new Error(diagnostics.map(({ message }) => message).join("; "));
  return config;
}

function errorsOf(text: string): string[] {
  return parseConfig(text, "paxos.conf", {})
    .diagnostics.filter(({ severity }) => severity === "error")
    .map(({ line, message }) => `${line}: ${message}`);
}

describe("a group's view of a configuration", () => {
  test("without groups it is the configuration", () => {
    const config = parsed(UDP);
    expect(config.group).toBe(0);
    expect(configsOfGroups(config)).toEqual([config]);
    expect(oneGroup(config, undefined)).toBe(config);
    expect(() => oneGroup(config, 1)).toThrow("has no groups, so there is no group 1");
  });

  test("shares name, directories and ports with no other group's", () => {
    const text = `${UDP}groups 3\nstorage-backend sqlite\nstorage-path /var/lib/kpaxos\n`;
    const views = configsOfGroups(parsed(text));
    expect(views.map(({ settings }) => settings.cluster)).toEqual([
      "kpaxos:0of3",
      "kpaxos:1of3",
      "kpaxos:2of3",
    ]);
    expect(views[2]!.settings.storagePath).toBe("/var/lib/kpaxos/group-2");
    // Where it is not set it is beside the databases.
    expect(views[2]!.settings.snapshotPath).toBe("/var/lib/kpaxos/group-2");
    expect(views.map(({ acceptors }) => acceptors.map(({ address }) => address))).toMatchObject([
      [{ port: 8800 }, { port: 8802 }],
      [{ port: 8900 }, { port: 8902 }],
      [{ port: 9000 }, { port: 9002 }],
    ]);
    expect(views[1]!.replicas[0]!.address.words).toEqual(views[1]!.acceptors[1]!.address.words);
    expect(new Set(views.map(clusterIdOf)).size).toBe(3);
  });

  test("another number of groups is another cluster", () => {
    const ids = [1, 2, 3].map((groups) =>
      clusterIdOf(configsOfGroups(parsed(`${ETHERNET}groups ${groups}\n`))[0]!),
    );
    expect(new Set(ids).size).toBe(3);
  });

  test("on Ethernet all groups have the same addresses, and the group byte", () => {
    const views = configsOfGroups(parsed(`${ETHERNET}groups 2\n`));
    expect(views.map(({ group }) => group)).toEqual([0, 1]);
    expect(views[1]!.acceptors).toEqual(views[0]!.acceptors);
  });

  test("is one there is", () => {
    const config = parsed(`${ETHERNET}groups 2\n`);
    expect(() => oneGroup(config, undefined)).toThrow("has 2 groups, and this is for one of them");
    expect(() => oneGroup(config, 2)).toThrow("there is no group 2");
    expect(() => configOfGroup(config, -1)).toThrow(RangeError);
    expect(oneGroup(config, 1).group).toBe(1);
  });
});

describe("what is refused", () => {
  test("groups in a wire that has no word for them", () => {
    expect(errorsOf(`${UDP}groups 2\nwire kernel-paxos\n`)).toEqual([
      "5: groups 2 contradicts wire kernel-paxos: frames of that wire name no group",
    ]);
  });

  test("a number of groups that the header has no place for", () => {
    expect(errorsOf(`${UDP}groups 65\n`)).toEqual(["5: groups 65 is out of range"]);
    expect(errorsOf(`${UDP}groups 0\n`)).toEqual(["5: groups 0 is out of range"]);
  });

  test("UDP ports that meet those of another group, or do not exist", () => {
    const text = (port: number) => `acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 ${port}\n`;
    expect(errorsOf(`${text(8900)}groups 2\n`)).toEqual([
      "1: 127.0.0.1:8900 would be the address of this line in group 1, and of line 2 in another",
    ]);
    expect(errorsOf(`${text(65500)}groups 2\n`)).toEqual([
      "2: port 65500 is too high for 2 groups: group 1 would be at 65600",
    ]);
    expect(errorsOf(text(8900))).toEqual([]);
  });

  test("an acceptor's database of another group", () => {
    const directory = mkdtempSync(join(tmpdir(), "kpaxos-groups-"));
    try {
      const path = `storage-backend sqlite\nstorage-path ${directory}\n`;
      const views = configsOfGroups(parsed(`${ETHERNET}groups 2\n${path}`));
      const { log } = collectingLog();
      openAcceptorStorage(views[1]!, 0, log).close();
      const there = {
        ...views[0]!,
        settings: { ...views[0]!.settings, storagePath: `${directory}/group-1` },
      };
      expect(() => openAcceptorStorage(there, 0, log)).toThrow(
        'it belongs to cluster "kpaxos:1of2", not "kpaxos:0of2"',
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("keys", () => {
  const of = (key: string, groups: number) => groupOfKey(new TextEncoder().encode(key), groups);

  test("belong to a group for ever: CRC-32C modulo the number of groups", () => {
    // The check value of CRC-32C is 0xe3069283.
    expect([1, 2, 4, 64].map((groups) => of("123456789", groups))).toEqual([0, 1, 3, 3]);
    expect(of("", 7)).toBe(0);
  });

  test("spread over all groups", () => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) counts[of(`user/${i}`, 4)]!++;
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });
});

describe("clients of several groups as one", () => {
  const part = () => ({
    ready: false,
    limit: 0,
    outstanding: 0,
    isDone: true,
    counters: { submitted: 0, delivered: 0, resent: 0, duplicates: 0, uncertain: 0 },
  });

  test("values are shared out evenly, none twice", () => {
    const shares = (values: number, parts: number) =>
      Array.from({ length: parts }, (_, i) => shareOf(values, i, parts));
    expect(shares(7, 3)).toEqual([3, 2, 2]);
    expect(shares(1, 4)).toEqual([1, 0, 0, 0]);
    expect(shares(Number.POSITIVE_INFINITY, 2)).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });

  test("what they count is the sum; done is who is done in all", () => {
    const parts = [part(), part()];
    const joint = new JointClient();
    for (const one of parts) joint.add(one);
    joint.limit = 5;
    expect(parts.map(({ limit }) => limit)).toEqual([3, 2]);
    expect(joint.limit).toBe(5);
    parts[1]!.ready = true;
    parts[1]!.isDone = false;
    parts[0]!.counters.delivered = 2;
    parts[1]!.counters.delivered = 1;
    expect([joint.ready, joint.isDone, joint.counters.delivered]).toEqual([true, false, 3]);
    joint.ready = false;
    expect(parts.map(({ ready }) => ready)).toEqual([false, false]);
  });
});

test("at the start the proposer of rank 0 has the first chance, whatever its id", () => {
  const wonAt = (rank: number | undefined): number => {
    const election = new Election({
      id: 0,
      acceptors: 1,
      leaderTimeoutMs: 500,
      random: () => 0,
      ...(rank === undefined ? {} : { rank }),
    });
    election.start(0);
    election.asks(0);
    election.onVote(0, election.round, true, 0);
    let nowUs = 0;
    while (!election.isWon(nowUs)) nowUs += 1000;
    return nowUs;
  };
  expect([undefined, 0, 2].map(wonAt)).toEqual([0, 0, 40_000]);
});
