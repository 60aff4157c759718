/**
 * `cluster-key` between real processes: who has another key or none takes no part and is told why, whatever its role; a
 * key is rotated while the cluster goes on.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  fingerprint,
  newKeyLine,
  readKeyFile,
  readKeyText,
  withKeyAdded,
  withKeyDropped,
  withKeyPromoted,
  writeKeyFile,
} from "../../src/node/key_file.ts";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import type { MemberRole } from "../../src/ops/seats.ts";
import { seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { QUICK } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";

const KEYED = { ...QUICK, "cluster-key": "cluster.key" };
const WRONG_KEY =
  /with a wrong or missing key were heard and dropped: `cluster-key` must be the same everywhere/;
const NO_KEY =
  /sealed with a cluster-key, which this process has not, were heard and dropped: `cluster-key` must/;
const BURST = ["--values", "50", "--outstanding", "4", "--no-cantrim"];

function keyFile(cluster: TestCluster, name = "cluster.key"): string {
  const path = join(cluster.directory, name);
  writeKeyFile(path, newKeyLine(), false);
  return path;
}

/** Another key on the command line, or a configuration without one. */
function intruders(
  cluster: TestCluster,
): readonly { readonly words: readonly string[]; readonly why: RegExp }[] {
  const open = join(cluster.directory, "open.conf");
  writeFileSync(open, cluster.config.replace(/^cluster-key .*$/m, ""));
  const other = keyFile(cluster, "other.key");
  return [
    { words: ["-f", cluster.configPath, "--cluster-key", other], why: WRONG_KEY },
    { words: ["-f", open], why: NO_KEY },
  ];
}

async function startSeats(
  cluster: TestCluster,
  roles: readonly (readonly [MemberRole, number])[],
): Promise<void> {
  const started = roles.map(([role, id]) => cluster.start(role, id));
  await Promise.all(started.map((one) => one.ready()));
}

/** A member of the cluster by its line, but with the words of an intruder. */
function intrude(cluster: TestCluster, role: MemberRole, id: number, words: readonly string[]): LabProcess {
  const { host } = cluster.seats.find((one) => one.role === role && one.id === id)!;
  return cluster.launch(`${role} ${id}, intruding`, host, ["run", role, "--id", `${id}`, ...words]);
}

describeNetns(
  "a key on raw Ethernet",
  () => {
    const SEATS = [
      ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
      seat("proposer", 0, 3),
      seat("proposer", 1, 4),
      seat("learner", 0, 5, ["--catch-up"]),
    ];

    test("without the right one nobody takes part, and each says why", async () => {
      await withCluster({ seats: SEATS, settings: KEYED, start: false }, async (cluster) => {
        const key = keyFile(cluster);
        await startSeats(cluster, [
          ["acceptor", 0],
          ["acceptor", 1],
          ["acceptor", 2],
          ["proposer", 0],
        ]);
        const print = fingerprint(readKeyFile(key)[0]!);
        await cluster
          .member("acceptor", 0)
          .waitForLine(new RegExp(`cluster-key: signs with ${print}$`), 5000);
        await cluster.runClient(BURST);
        // Two are a quorum; the place of the third one is the intruder's.
        await cluster.member("acceptor", 2).stop();
        for (const { words, why } of intruders(cluster)) {
          const acceptor = intrude(cluster, "acceptor", 2, words);
          const proposer = intrude(cluster, "proposer", 1, words);
          const learner = intrude(cluster, "learner", 0, [...words, "--print", "--json"]);
          const client = cluster.launch("client, intruding", cluster.spareHost, ["run", "client", ...words]);
          const all = [acceptor, proposer, learner, client];
          await Promise.all(all.map((one) => one.ready()));
          // The cluster is not disturbed, and its frames are what the intruders hear.
          await cluster.runClient(BURST);
          for (const one of all) await one.waitForLine(why, 15_000);
          await client.waitForLine(/nothing moves: .*`cluster-key` must be the same everywhere/, 15_000);
          client.kill("SIGTERM");
          expect(await client.ending(5000)).toMatchObject({ exitCode: 1, killed: false });
          expect(client.stderr.join("\n")).toContain("no value was delivered");
          expect(learner.stdout).toEqual([]);
          expect(proposer.stderr.join("\n")).not.toMatch(/leading at ballot|follows proposer/);
          for (const one of [acceptor, proposer, learner]) await one.stop();
          expect(acceptor.stderr.join("\n")).not.toMatch(/last instance [1-9]/);
        }
        for (const one of [cluster.member("acceptor", 0), cluster.member("proposer", 0)]) {
          await one.waitForLine(WRONG_KEY, 10_000);
        }
      });
    });

    test("without a key it is said at the start that anyone can break the cluster", async () => {
      await withCluster({ seats: SEATS.slice(0, 1).concat(SEATS[3]!) }, async (cluster) => {
        const said = await cluster.member("acceptor", 0).waitForLine(/no cluster-key/, 5000);
        expect(said).toContain("anyone on this network segment can take part in this cluster, and break it");
        const lines = cluster.member("acceptor", 0).stderr.filter((line) => line.includes("cluster-key"));
        expect(lines.length).toBe(1);
      });
    });
  },
  describe.concurrent,
);

