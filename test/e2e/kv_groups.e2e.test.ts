/**
 * The key-value store over groups: every key has one group, whoever asks, and each group is a store of its own.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { groupOfKey } from "../../src/config/groups.ts";
import { deviceName } from "../../src/delivery/device_layout.ts";
import { kvSocketPath } from "../../src/kv/place.ts";
import { seat, withCluster } from "../support/cluster.ts";
import { KvShell } from "../support/kv_shell.ts";
import { describeNetns } from "../support/netns.ts";

const SEATS = [0, 1, 2].map((id) => seat("replica", id, id));
const KEYS = ["apple", "banana", "cherry", "date", "elder", "fig"];
const groupOf = (key: string): number => groupOfKey(new TextEncoder().encode(key), 2);

describeNetns("kpaxos kv with groups", () => {
  test("keys go to their groups, at any server; a list has all; a server refuses what is another group's", async () => {
    const settings = { groups: "2", "client-timeout": "200ms" };
    await withCluster({ seats: SEATS, settings, start: false }, async (cluster) => {
      const servers = [0, 1].flatMap((group) =>
        SEATS.map(({ id, host }) => {
          const words = [
            "kv",
            "serve",
            "--replica",
            "-f",
            cluster.configPath,
            "--id",
            `${id}`,
            "--group",
            `${group}`,
          ];
          return cluster.launch(`kv ${id} of group ${group}`, host, words);
        }),
      );
      await Promise.all(servers.map((server) => server.ready(20_000)));
      const kv = new KvShell(cluster);
      expect(new Set(KEYS.map(groupOf)).size).toBe(2);
      for (const key of KEYS.toReversed()) await kv.ok(["put", key, `value of ${key}`]);
      for (const key of KEYS) expect(await kv.ok(["get", key, "--id", "1"])).toBe(`value of ${key}`);
      expect(await kv.ok(["list"])).toBe(KEYS.map((key) => `${key}\n`).join(""));
      for (const group of [0, 1]) {
        const own = KEYS.filter((key) => groupOf(key) === group);
        expect(await kv.ok(["list", "--group", `${group}`])).toBe(own.map((key) => `${key}\n`).join(""));
      }
      const directory = join(cluster.directory, "devices");
      const unix = kvSocketPath(directory, deviceName("kpaxos:0of2", 0));
      const stranger = KEYS.find((key) => groupOf(key) === 1)!;
      for (const method of ["GET", "PUT", "DELETE"]) {
        const body = method === "PUT" ? { body: "mine" } : {};
        const response = await fetch(`http://kv/v1/keys/${stranger}`, { unix, method, ...body });
        expect(response.status).toBe(421);
        expect(await response.text()).toContain(`is a key of group 1, and this server is of group 0`);
      }
      await kv.ok(["delete", stranger]);
      expect((await kv.run(["get", stranger])).exitCode).toBe(1);
    });
  }, 90_000);
});
