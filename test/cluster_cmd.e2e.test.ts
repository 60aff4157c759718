/**
 * `kpaxos cluster`: the whole life of a cluster for root, for an ordinary user and over UDP; what goes wrong on the way;
 * and that nothing is ever left behind.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withLock } from "../src/ops/cluster_lock.ts";
import { identify, isAlive, signal } from "../src/ops/process_id.ts";
import { COMMAND } from "./support/cluster.ts";
import { ClusterUser, whyNoOrdinaryUser } from "./support/cluster_command.ts";
import { describeNetns } from "./support/netns.ts";
import { describeUnless } from "./support/skip.ts";
import { until } from "./support/until.ts";

const FAKE = [process.execPath, join(import.meta.dir, "support/fake_main.ts")];
const COMPILED = join(import.meta.dir, "../dist/kpaxos");

/** Some forty commands, one after the other, beside other tests. */
const LIFE_MS = 60_000;

let counter = 0;

/** A name nobody else uses, so that traces are ours. */
function newName(): string {
  return `t${process.pid}-${counter++}`;
}

async function withUser(
  options: { command?: readonly string[]; ordinary?: boolean; env?: Record<string, string> },
  body: (user: ClusterUser, name: string) => Promise<void>,
): Promise<void> {
  const user = new ClusterUser(options.command ?? COMMAND, options);
  const name = newName();
  try {
    await body(user, name);
    await until("nothing runs any more", () => user.processes().length === 0);
    expect(user.traces(name)).toEqual([]);
  } finally {
    await user.run("cluster", "down", "--name", name);
    user.close();
  }
}

/** From up to down, with everything in between. */
async function wholeLife(
  user: ClusterUser,
  name: string,
  place: string,
  args: readonly string[],
): Promise<void> {
  const which = ["--name", name];
  const up = await user.ok("cluster", "up", ...which, ...args);
  expect(up.split("\n")[0]).toContain(place === "loopback" ? "UDP on 127.0.0.1 (" : "raw Ethernet (");
  expect(up).toContain(`cluster exec --name ${name} client -- kpaxos run client --seconds 5`);
  const status = await user.status(...which);
  expect(status).toMatchObject({ up: true, place, asked: { ok: true, trouble: null } });
  expect(status.asked.groups[0]!.acceptors.map(({ trimmedIid }) => trimmedIid)).toEqual([0, 0, 0]);
  expect(status.roles.map((role) => role.name)).toEqual([
    "acceptor/0",
    "acceptor/1",
    "acceptor/2",
    "proposer/0",
    "learner/0",
  ]);
  expect(await user.ok("cluster", "list")).toContain(`${name} `.padEnd(16));

  const client = ["kpaxos", "run", "client", "--json", "--values", "200"];
  const load = async (...more: string[]): Promise<void> => {
    const out = await user.ok("cluster", "exec", ...which, "client", "--", ...client, ...more);
    expect(JSON.parse(out.trim().split("\n").at(-1)!)).toMatchObject({ values: 200 });
  };
  await load();
  const inside = ["cluster", "exec", ...which, "acceptor/1", "--", "sh", "-c"];
  if (place !== "loopback") {
    expect(await user.ok(...inside, "cat /sys/class/net/eth0/address")).toBe(`${status.roles[1]!.address}\n`);
  }
  expect(await user.ok(...inside, 'pwd; echo "$KPAXOS_CONFIG"')).toBe(`${user.home}\n${status.config}\n`);
  expect(await user.run(...inside, "exit 7")).toEqual({ code: 7, out: "", err: "" });
  const suicide = await user.run(...inside, `kpaxos cluster down --name ${name}`);
  expect(suicide).toMatchObject({ code: 1, err: expect.stringContaining("would end itself") });

  expect(await user.ok("cluster", "kill", ...which, "acceptor/1")).toBe(
    "acceptor/1: SIGKILL, it has ended\n",
  );
  const hurt = await user.run("cluster", "status", ...which);
  expect(hurt.code).toBe(1);
  expect(hurt.out).toMatch(/acceptor\/1 +dead/);
  expect(hurt.out).toMatch(/^leader: proposer 0 .*chosen up to/m);
  expect(hurt.out).toMatch(/^acceptor 1 .* silent$/m);
  expect(hurt.out.trim().split("\n").at(-1)).toBe(
    "values can be chosen: proposer 0 leads, 2 of 3 acceptors vote",
  );
  await load();
  await user.ok("cluster", "start", ...which, "acceptor/1");
  expect(await user.ok("cluster", "start", ...which)).toContain("every role");

  const pids = (await user.status(...which)).roles.map((role) => role.pid);
  await user.ok("cluster", "add", ...which, "learner");
  await user.ok("cluster", "add", ...which, "user-learner", "--beside", "learner/1");
  const grown = (await user.status(...which)).roles;
  expect(grown.slice(0, 5).map((role) => role.pid)).toEqual(pids);
  expect(grown.slice(5).map((role) => role.name)).toEqual(["learner/1", "user-learner/0"]);
  await load("--learner", grown[6]!.address);

  const logs = (await user.ok("cluster", "logs", ...which, "--lines", "1000")).trim().split("\n");
  const times = logs.map((line) => line.split(" ")[0]!);
  expect(times).toEqual([...times].sort());
  expect(logs.filter((line) => /acceptor 1: ready/.test(line)).length).toBe(2);
  const one = await user.ok("cluster", "logs", ...which, "proposer/0", "--lines", "1");
  expect(one.trim().split("\n").length).toBe(1);

  const again = await user.run("cluster", "up", ...which, ...args);
  expect(again).toMatchObject({ code: 1, err: expect.stringContaining("already runs (7 of 7 roles") });
  const following = user.spawn(["cluster", "logs", ...which, "--follow", "--lines", "1"]);
  // From its first line on it follows.
  const begun = await following.stdout.getReader().read();
  expect(begun.done).toBe(false);
  expect(await user.ok("cluster", "down", ...which)).toContain("nothing of it is left");
  expect(await following.exited).toBe(0);
  expect(await user.ok("cluster", "down", ...which)).toContain("nothing to do");
  expect((await user.run("cluster", "status", ...which)).code).toBe(1);
}

