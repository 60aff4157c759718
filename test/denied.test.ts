/**
 * Files and directories that this user may not have: exit code 77 everywhere, the file's name, and what to do.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceName } from "../src/delivery/device_layout.ts";
import { kvSocketPath } from "../src/kv/place.ts";
import { freePorts } from "../src/ops/free_ports.ts";
import { unprivileged } from "./support/unprivileged.ts";

const TIMEOUT_MS = 30_000;
const home = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
const conf = join(home, "paxos.conf");
/** May be neither read, nor written, nor searched. */
const closed = join(home, "closed");

beforeAll(async () => {
  const [acceptor, proposer] = await freePorts(2, "127.0.0.1");
  writeFileSync(conf, `acceptor 0 127.0.0.1 ${acceptor}\nproposer 0 127.0.0.1 ${proposer}\n`);
  mkdirSync(closed, { mode: 0 });
  unprivileged.own(home);
  unprivileged.own(closed);
});

afterAll(() => {
  chmodSync(closed, 0o700);
  rmSync(home, { recursive: true });
});

const at = (name: string): string => join(closed, name);
const inCluster = ["-f", conf, "--device-directory", home];

async function run(
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ said: string; exitCode: number }> {
  const child = Bun.spawn([...unprivileged().command, ...words], {
    timeout: 20_000,
    killSignal: "SIGKILL",
    cwd: home,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const [said, exitCode] = await Promise.all([child.stderr.text(), child.exited]);
  return { said, exitCode };
}

const REFUSED: readonly (readonly [string, readonly string[], Record<string, string>?])[] = [
  ["a result to compare", ["bench", "--compare", at("a.json"), at("b.json")]],
  ["a place for databases", ["bench", "commit", "--storage-path", closed]],
  ["a report", ["bench", "--report", at("page")]],
  ["a temporary directory", ["bench", "commit"], { TMPDIR: closed }],
  ["a statistics file", ["run", "client", ...inCluster, "--stats-file", at("stats")]],
  ["a trace", ["sim", "--seed", "1", "--trace", at("trace")]],
  ["a configuration", ["config", "check", "-f", at("paxos.conf")]],
  ["a key to show", ["key", "show", at("key")]],
  ["a key to make", ["key", "new", at("key")]],
  ["a ballot", ["run", "proposer", ...inCluster, "--wire", "kernel-paxos", "--state-directory", closed]],
  ["a database", ["run", "acceptor", ...inCluster, "--storage-backend", "sqlite", "--storage-path", at("a")]],
  ["a log", ["run", "acceptor", ...inCluster, "--storage-backend", "log", "--storage-path", at("a")]],
  ["a device", ["run", "client", "-f", conf, "--device-directory", closed, "--device", "0"]],
  ["a new cluster", ["cluster", "up", "--dir", at("cluster")]],
  ["a cluster's state", ["cluster", "status", "--dir", closed]],
  ["all clusters", ["cluster", "list"], { XDG_STATE_HOME: closed }],
];

for (const [what, words, env] of REFUSED) {
  test(
    what,
    async () => {
      const { said, exitCode } = await run(words, env);
      expect(said).toMatch(new RegExp(`^error: .*${closed}.*\\nhint: .+\\n$`));
      expect(exitCode).toBe(77);
    },
    TIMEOUT_MS,
  );
}

test(
  "a store's socket",
  async () => {
    const path = kvSocketPath(home, deviceName("kpaxos", 0));
    const server = Bun.listen({ unix: path, socket: { data: () => undefined } });
    try {
      chmodSync(path, 0);
      const { said, exitCode } = await run(["kv", "get", "key", ...inCluster]);
      expect(said).toMatch(/^error: cannot reach .*: this user may not \(EACCES\)\nhint: .*--url\n$/);
      expect(exitCode).toBe(77);
    } finally {
      server.stop(true);
    }
  },
  TIMEOUT_MS,
);
