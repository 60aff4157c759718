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

interface Ending {
  readonly exitCode: number;
  readonly said: string;
}

/** Runs a command with the configuration of a cluster that is not there, over UDP. */
async function alone(...words: readonly string[]): Promise<Ending> {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  try {
    const [acceptor, proposer] = await freePorts(2, "127.0.0.1");
    const path = join(directory, "paxos.conf");
    writeFileSync(path, `acceptor 0 127.0.0.1 ${acceptor}\nproposer 0 127.0.0.1 ${proposer}\n`);
    const child = Bun.spawn([...COMMAND, ...words, "-f", path, "--device-directory", directory], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const [said, exitCode] = await Promise.all([child.stderr.text(), child.exited]);
    return { exitCode, said };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test(
  "a client that asks a host in vain names that host, and no proposer, to whom it has sent nothing",
  async () => {
    const words = ["--wire", "kernel-paxos", "--learner", HOST, "--seconds", "1"];
    const { exitCode, said } = await alone("run", "client", ...words);
    expect(exitCode).toBe(1);
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
    const { exitCode, said } = await alone("run", "client", "--learner", HOST, "--seconds", "1");
    expect(exitCode).toBe(1);
    expect(said).toMatch(/why: values sent to proposer 0 .* do not come back/);
    expect(said).not.toContain("learner host");
  },
  TIMEOUT_MS,
);