/** A crash of everything at once; what is left is found and removed. */
async function afterACrash(user: ClusterUser, name: string, args: readonly string[]): Promise<void> {
  const which = ["--name", name];
  await user.ok("cluster", "up", ...which, ...args);
  for (const id of user.processes()) signal(id, "SIGKILL");
  await until("everything has died", () => user.processes().length === 0);
  const dead = await user.status(...which);
  expect(dead.roles.every((role) => !role.alive)).toBe(true);
  expect(dead.asked).toMatchObject({
    ok: false,
    groups: [],
    trouble: expect.stringContaining("no acceptor"),
  });
  const up = await user.run("cluster", "up", ...which, ...args);
  expect(up).toMatchObject({ code: 0, err: expect.stringContaining("had left behind") });
  for (const id of user.processes()) signal(id, "SIGKILL");
  await user.ok("cluster", "down", ...which);
}

test.concurrent(
  "UDP: a whole life",
  async () => {
    await withUser({}, (user, name) => wholeLife(user, name, "loopback", ["--link", "udp"]));
  },
  LIFE_MS,
);

test.concurrent("UDP: after a crash", async () => {
  await withUser({}, (user, name) => afterACrash(user, name, ["--link", "udp"]));
});

describeNetns(
  "root",
  () => {
    test(
      "a whole life",
      async () => {
        await withUser({}, (user, name) => wholeLife(user, name, "root", []));
      },
      LIFE_MS,
    );

    test(
      "a whole life of the compiled executable",
      async () => {
        await withUser({ command: [COMPILED] }, (user, name) => wholeLife(user, name, "root", []));
      },
      LIFE_MS,
    );

    test("after a crash", async () => {
      await withUser({}, (user, name) => afterACrash(user, name, []));
    });

    test("replicas, of which one trims", async () => {
      await withUser({}, async (user, name) => {
        const which = ["--name", name];
        const up = ["cluster", "up", ...which, "--replicas", "3", "--wire", "kernel-paxos"];
        const wrong = await user.run(...up, "--trim-learner", "3");
        expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("it has replica 0 to 2") });
        expect(await user.ok(...up, "--trim-learner", "1", "--verbosity", "quiet")).toContain(
          "only replica 1 has the log trimmed",
        );
        const { roles } = await user.status(...which);
        const flags = roles.map(({ pid }) =>
          readFileSync(`/proc/${pid}/cmdline`, "utf8")
            .split("\0")
            .filter((word) => word.endsWith("cantrim")),
        );
        expect(flags).toEqual([["--no-cantrim"], ["--cantrim"], ["--no-cantrim"]]);
        const client = ["kpaxos", "run", "client", "--no-cantrim", "--values", "100"];
        await user.ok("cluster", "exec", ...which, "client", "--", ...client);
        await user.ok("cluster", "down", ...which);
      });
    });
  },
  describe.concurrent,
);