describe.concurrent("a key over UDP", () => {
  const SEATS = [0, 1, 2]
    .map((id) => seat("acceptor", id, 0))
    .concat(seat("proposer", 0, 0), seat("learner", 0, 0));
  const STEPS = [
    ["add", withKeyAdded],
    ["promote", withKeyPromoted],
    ["drop", withKeyDropped],
  ] as const;

  // With state on disk: an acceptor that forgets must recover before the next one may restart.
  const disks = mkdtempSync(join(tmpdir(), "kpaxos-auth-"));
  afterAll(() => rmSync(disks, { recursive: true, force: true }));
  const DURABLE = { ...KEYED, "storage-backend": "sqlite", "storage-path": disks };

  test("is rotated one process after the other, and the cluster goes on all the time", async () => {
    await withCluster(
      { link: "loopback", seats: SEATS, settings: DURABLE, start: false },
      async (cluster) => {
        const key = keyFile(cluster);
        const before = join(cluster.directory, "before.key");
        const first = readKeyFile(key)[0]!;
        await cluster.startAll();
        await cluster.runClient(BURST);
        for (const [name, change] of STEPS) {
          copyFileSync(key, before);
          writeKeyFile(key, change(readKeyText(key), key), true);
          for (const { role, id } of SEATS) {
            expect(await cluster.member(role, id).stop()).toMatchObject({ exitCode: 0, killed: false });
            await cluster.start(role, id).ready();
            // Some have taken the step and some have not; so may clients.
            const client = id % 2 === 0 ? [] : ["--cluster-key", before];
            await cluster.runClient([...BURST, ...client]);
          }
          expect(readKeyFile(key).length, name).toBe(name === "drop" ? 1 : 2);
        }
        const last = readKeyFile(key)[0]!;
        expect(last).not.toEqual(first);
        for (const { role, id } of SEATS) {
          const log = cluster.member(role, id).stderr.join("\n");
          expect(log).toMatch(new RegExp(`cluster-key: signs with ${fingerprint(last)}$`, "m"));
          expect(log).not.toMatch(/wrong or missing key/);
          expect(log).not.toContain(Buffer.from(last).toString("base64"));
        }
      },
    );
  }, 120_000);

  test("a client with the old one alone is turned away after the rotation", async () => {
    await withCluster({ link: "loopback", seats: SEATS, settings: KEYED, start: false }, async (cluster) => {
      keyFile(cluster);
      const old = keyFile(cluster, "old.key");
      await cluster.startAll();
      const client = cluster.client(0, ["--cluster-key", old]);
      // Nobody answers it, so nothing but its own silence tells it.
      await client.waitForLine(/nothing moves: no frame was received .*`cluster-key` the same/, 15_000);
      await cluster.member("acceptor", 0).waitForLine(WRONG_KEY, 10_000);
      client.kill("SIGTERM");
      expect(await client.ending(5000)).toMatchObject({ exitCode: 1 });
    });
  });

  test("a key file that others may read stops a process before it speaks", async () => {
    await withCluster({ link: "loopback", seats: SEATS, settings: KEYED, start: false }, async (cluster) => {
      writeFileSync(join(cluster.directory, "cluster.key"), newKeyLine(), { mode: 0o644 });
      const acceptor = cluster.start("acceptor", 0);
      expect(await acceptor.ending(10_000)).toMatchObject({ exitCode: 78 });
      expect(acceptor.stderr.join("\n")).toMatch(/open to other users \(mode 0644\)[\s\S]*chmod 600/);
    });
  });
});
