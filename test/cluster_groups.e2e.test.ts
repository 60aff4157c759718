/**
 * `kpaxos cluster` with groups: every role is a process for each of them, a merging learner is one, and commands name them.
 */
import { describe, expect, test } from "bun:test";
import { COMMAND } from "./support/cluster.ts";
import { ClusterUser } from "./support/cluster_command.ts";
import { describeNetns } from "./support/netns.ts";
import { until } from "./support/until.ts";

let counter = 0;

async function withUser(body: (user: ClusterUser, which: readonly string[]) => Promise<void>): Promise<void> {
  const user = new ClusterUser(COMMAND, {});
  const name = `g${process.pid}-${counter++}`;
  try {
    await body(user, ["--name", name]);
    await until("nothing runs any more", () => user.processes().length === 0);
    expect(user.traces(name)).toEqual([]);
  } finally {
    await user.run("cluster", "down", "--name", name);
    user.close();
  }
}

/** Runs a client on the host for clients, to the end of its values. */
async function load(user: ClusterUser, which: readonly string[], ...words: string[]): Promise<void> {
  const client = ["kpaxos", "run", "client", "--json", "--values", "200", ...words];
  const out = await user.ok("cluster", "exec", ...which, "client", "--", ...client);
  expect(JSON.parse(out.trim().split("\n").at(-1)!)).toMatchObject({ values: 200 });
}

async function lifeOfGroups(user: ClusterUser, which: readonly string[], ...place: string[]): Promise<void> {
  const up = await user.ok("cluster", "up", ...which, ...place, "--groups", "2", "--replicas", "3");
  expect(up).toContain("kpaxos run client --nclients 2 --seconds 5");
  const roles = (await user.status(...which)).roles;
  expect(roles.map(({ name }) => name)).toEqual(
    [0, 1].flatMap((group) => [0, 1, 2].map((id) => `replica/${id}@${group}`)),
  );
  await load(user, which, "--nclients", "2");
  // The other group goes on without it.
  await user.ok("cluster", "kill", ...which, "replica/0@1");
  await user.ok("cluster", "kill", ...which, "replica/1@1");
  await load(user, which, "--group", "0");
  await user.ok("cluster", "start", ...which, "replica/0@1");
  expect(await user.ok("cluster", "logs", ...which, "replica/0@1", "--lines", "50")).toContain(
    "replica 0 group 1: ready",
  );
  const wrong = await user.run("cluster", "kill", ...which, "replica/0");
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("did you mean replica/0@0?") });
  await user.ok("cluster", "add", ...which, "user-learner", "--beside", "replica/2@0");
  const server = (await user.status(...which)).roles.at(-1)!;
  expect(server.name).toBe("user-learner/0@0");
  await load(user, which, "--group", "0", "--learner", server.address);
  await user.ok("cluster", "down", ...which);
}

describe("UDP", () => {
  test("the life of two groups", async () => {
    await withUser((user, which) => lifeOfGroups(user, which, "--link", "udp"));
  }, 150_000);

  test("a learner that merges them is one process, and cannot serve sessions", async () => {
    await withUser(async (user, which) => {
      const settings = ["--groups", "2", "--merge", "--learner-catch-up"];
      await user.ok("cluster", "up", ...which, "--link", "udp", ...settings);
      const names = (await user.status(...which)).roles.map(({ name }) => name);
      expect(names).toHaveLength(9);
      expect(names.at(-1)).toBe("learner/0");
      await load(user, which, "--nclients", "2");
      const tail = ["kpaxos", "tail", "--from", "oldest", "--count", "200", "--json"];
      const out = await user.ok("cluster", "exec", ...which, "learner/0", "--", ...tail);
      const iids = out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { iid: number }).iid);
      expect(iids).toEqual(iids.toSorted((a, b) => a - b));
      expect(new Set(iids.map((iid) => iid % 2)).size).toBe(2);
      const beside = await user.run("cluster", "add", ...which, "user-learner");
      expect(beside).toMatchObject({ code: 2, err: expect.stringContaining("is of all groups") });
      await user.ok("cluster", "down", ...which);
    });
  }, 150_000);
});

describeNetns("raw Ethernet", () => {
  test("the life of two groups", async () => {
    await withUser((user, which) => lifeOfGroups(user, which));
  }, 150_000);
});