describeUnless(
  whyNoOrdinaryUser(),
  "an ordinary user",
  () => {
    test(
      "a whole life",
      async () => {
        await withUser({ ordinary: true }, (user, name) => wholeLife(user, name, "user", []));
      },
      LIFE_MS,
    );

    test("after a crash, and without the keeper", async () => {
      await withUser({ ordinary: true }, async (user, name) => {
        const which = ["--name", name];
        await afterACrash(user, name, []);
        await user.ok("cluster", "up", ...which);
        const roles = (await user.status(...which)).roles.map((role) => role.pid);
        const keeper = user.processes().filter(({ pid }) => !roles.includes(pid));
        expect(keeper.length).toBe(1);
        signal(keeper[0]!, "SIGKILL");
        await until("the keeper has ended", () => !isAlive(keeper[0]!));
        await user.ok(
          "cluster",
          "exec",
          ...which,
          "client",
          "--",
          "kpaxos",
          "run",
          "client",
          "--values",
          "50",
        );
        await user.ok("cluster", "down", ...which);
      });
    });
  },
  describe.concurrent,
);

test.concurrent("who comes back and has forgotten is named; who has a disk has not", async () => {
  await withUser({}, async (user, name) => {
    const which = ["--name", name];
    const restarted = async (...settings: string[]): Promise<string> => {
      await user.ok("cluster", "up", ...which, "--replace", "--link", "udp", ...settings);
      await user.ok("cluster", "kill", ...which, "acceptor/1");
      const { code, err } = await user.run("cluster", "start", ...which, "acceptor/1");
      expect(code).toBe(0);
      return err;
    };
    expect(await restarted()).toContain("acceptor/1: back with an empty memory: it votes again when it has");
    expect(await restarted("--wire", "kernel-paxos")).toContain("it votes all the same");
    const path = join(user.home, "store");
    expect(await restarted("--storage-backend", "sqlite", "--storage-path", path)).toBe("");
    // Unless a place is named they have one of the cluster's own, which goes with it.
    expect(await restarted("--storage-backend", "log")).toBe("");
    const { directory } = await user.status(...which);
    expect(existsSync(join(directory, "storage", "acceptor-1.kplog"))).toBe(true);
    expect(existsSync(join(path, "acceptor-1.db"))).toBe(true);
    await user.ok("cluster", "down", ...which);
  });
}, 60_000);

test.concurrent("a start that fails is undone, with the reason", async () => {
  await withUser({}, async (user, name) => {
    const up = ["cluster", "up", "--name", name];
    const failed = await user.run(...up, "--device-directory", "/proc/nowhere");
    expect(failed.code).toBe(1);
    expect(failed.err).toContain("learner 0 ended with exit code 1");
    expect(failed.err).toContain("/proc/nowhere: ENOENT");
    expect(user.traces(name)).toEqual([]);
    const wrong = await user.run(...up, "--proposer-timeout", "0");
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("--proposer-timeout") });
  });
});

test.concurrent("a start that is interrupted is undone; one that is killed is undone by down", async () => {
  await withUser({ command: FAKE, env: { FAKE: "silent" } }, async (user, name) => {
    const up = ["cluster", "up", "--name", name];
    const interrupted = user.spawn(up);
    await until("the roles run", () => user.processes().length >= 6);
    interrupted.kill("SIGINT");
    await interrupted.exited;
    expect(interrupted.signalCode).toBe("SIGINT");
    await until("they are gone", () => user.processes().length === 0);
    expect(user.traces(name)).toEqual([]);
    const killed = user.spawn(up);
    await until("the roles run", () => user.processes().length >= 6);
    killed.kill("SIGKILL");
    await killed.exited;
    const status = await user.run("cluster", "status", "--name", name);
    expect(status).toMatchObject({ code: 1, out: expect.stringContaining("not finished") });
    await user.ok("cluster", "down", "--name", name);
  });
});

