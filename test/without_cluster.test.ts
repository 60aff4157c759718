/**
 * Clients where nobody else runs: each says what is missing, and nothing that it cannot know.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../src/ops/free_ports.ts";
import { COMMAND } from "./support/cluster.ts";

const TIMEOUT_MS = 30_000;
const HOST = "127.0.0.1:9";
/** How long a client that was asked for one second looks for a cluster, and what it takes to start and to end. */
const SOON_MS = 4_000 + 5_500;

interface Ending {
  readonly exitCode: number;
  readonly said: string;
  readonly ms: number;
}

/** Runs a command with the configuration of a cluster that is not there, over UDP. */
async function alone(...words: readonly string[]): Promise<Ending> {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  try {
    const [acceptor, proposer] = await freePorts(2, "127.0.0.1");
    const path = join(directory, "paxos.conf");
    writeFileSync(path, `acceptor 0 127.0.0.1 ${acceptor}\nproposer 0 127.0.0.1 ${proposer}\n`);
    const began = performance.now();
    const child = Bun.spawn([...COMMAND, ...words, "-f", path, "--device-directory", directory], {
      timeout: 20_000,
      killSignal: "SIGKILL",
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const [said, exitCode] = await Promise.all([child.stderr.text(), child.exited]);
    return { exitCode, said, ms: performance.now() - began };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test(
  "a client that asks a host in vain names that host, and no proposer, to whom it has sent nothing",
  async () => {
    const words = ["--wire", "kernel-paxos", "--learner", HOST, "--seconds", "1"];
    const { exitCode, said, ms } = await alone("run", "client", ...words);
    expect(exitCode).toBe(1);
    expect(ms).toBeLessThan(SOON_MS);
    const line = `the learner host ${HOST} does not answer: does a user-learner listen there?`;
    expect(said).toContain(`nothing moves: ${line}`);
    expect(said).toContain(`why: ${line}`);
    expect(said).not.toContain("proposer");
  },
  TIMEOUT_MS,
);

test(
  "in the native wire, where a proposer has to open its sessions first, it names the proposer",
  async () => {
    const { exitCode, said, ms } = await alone("run", "client", "--learner", HOST, "--seconds", "1");
    expect(exitCode).toBe(1);
    expect(ms).toBeLessThan(SOON_MS);
    expect(said).toMatch(/why: what was sent to proposer 0 .* does not come back/);
    expect(said).not.toContain("learner host");
  },
  TIMEOUT_MS,
);

test(
  "an open loop that has acceptors and no proposer does not wait for values when its time is over, and says why none came",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
    const [acceptor, proposer] = await freePorts(2, "127.0.0.1");
    const conf = join(directory, "paxos.conf");
    writeFileSync(conf, `acceptor 0 127.0.0.1 ${acceptor}\nproposer 0 127.0.0.1 ${proposer}\n`);
    const options = { stdin: "ignore", stdout: "ignore", timeout: 20_000, killSignal: "SIGKILL" } as const;
    const words = ["-f", conf, "--device-directory", directory];
    const voter = Bun.spawn([...COMMAND, "run", "acceptor", ...words], { ...options, stderr: "ignore" });
    try {
      const began = performance.now();
      const rate = ["--rate", "100", "--seconds", "1"];
      const client = Bun.spawn([...COMMAND, "run", "client", ...rate, ...words], {
        ...options,
        stderr: "pipe",
      });
      const [said, exitCode] = await Promise.all([client.stderr.text(), client.exited]);
      expect(exitCode).toBe(1);
      expect(performance.now() - began).toBeLessThan(SOON_MS);
      expect(said).toMatch(/waits up to \d s more for \d+ values that are under way/);
      expect(said).toMatch(
        /no value was delivered\n.*why: what was sent to proposer 0 .* does not come back/,
      );
    } finally {
      voter.kill();
      await voter.exited;
      rmSync(directory, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

test(
  "a client with a learner of its own, and a value from the shell, name the acceptors",
  async () => {
    const [client, value] = await Promise.all([
      alone("run", "client", "--seconds", "0.5"),
      alone("submit", "hello", "--timeout", "1"),
    ]);
    expect([client.exitCode, value.exitCode]).toEqual([1, 69]);
    expect(Math.max(client.ms, value.ms)).toBeLessThan(SOON_MS);
    for (const { said } of [client, value])
      expect(said).toMatch(/acceptor 0 .* does not answer, and 0 of 1 are no quorum/);
    expect(value.said).toMatch(/value 1 is not confirmed: it was not sent\nhint: .*acceptor 0 /);
  },
  TIMEOUT_MS,
);

test(
  "a value from the shell that waits for longer than the log is silent: each reason is said once",
  async () => {
    const { exitCode, said } = await alone("submit", "hello", "--timeout", "4");
    expect(exitCode).toBe(69);
    for (const reason of ["acceptor 0 ", "no frame was received"]) expect(said.split(reason)).toHaveLength(2);
    expect(said).toMatch(/it was not sent\nhint: the warnings above say why\n$/);
    // Who is not to say anything before says all of it at the end.
    const quiet = await alone("submit", "hello", "--timeout", "4", "--verbosity", "quiet");
    expect(quiet.said).toMatch(/hint: acceptor 0 .* does not answer.*; no frame was received/);
    // It has sent nothing to it.
    expect(quiet.said + said).not.toContain("proposer");
  },
  TIMEOUT_MS,
);

test(
  "values from standard input that has none: it says so, and has done all that was asked",
  async () => {
    const { exitCode, said } = await alone("submit", "-", "--timeout", "1");
    expect(said).toMatch(/^\S+ warn submit: nothing was submitted: standard input was empty\n$/);
    expect(exitCode).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "a file of statistics that finds no room is told at the end",
  async () => {
    const { exitCode, said } = await alone("run", "client", "--seconds", "0.1", "--stats-file", "/dev/full");
    expect(exitCode).toBe(1);
    expect(said).toMatch(/error: cannot write \/dev\/full: ENOSPC.*\nhint: .*where there is room\n$/);
  },
  TIMEOUT_MS,
);

test("a store that is to listen at what is no address says so", async () => {
  const { exitCode, said } = await alone("kv", "serve", "--listen", "999.9.9.9:0");
  expect(exitCode).toBe(1);
  expect(said).toMatch(
    /cannot listen on 999.9.9.9:0: E(INVAL|NOENT).*\nhint: HOST is an IP address of this host/,
  );
});

test(
  "a learner and a server of the store where nobody else runs say so, once",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
    const conf = join(directory, "paxos.conf");
    const [acceptor, proposer] = await freePorts(2, "127.0.0.1");
    writeFileSync(conf, `acceptor 0 127.0.0.1 ${acceptor}\nproposer 0 127.0.0.1 ${proposer}\n`);
    const options = { stdin: "ignore", stdout: "ignore", stderr: "pipe", timeout: 20_000 } as const;
    const place = ["-f", conf, "--device-directory", directory];
    const learner = ["run", "learner", "--id", "1", ...place];
    const server = ["kv", "serve", "--id", "2", "--timeout", "5.5", ...place];
    try {
      const children = [learner, server].map((words) => Bun.spawn([...COMMAND, ...words], options));
      await Bun.sleep(14_000);
      for (const child of children) child.kill();
      const [learners, servers] = await Promise.all(children.map(({ stderr }) => stderr.text()));
      const reason = /nothing moves: acceptor 0 .* does not answer, and 0 of 1 are no quorum/g;
      for (const said of [learners!, servers!]) expect(said.match(reason)).toHaveLength(1);
      expect(learners!.trim().split("\n")).toHaveLength(2);
      const unserved =
        /requests cannot be served yet: no leader confirmed the read within 5500 ms: acceptor 0 /g;
      expect(servers!.match(unserved)).toHaveLength(1);
      expect(
        servers!.match(/nothing moves: what was sent to proposer 0 .* does not come back/g),
      ).toHaveLength(1);
      expect(servers!.trim().split("\n")).toHaveLength(4);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

test("the store's client finds no server, at once", async () => {
  const { exitCode, said } = await alone("kv", "get", "key");
  expect(exitCode).toBe(69);
  expect(said).toMatch(/no server of cluster kpaxos runs on this host\nhint: start one with kpaxos kv serve/);
});

test.each([
  ["0", /klearner0\.sock: no learner listens there; waiting for learner 0$/m],
  ["7", /waiting for learner 7 \(.*paxos\.conf has learner 0\)$/m],
])("who prints a learner's values waits for it, and says so (%s)", async (id, line) => {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  const conf = join(import.meta.dir, "../paxos.conf");
  const words = ["tail", "--id", id, "-f", conf, "--device-directory", directory];
  const child = Bun.spawn([...COMMAND, ...words], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  try {
    const { value } = await child.stderr.getReader().read();
    expect(new TextDecoder().decode(value)).toMatch(line);
  } finally {
    child.kill();
    await child.exited;
    rmSync(directory, { recursive: true });
  }
  expect(child.exitCode).toBe(0);
});
