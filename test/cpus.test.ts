/**
 * The setting `cpu`: how a list is read, and where the turns of a process then run.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCpus } from "../src/node/cpus.ts";
import { freePorts } from "../src/ops/free_ports.ts";

const MAIN = join(import.meta.dir, "../src/main.ts");
const LOOPBACK = "127.0.0.1";

test.each([
  ["0", [0]],
  ["2-4", [2, 3, 4]],
  ["0,2-3", [0, 2, 3]],
  ["3,1-3", [3, 1, 2]],
  ["1023", [1023]],
])("%s", (text, cpus) => expect(parseCpus(text)).toEqual(cpus));

test.each(["", "-1", "1-", "3-2", "1024", "0-1024", "a", "0,,1", "0 1", "12345"])("%p is no list", (text) =>
  expect(parseCpus(text)).toBeUndefined(),
);

describe("a process", () => {
  let directory = "";
  let config = "";

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "kpaxos-cpus-"));
    config = join(directory, "paxos.conf");
    const [first, second] = await freePorts(2, LOOPBACK);
    writeFileSync(config, `acceptor 0 ${LOOPBACK} ${first}\nproposer 0 ${LOOPBACK} ${second}\n`);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function start(...words: string[]) {
    return Bun.spawn([process.execPath, MAIN, "run", "acceptor", "-f", config, "--id", "0", ...words], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
  }

  const allowed = (status: string): string | undefined => /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];

  test("runs where it is told to", async () => {
    const cpu = allowed(readFileSync("/proc/self/status", "utf8"))!.match(/\d+$/)![0];
    const child = start("--cpu", cpu, "--verbosity", "info");
    try {
      let said = "";
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        said += chunk;
        if (said.includes("ready")) break;
      }
      expect(allowed(readFileSync(`/proc/${child.pid}/task/${child.pid}/status`, "utf8"))).toBe(cpu);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test("says which processors there are", async () => {
    const child = start("--cpu", "0-1023");
    const [code, said] = await Promise.all([child.exited, child.stderr.text()]);
    expect(code).toBe(78);
    expect(said).toMatch(/^error: cpu 0-1023: this process cannot run there\nhint: it may use \d\S*;/m);
  });
});
