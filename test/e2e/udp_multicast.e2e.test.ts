/**
 * `udp-multicast`: the same cluster with IP multicast, over IPv4, IPv6 and the loopback interface, with hosts that roles share, with
 * loss; and what is said where the network carries none.
 */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sentFrames } from "../../src/bench/usage.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { createLog } from "../../src/log.ts";
import { parseUdp } from "../../src/net/address.ts";
import { open } from "../../src/node/open.ts";
import { Role } from "../../src/protocol/types.ts";
import {
  COMMAND,
  type Deliveries,
  expectSameOrder,
  REPLICAS,
  SHARED_MAC,
  STANDARD,
  seat,
  type TestCluster,
  withCluster,
} from "../support/cluster.ts";
import { QUICK } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { unprivileged } from "../support/unprivileged.ts";

const MULTICAST = { "udp-multicast": "yes" };
const CATCH_UP = ["--catch-up"];
const PROPOSER_HOST = 3;
const LOAD = ["--values", "200", "--outstanding", "10"];

function sentBy(cluster: TestCluster, host: number): number {
  return sentFrames(cluster.lab!.exec(host, ["cat", "/proc/net/dev"]).stdout, false);
}

async function expectDelivered(
  cluster: TestCluster,
  learners: readonly Deliveries[],
  before = 0,
): Promise<void> {
  expect(await cluster.runClient(LOAD)).toMatchObject({ values: 200, duplicates: 0 });
  await Promise.all(learners.map((learner) => learner.reach(before + 200)));
  await expectSameOrder(learners);
}

describe("loopback", () => {
  test("a user without privileges needs no root", async () => {
    const options = { seats: STANDARD, link: "loopback", settings: MULTICAST, start: false } as const;
    await withCluster({ ...options, ...unprivileged() }, async (cluster) => {
      unprivileged.own(cluster.directory);
      const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
      await cluster.startAll();
      await expectDelivered(cluster, learners);
    });
  });
});

test("a user-learner and a client without a learner have none, whatever address they have", () => {
  const text = "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\nudp-multicast yes\n";
  const { config } = parseConfig(text, "paxos.conf");
  const said: string[] = [];
  const log = createLog("info", "", { sink: ({ message }) => said.push(message) });
  const common = { config: config!, log, owns: 0, id: 0, life: 1 };
  for (const listens of [Role.host, Role.client]) {
    for (const host of ["::", "0.0.0.0"]) {
      const member = { id: 0, address: parseUdp(host, 20000 + (process.pid % 10000))!, line: 0, column: 0 };
      open({ ...common, member, listens }).link.close();
    }
  }
  expect(said).toEqual([]);
});

/** What a guest says that cannot have its multicasts. */
function refused(command: readonly string[], members: string, setting: string): string {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-multicast-"));
  try {
    const file = join(directory, "paxos.conf");
    writeFileSync(file, `${members}udp-multicast ${setting}\n`);
    chmodSync(directory, 0o755);
    const { stderr, exitCode } = Bun.spawnSync([...command, "status", "-f", file]);
    expect(exitCode).not.toBe(0);
    return stderr.toString();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a port that is root's is refused as such", () => {
  const members = "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\n";
  const said = refused(unprivileged().command, members, "239.1.2.0:500");
  expect(said).toContain("no permission to hear multicasts at 239.1.2.0:500 (udp-multicast)");
  expect(said).toContain("hint: ports below 1024 need root or CAP_NET_BIND_SERVICE; take a higher one");
});

describe("nothing that should come", () => {
  const hearsNothing = /nothing comes by multicast/;

  test("is missed by who is alone, or where nobody votes yet", async () => {
    const three = [0, 1, 2].map((id) => seat("replica", id, id));
    const alone = { seats: three.slice(0, 1), link: "loopback", settings: MULTICAST } as const;
    await withCluster(alone, async (one) => {
      await withCluster({ ...alone, seats: three, start: false }, async (unborn) => {
        const replicas = [0, 1].map((id) => unborn.start("replica", id));
        const learner = unborn.client(unborn.spareHost, []);
        await replicas[0]!.waitForLine(/no quorum: (?:its log says|their logs say) why/, 15_000);
        await Bun.sleep(3000);
        const all = [...one.processes, ...replicas, learner];
        for (const { stderr } of all) expect(stderr.join("\n")).not.toMatch(hearsNothing);
        learner.kill("SIGTERM");
        await learner.ending(5000);
      });
    });
  });
});