test.concurrent("of two starts at once one wins, also over the lock of a dead one", async () => {
  await withUser({ command: FAKE }, async (user, name) => {
    const clusters = join(user.home, ".local/state/kpaxos/clusters");
    mkdirSync(clusters, { recursive: true });
    writeFileSync(join(clusters, `${name}.lock`), JSON.stringify({ ...identify(process.pid), start: "1" }));
    const up = ["cluster", "up", "--link", "udp", "--name", name];
    const both = await Promise.all([user.run(...up), user.run(...up), user.run(...up)]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
    for (const { code, err } of both) if (code === 1) expect(err).toContain("already runs");
    const before = await user.status("--name", name);
    await user.ok(...up, "--replace");
    const after = await user.status("--name", name);
    expect(after.up).toBe(true);
    for (const { pid } of after.roles) expect(before.roles.map((role) => role.pid)).not.toContain(pid);
    await user.ok("cluster", "down", "--name", name);
  });
});

test.concurrent("wrong words are answered with the right ones", async () => {
  await withUser({ command: FAKE }, async (user, name) => {
    const which = ["--name", name];
    expect(await user.run("cluster", "up", "--name", "../x")).toMatchObject({ code: 2 });
    expect(await user.run("cluster", "up", "--replicas", "3", "--learners", "1")).toMatchObject({ code: 2 });
    expect(await user.run("cluster", "up", "--trim-lerner", "1")).toMatchObject({
      code: 2,
      err: expect.stringContaining("did you mean --trim-learner?"),
    });
    writeFileSync(join(user.home, "precious"), "");
    expect(await user.run("cluster", "up", "--dir", user.home)).toMatchObject({
      code: 2,
      err: expect.stringContaining("something else than a cluster"),
    });
    for (const path of ["precious", "precious/x"]) {
      expect(await user.run("cluster", "up", "--dir", join(user.home, path))).toMatchObject({
        code: 1,
        err: expect.stringContaining("something on this path is a file"),
      });
    }
    mkdirSync(join(user.home, "strange/cluster.json"), { recursive: true });
    expect(await user.run("cluster", "status", "--dir", join(user.home, "strange"))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/cannot read the cluster's state: EISDIR.*\n.*mend .*cluster\.json/),
    });
    await user.ok("cluster", "up", "--link", "udp", ...which, "--dir", "own");
    const here = [...which, "--dir", "own"];
    for (const [verb, ...words] of [
      ["kill", "aceptor/1"],
      ["start", "acceptor/3"],
      ["logs", "acceptor/3"],
    ]) {
      const { code, err } = await user.run("cluster", verb!, ...here, ...words);
      expect(code).toBe(2);
      expect(err).toContain("did you mean acceptor/");
    }
    const exec = await user.run("cluster", "exec", ...here, "cliet", "--", "true");
    expect(exec).toMatchObject({ code: 2, err: expect.stringContaining("did you mean client?") });
    const nothing = await user.run("cluster", "exec", ...here, "client", "--", "no-such-program");
    expect(nothing).toMatchObject({ code: 2, err: expect.stringContaining("/PATH/TO/no-such-program") });
    const misplaced = await user.run("cluster", "exec", ...here, "client", "--", "/no/such-program");
    expect(misplaced).toMatchObject({ code: 2, err: expect.stringContaining("correct its path") });
    expect(await user.run("cluster", "add", ...here, "user-learner", "--beside", "acceptor/0")).toMatchObject(
      {
        code: 2,
      },
    );
    await user.ok("cluster", "kill", ...here, "acceptor/0", "--signal", "STOP");
    expect(await user.ok("cluster", "status", ...here)).toMatch(/acceptor\/0 +stopped/);
    await user.ok("cluster", "down", ...here);
    expect(readFileSync(join(user.home, "precious"), "utf8")).toBe("");
  });
});

test.concurrent("a pid that somebody else has now is nobody of ours", () => {
  const me = identify(process.pid);
  expect(isAlive(me)).toBe(true);
  for (const other of [
    { ...me, start: "1" },
    { ...me, boot: "another" },
  ]) {
    expect(isAlive(other)).toBe(false);
    expect(signal(other, "SIGKILL")).toBe(false);
  }
});

test.concurrent("a lock is given back after a failure", async () => {
  const user = new ClusterUser(FAKE);
  try {
    const directory = join(user.home, "a/b");
    await expect(withLock(directory, () => Promise.reject(new Error("on purpose")))).rejects.toThrow(
      "on purpose",
    );
    expect(await withLock(directory, () => Promise.resolve(5))).toBe(5);
  } finally {
    user.close();
  }
});
