/**
 * Faults 35 and 36: who cannot start says so and ends with a code that tells why; who gets nowhere says what is wrong.
 */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import { STANDARD, seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { expectDone, hasBegun, WIRES } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { unprivileged } from "../support/unprivileged.ts";

const CORE = STANDARD.filter(({ role }) => role !== "learner");

/** Waits until a client says why nothing moves, in these words, and that it ends with a failure then. */
async function complains(client: LabProcess, ...reasons: readonly RegExp[]): Promise<void> {
  for (const reason of reasons) await client.waitForLine(reason, 10_000);
  client.kill("SIGTERM");
  expect(await client.ending(5000)).toMatchObject({ exitCode: 1, killed: false });
  expect(client.stderr.join("\n")).toContain("no value was delivered");
}

/** Runs a subcommand that must not start; its exit code and what it said. */
async function refused(
  cluster: TestCluster,
  words: readonly string[],
  host = 0,
): Promise<{ exitCode: number | null; said: string }> {
  const one = cluster.launch(words.slice(0, 2).join(" "), host, words);
  const { exitCode, killed } = await one.ending(5000);
  expect(killed).toBe(false);
  expect(one.stderr.join("\n")).not.toMatch(/\bready\b/);
  return { exitCode, said: one.stderr.join("\n") };
}

describeNetns(
  "diagnosis",
  () => {
    for (const wire of WIRES) {
      const other = wire === "native" ? "kernel-paxos" : "native";

      describe(wire, () => {
        test("a client without a cluster (fault 36: nothing says why there are 0 values/s)", async () => {
          await withCluster({ seats: CORE, settings: { wire }, start: false }, async (cluster) => {
            await complains(
              cluster.client(cluster.spareHost, []),
              /nothing moves: acceptor 0 .*, acceptor 1 .* and acceptor 2 .* do not answer, and 0 of 3 are no quorum/,
              /nothing moves: no frame was received on eth0/,
            );
          });
        });

        test("too few acceptors, and no proposer", async () => {
          await withCluster({ seats: CORE, settings: { wire }, start: false }, async (cluster) => {
            await cluster.start("acceptor", 1).ready();
            const first = cluster.client(cluster.spareHost, []);
            await first.waitForLine(
              /acceptor 0 .* and acceptor 2 .* do not answer, and 1 of 3 are no quorum/,
              10_000,
            );
            await cluster.start("acceptor", 2).ready();
            await complains(first, /proposer 0 \(02:4b:50:00:00:04\)/);
          });
        });

        test("a wrong wire, on either side", async () => {
          await withCluster({ seats: CORE, settings: { wire } }, async (cluster) => {
            const stray = cluster.client(cluster.spareHost, ["--wire", other]);
            // Who hears frames of the other wire says which line to change.
            const acceptor = cluster.member("acceptor", 0);
            await acceptor.waitForLine(/frames of the other wire.*wire/, 10_000);
            await complains(stray, /do not answer/);
          });
        });
      });
    }

    test("native: a wrong cluster's name", async () => {
      await withCluster({ seats: CORE }, async (cluster) => {
        const renamed = cluster.client(cluster.spareHost, ["--cluster", "another"]);
        await cluster.member("acceptor", 0).waitForLine(/frames of another cluster.*cluster/, 10_000);
        await complains(renamed, /nothing moves: .*do not answer/);
      });
    });

    test("a member that has died is named by the client that waits for it", async () => {
      await withCluster({ seats: CORE }, async (cluster) => {
        const client = cluster.client(cluster.spareHost, ["--json"]);
        await hasBegun(client);
        cluster.member("proposer", 0).kill("SIGKILL");
        await client.waitForLine(/nothing moves: proposer 0 \(02:4b:50:00:00:04\) was not heard/, 10_000);
        await cluster.start("proposer", 0).ready();
        await client.waitForLine(/it goes on/, 10_000);
        client.kill("SIGTERM");
        expect(await client.ending(5000)).toMatchObject({ exitCode: 0 });
      });
    });

    // Fault 35: start-up reports success after failing.
    test("start-up failures end with 69, 77 or 78, and name the fix (fault 35: success after failing)", async () => {
      await withCluster({ seats: CORE, start: false }, async (cluster) => {
        const run = (role: string, ...words: readonly string[]): string[] => [
          ...["run", role, "-f", cluster.configPath],
          ...words,
        ];
        const noInterface = await refused(cluster, run("client", "--if", "nope0"));
        expect(noInterface).toMatchObject({ exitCode: 69 });
        expect(noInterface.said).toMatch(/no network interface nope0\n.*this host has: .*eth0/);

        const elsewhere = await refused(cluster, run("acceptor", "--id", "1"));
        expect(elsewhere).toMatchObject({ exitCode: 69 });
        expect(elsewhere.said).toMatch(/02:4b:50:00:00:02 is not on this host\n.*hint:|is not on this host/);

        const noFile = await refused(cluster, [
          "run",
          "acceptor",
          "-f",
          join(cluster.directory, "none.conf"),
        ]);
        expect(noFile).toMatchObject({ exitCode: 78 });
        const bad = join(cluster.directory, "bad.conf");
        writeFileSync(bad, `${cluster.config}acceptr 3 02:4b:50:00:00:09\n`);
        const badLine = await refused(cluster, ["run", "acceptor", "-f", bad]);
        expect(badLine).toMatchObject({ exitCode: 78 });
        expect(badLine.said).toMatch(/bad\.conf:\d+:1: .*acceptr[\s\S]*did you mean .*acceptor/);

        const noDevice = await refused(cluster, run("client", "--device", "0"));
        expect(noDevice).toMatchObject({ exitCode: 1 });
        expect(noDevice.said).toContain("kpaxos run learner --id 0");
      });
    });

    test("an interface that was removed", async () => {
      await withCluster({ seats: CORE }, async (cluster) => {
        const client = cluster.client(cluster.spareHost, []);
        await client.waitForLine(/[1-9]\d* value\/s/, 10_000, "stdout");
        expectDone(cluster.lab!.exec(cluster.spareHost, ["ip", "link", "del", "eth0"]));
        await client.waitForLine(
          /nothing moves: .*could not be sent on eth0 .*: it was removed, or made anew, since this process began: start it again/,
          10_000,
        );
        client.kill("SIGTERM");
        await client.ending(5000);
      });
    });

    test("an interface whose MTU was lowered", async () => {
      await withCluster({ seats: CORE }, async (cluster) => {
        const client = cluster.client(cluster.spareHost, ["--value-size", "1200"]);
        await client.waitForLine(/[1-9]\d* value\/s/, 10_000, "stdout");
        const ip = (mtu: string) =>
          cluster.lab!.exec(cluster.spareHost, ["ip", "link", "set", "eth0", "mtu", mtu]);
        expectDone(ip("1000"));
        await client.waitForLine(
          /nothing moves: .*could not be sent on eth0 .*: its MTU is 1000, and was 1500 when this process began: /,
          10_000,
        );
        expectDone(ip("1500"));
        await client.waitForLine(/it goes on/, 10_000);
        client.kill("SIGTERM");
        await client.ending(5000);
      });
    });

    test("without CAP_NET_RAW: 77, and how to get it", async () => {
      const command = unprivileged();
      await withCluster({ seats: CORE, start: false, ...command }, async (cluster) => {
        unprivileged.own(cluster.directory);
        for (const role of ["acceptor", "proposer", "client"]) {
          const host = cluster.seats.find((one) => one.role === role)?.host ?? cluster.spareHost;
          const one = await refused(cluster, ["run", role, "-f", cluster.configPath], host);
          expect(one).toMatchObject({ exitCode: 77 });
          expect(one.said).toMatch(/setcap cap_net_raw|CAP_NET_RAW/);
        }
      });
    });

    test("a UDP address that another process has is a failure", async () => {
      const seats = [seat("acceptor", 0, 0), seat("proposer", 0, 1)];
      await withCluster({ seats, link: "udp" }, async (cluster) => {
        const twin = await refused(cluster, ["run", "acceptor", "-f", cluster.configPath]);
        expect(twin.exitCode).toBe(1);
        expect(twin.said).toMatch(/10\.75\.80\.1:8800 is in use\n.*hint/);
      });
    });
  },
  describe.concurrent,
);