describeNetns("IP multicast", () => {
  for (const link of ["udp", "udp6"] as const) {
    test(`${link}: everything arrives, once and in one order, and an accept leaves once for all`, async () => {
      await withCluster({ seats: STANDARD, link, settings: MULTICAST, start: false }, async (cluster) => {
        const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
        await cluster.startAll();
        await expectDelivered(cluster, learners);
        const heard = /what is for many goes to (239\.255\.\d+\.\d+|\[ff15::6b70:[0-9a-f]+\]):8799 /;
        expect(learners[0]!.process.stderr.join("\n")).toMatch(heard);
        const before = sentBy(cluster, PROPOSER_HOST);
        await cluster.runClient(["--values", "300", "--outstanding", "1", "--id", "10"]);
        const frames = sentBy(cluster, PROPOSER_HOST) - before;
        // Of each value an accept and an answer to the client; to three acceptors one by one it would be four.
        expect(frames).toBeGreaterThanOrEqual(300);
        expect(frames).toBeLessThan(900);
      });
    });
  }

  test("a guest that no route leads to the members says so", () => {
    const members = "acceptor 0 10.0.0.1 8800\nproposer 0 10.0.0.2 8800\n";
    const said = refused(["unshare", "-rn", ...COMMAND], members, "yes");
    expect(said).toMatch(/multicasts at 239\.255\.\d+\.\d+:8799 \(udp-multicast\): ENETUNREACH/);
    expect(said).toContain("hint: they come through the interface that leads to 10.0.0.1:8800: is it up?");
  });

  test("roles that share a host hear each other", async () => {
    await withCluster(
      { seats: SHARED_MAC, link: "udp", settings: MULTICAST, start: false },
      async (cluster) => {
        const learners = [0, 1, 2].map((id) => cluster.startLearner(id, CATCH_UP));
        await cluster.startAll();
        await expectDelivered(cluster, learners);
      },
    );
  });

  test("loss, duplication and reordering of 12 % each", async () => {
    const faults = { loss: 12, dup: 12, reorder: 12 };
    const settings = { ...MULTICAST, ...QUICK };
    await withCluster(
      { seats: STANDARD, link: "udp", settings, start: false, faults: {} },
      async (cluster) => {
        const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
        await cluster.startAll();
        await cluster.runClient(["--values", "10", "--id", "10"]);
        await cluster.relay!.set(faults);
        await expectDelivered(cluster, learners, 10);
      },
    );
  });

  test("replicas go on without the leader, and it catches up when it comes back", async () => {
    const settings = { ...MULTICAST, ...QUICK };
    await withCluster({ seats: REPLICAS, link: "udp", settings, start: false }, async (cluster) => {
      const first = cluster.startLearner(0, [], "replica");
      const others = [1, 2].map((id) => cluster.startLearner(id, [], "replica"));
      await cluster.startAll();
      await expectDelivered(cluster, [first, ...others]);
      first.process.kill("SIGKILL");
      await first.process.ending(5000);
      await expectDelivered(cluster, others, 200);
      const back = cluster.startLearner(0, ["--catch-up"], "replica");
      await back.process.ready();
      await expectDelivered(cluster, others, 400);
      await back.reach(200);
    });
  });

  test("groups have ports of their own", async () => {
    const settings = { ...MULTICAST, groups: "2" };
    await withCluster({ seats: REPLICAS, link: "udp", settings, start: false }, async (cluster) => {
      for (const group of ["0", "1"]) {
        await Promise.all(
          [0, 1, 2].map((id) => cluster.start("replica", id, { args: ["--group", group] }).ready()),
        );
        expect(await cluster.runClient([...LOAD, "--group", group])).toMatchObject({ values: 200 });
      }
    });
  });

  test("one host that the network carries none to goes on, and says so", async () => {
    const options = { seats: STANDARD, link: "udp", settings: MULTICAST, start: false } as const;
    await withCluster(options, async (cluster) => {
      cluster.dropMulticasts([5]);
      const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
      await cluster.startAll();
      await expectDelivered(cluster, learners);
      await learners[1]!.process.waitForLine(
        /nothing comes by multicast .* though \d members are heard/,
        10_000,
      );
      expect(learners[0]!.process.stderr.join("\n")).not.toContain("nothing comes by multicast");
    });
  });

  test("an acceptor that the network carries none to says so", async () => {
    await withCluster(
      { seats: STANDARD, link: "udp", settings: MULTICAST, start: false },
      async (cluster) => {
        cluster.dropMulticasts([0]);
        const acceptor = cluster.start("acceptor", 0);
        await cluster.startAll();
        await acceptor.waitForLine(/nothing comes by multicast .* does anybody lead/, 10_000);
      },
    );
  });

  test("a network that carries none: the client says so", async () => {
    const options = { seats: STANDARD.filter(({ role }) => role !== "learner"), link: "udp" } as const;
    await withCluster({ ...options, settings: MULTICAST, start: false }, async (cluster) => {
      cluster.dropMulticasts([0, 1, 2, 3, 4]);
      await cluster.startAll();
      const client = cluster.client(cluster.spareHost, []);
      await client.waitForLine(
        /nothing moves: nothing comes by multicast \(239\.255\.\d+\.\d+:8799\), though \d members are heard: .*udp-multicast no/,
        10_000,
      );
      client.kill("SIGTERM");
      expect(await client.ending(5000)).toMatchObject({ exitCode: 1 });
    });
  });
});
