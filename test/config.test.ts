/**
 * The configuration: what is read, what is refused and where, who wins, and what the commands print.
 */
import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineKpaxosCommand } from "../src/cli/command.ts";
import { configCommand } from "../src/cli/config.ts";
import { dispatch } from "../src/cli/runner.ts";
import { settingArgs, settingFlags } from "../src/cli/settings.ts";
import type { Config } from "../src/config/config.ts";
import { formatConfig, summarize } from "../src/config/format.ts";
import { KEYS, type Overrides, parseConfig } from "../src/config/parse.ts";
import { readConfig } from "../src/config/read.ts";
import { formatDiagnostic } from "../src/config/report.ts";
import { RETIRED_KEYS } from "../src/config/retired.ts";
import { DEFAULT_SETTINGS, FIELDS, SCHEMA, variableOf } from "../src/config/schema.ts";
import { CliError } from "../src/error.ts";
import { formatAddress } from "../src/net/address.ts";
import { parsed } from "./support/parsed.ts";

const ROOT = join(import.meta.dir, "..");
const DIAGNOSTICS = join(import.meta.dir, "testdata/config/diagnostics.txt");
const MINIMAL = "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\n";

const settingsOf = (text: string, overrides: Overrides = {}) => parsed(MINIMAL + text, overrides).settings;

const membersText = (members: Config["acceptors"]) =>
  members.map(({ id, address }) => `${id} ${formatAddress(address.kind, address.words)}`);

describe("diagnostics", () => {
  const [preamble, ...sections] = readFileSync(DIAGNOSTICS, "utf8").split(/^=== /m);
  const rewritten: string[] = [];
  for (const section of sections) {
    const newline = section.indexOf("\n");
    const name = section.slice(0, newline);
    const [text = "", expected = ""] = section.slice(newline + 1).split(/^---\n/m);
    const actual = parseConfig(text, "f")
      .diagnostics.map((d) => `${formatDiagnostic(d)}\n`)
      .join("");
    rewritten.push(`=== ${name}\n${text}---\n${actual}\n`);
    test(name, () => {
      expect(actual.trimEnd()).toBe(expected.trimEnd());
    });
  }
  if (process.env.KPAXOS_REWRITE === "1") {
    writeFileSync(DIAGNOSTICS, `${preamble}${rewritten.join("").replace(/\n$/, "")}`);
  }
});

describe("grammar", () => {
  test("role lines in all their spellings", () => {
    const config = parsed(
      "A 0 10.0.0.1 1\nACCEPTOR 1 10.0.0.1 2\np 0 10.0.0.1 3\nProposer 1 10.0.0.1 4\nl 0 10.0.0.1 5\nr 2 10.0.0.1 6\n" +
        "learner 1 10.0.0.1 7\n",
    );
    expect(membersText(config.acceptors)).toEqual(["0 10.0.0.1:1", "1 10.0.0.1:2", "2 10.0.0.1:6"]);
    expect(membersText(config.proposers)).toEqual(["0 10.0.0.1:3", "1 10.0.0.1:4", "2 10.0.0.1:6"]);
    expect(membersText(config.learners)).toEqual(["0 10.0.0.1:5", "1 10.0.0.1:7", "2 10.0.0.1:6"]);
    expect(membersText(config.replicas)).toEqual(["2 10.0.0.1:6"]);
    expect(config.link).toBe("udp");
    expect(summarize(config)).toBe("3 acceptors, 3 proposers, 3 learners over UDP, wire native");
  });

  test("the id written in the file counts, not the line's position", () => {
    const config = parsed("a 2 10.0.0.3 1\na 0 10.0.0.1 1\na 1 10.0.0.2 1\np 0 10.0.0.4 1\n");
    expect(membersText(config.acceptors)).toEqual(["0 10.0.0.1:1", "1 10.0.0.2:1", "2 10.0.0.3:1"]);
    expect(config.acceptors[2]).toMatchObject({ line: 1, column: 3 });
  });

  test("MAC addresses", () => {
    const config = parsed("a 0 00:1A:2b:3C:4d:5E\np 0 0-1a-2b-3c-4d-5f\n");
    expect(config.link).toBe("ethernet");
    expect(membersText(config.acceptors)).toEqual(["0 00:1a:2b:3c:4d:5e"]);
    expect(membersText(config.proposers)).toEqual(["0 00:1a:2b:3c:4d:5f"]);
  });

  test("the configuration of the user who saw 0 value/s: three roles on each of three MACs", () => {
    const lines = ["learner", "acceptor", "proposer"].flatMap((role) =>
      [0, 1, 2].map((id) => `${role} ${id} 5C:A1:AB:1E:00:0${id + 1}`),
    );
    for (const wire of ["native", "kernel-paxos"]) {
      const config = parsed(`${lines.join("\n")}\nwire ${wire}\nverbosity debug\n`);
      expect(config.warnings).toEqual([]);
      expect(summarize(config)).toBe(`3 acceptors, 3 proposers, 3 learners over raw Ethernet, wire ${wire}`);
    }
  });

  test.each([
    ["CRLF", "acceptor 0 127.0.0.1 8800\r\nproposer 0 127.0.0.1 8801\r\nverbosity info\r\n"],
    ["no newline at the end", "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\nverbosity info"],
    ["byte order mark", "\uFEFFacceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\nverbosity info\n"],
    [
      "tabs and blanks",
      "\tacceptor\t0  127.0.0.1\t 8800 \n \t\n\nproposer 0 127.0.0.1 8801\nverbosity\t\tinfo\t\n",
    ],
    [
      "comments",
      "#\nacceptor 0 127.0.0.1 8800#x\n # y\nproposer 0 127.0.0.1 8801 ## z\nverbosity info # a # b\n",
    ],
    ["lone CR", "acceptor 0 127.0.0.1 8800\rproposer 0 127.0.0.1 8801\rverbosity info"],
    ["upper case", "ACCEPTOR 0 127.0.0.1 8800\nPROPOSER 0 127.0.0.1 8801\nVERBOSITY INFO\n"],
  ])("%s", (_, text) => {
    const config = parsed(text);
    expect(config.settings).toEqual({ ...DEFAULT_SETTINGS, verbosity: "info" });
    expect(membersText(config.acceptors)).toEqual(["0 127.0.0.1:8800"]);
    expect(config.warnings).toEqual([]);
  });

  test("columns count from the first character, whatever stands before the key", () => {
    const { diagnostics } = parseConfig(`\uFEFF\t bogus 1\r\n${MINIMAL}`, "f");
    expect(diagnostics[0]).toMatchObject({ line: 1, column: 3 });
  });

  test("a file of the other encoding is named as such", () => {
    const utf16 = new TextDecoder().decode(Buffer.from("acceptor 0", "utf16le"));
    expect(parseConfig(utf16, "f").diagnostics.map(formatDiagnostic)).toEqual([
      "f:1:1: error: this is not a text file\n  hint: save it as UTF-8 (not UTF-16) text",
    ]);
  });

  test("without a limit of ten members in wire native", () => {
    const lines = Array.from({ length: 21 }, (_, id) => `replica ${id} 10.0.0.${id + 1} 8800`);
    expect(parsed(lines.join("\n")).acceptors).toHaveLength(21);
  });
});

describe("values", () => {
  test("booleans", () => {
    for (const word of ["yes", "YES", "true", "1", "on"])
      expect(settingsOf(`busy-poll ${word}`).busyPoll).toBe(true);
    for (const word of ["no", "No", "false", "0", "off"])
      expect(settingsOf(`batching ${word}`).batching).toBe(false);
  });

  test.each([
    ["1", 1000],
    ["10", 10_000],
    ["0.25", 250],
    ["500ms", 500],
    ["500 ms", 500],
    ["1.5s", 1500],
    ["1.1s", 1100],
    ["2MIN", 120_000],
    ["1h", 3_600_000],
  ])("proposer-timeout %s", (text, expected) => {
    expect(settingsOf(`proposer-timeout ${text}`).proposerTimeoutMs).toBe(expected);
  });

  test.each([
    ["67108864", 2 ** 26],
    ["64MiB", 2 ** 26],
    ["64mb", 2 ** 26],
    ["64 MB", 2 ** 26],
    ["64m", 2 ** 26],
    ["100kb", 102_400],
    ["1GiB", 2 ** 30],
    ["0.5gb", 2 ** 29],
    ["70000B", 70_000],
  ])("proposer-queue-bytes %s", (text, expected) => {
    expect(settingsOf(`proposer-queue-bytes ${text}`).proposerQueueBytes).toBe(expected);
  });

  test("windows that are indexed by a mask are rounded up", () => {
    const settings = settingsOf("acceptor-window-instances 300000\nlearner-window-instances 8192\n");
    expect(settings.acceptorWindowInstances).toBe(2 ** 19);
    expect(settings.learnerWindowInstances).toBe(8192);
  });

  test("defaults", () => {
    expect(parsed(MINIMAL).settings).toEqual({
      verbosity: "error",
      wire: "native",
      groups: 1,
      merge: false,
      interface: "",
      cluster: "kpaxos",
      clusterKey: "",
      learnerCatchUp: false,
      proposerTimeoutMs: 1000,
      leaderTimeoutMs: 500,
      leaseMs: 0,
      proposerPreexecWindow: 128,
      batching: true,
      proposerQueueBytes: 4 << 20,
      acceptorTrashFiles: false,
      storageBackend: "memory",
      storagePath: "",
      storageSync: true,
      acceptorWindowBytes: 64 << 20,
      acceptorWindowInstances: 524288,
      learnerWindowInstances: 8192,
      learnerWindowBytes: 16 << 20,
      trimEvery: 100000,
      learnerTimeoutMs: 10000,
      trimRule: "quorum",
      snapshotPath: "memory",
      snapshotEvery: 100000,
      maxValueBytes: 1048576,
      sessionLimit: 65536,
      clientTimeoutMs: 1000,
      queueDelayMs: 5,
      receiveMode: "ring",
      receiveQueues: 1,
      busyPoll: false,
      cpu: "",
      scheduling: "auto",
      keepAwake: false,
      promiscuous: false,
      offload: true,
      udpMulticast: "no",
      receiveBufferBytes: 4 << 20,
      deliveryLogBytes: 32 << 20,
      deviceDirectory: "/dev/shm/kpaxos",
      stateDirectory: "",
    });
  });

  test("storage-backend lmdb means sqlite and says so", () => {
    const config = parsed(`${MINIMAL}storage-backend LMDB\nstorage-path /var/lib/kpaxos\n`);
    expect(config.settings.storageBackend).toBe("sqlite");
    expect(config.warnings.map((w) => [w.line, w.column])).toEqual([[3, 17]]);
  });
});

describe("precedence", () => {
  const env = { KPAXOS_PROPOSER_TIMEOUT: "3", KPAXOS_VERBOSITY: "info", KPAXOS_BATCHING: "" };

  test("flag over environment over file over default", () => {
    const text = `${MINIMAL}proposer-timeout 2\nverbosity quiet\nbatching no\n`;
    const config = parsed(text, { env, flags: { "proposer-timeout": "4", cluster: undefined } });
    expect(config.settings).toEqual({
      ...DEFAULT_SETTINGS,
      proposerTimeoutMs: 4000,
      verbosity: "info",
      batching: false,
    });
    expect(config.origins.proposerTimeoutMs).toEqual({ from: "flag", flag: "--proposer-timeout" });
    expect(config.origins.verbosity).toEqual({ from: "environment", variable: "KPAXOS_VERBOSITY" });
    expect(config.origins.batching).toEqual({ from: "file", line: 5 });
    expect(config.origins.cluster).toEqual({ from: "default" });
  });

  test("booleans of a command line", () => {
    expect(settingsOf("", { flags: { "busy-poll": true, batching: false } })).toMatchObject({
      busyPoll: true,
      batching: false,
    });
  });

  test("faults name the variable or the flag", () => {
    const overrides = {
      env: { KPAXOS_VERBOSITY: "loud", KPAXOS_PROPSER_TIMEOUT: "1", KPAXOS_DEBUG: "1" },
      flags: { "trim-every": "0", cluster: true },
    };
    expect(parseConfig(MINIMAL, "f", overrides).diagnostics.map(formatDiagnostic)).toEqual([
      'KPAXOS_VERBOSITY: error: unknown verbosity "loud"\n  hint: known: quiet, error, info, debug',
      "KPAXOS_PROPSER_TIMEOUT: warning: no such setting\n  hint: did you mean KPAXOS_PROPOSER_TIMEOUT?",
      "--cluster: error: needs a value\n  hint: write --cluster and a value",
      "--trim-every: error: trim-every 0 is out of range\n  hint: allowed: 1 to 1000000000 (default 100000)",
    ]);
  });

  test("the wire that a flag chooses decides what is an error", () => {
    const text = "a 0 2:0:0:0:0:1\na 1 2:0:0:0:0:1\na 2 2:0:0:0:0:2\np 0 2:0:0:0:0:3\n";
    expect(parseConfig(text, "f").config).toBeDefined();
    expect(parseConfig(text, "f", { flags: { wire: "kernel-paxos" } }).config).toBeUndefined();
  });

  test("every setting has a flag, and no flag has a default of its own", () => {
    for (const key of KEYS) expect(settingArgs[key]).toBeDefined();
    expect(settingFlags({ "trim-every": "7", batching: false, json: true, file: "x" })).toEqual({
      "trim-every": "7",
      batching: false,
    });
    for (const arg of Object.values(settingArgs)) expect(arg.default).toBeUndefined();
  });
});

describe("readConfig", () => {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-config-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function refused(path: string): CliError {
    try {
      readConfig(path, { env: {} });
    } catch (error) {
      if (error instanceof CliError) return error;
      throw error;
    }
    throw new Error("it was read");
  }

  test("all errors of the file in one CliError, warnings too", () => {
    const path = join(directory, "bad.conf");
    writeFileSync(path, "acceptor 0 127.0.0.1 8800\nacceptor 1 localhost 8801\nverbosty info\n");
    const error = refused(path);
    expect(error.exitCode).toBe(78);
    expect(error.message.split("\n")[0]).toBe(`${path} has 3 errors`);
    for (const place of ["2:10: warning", "2:12: error", "3:1: error", "3:1: error: no proposer"])
      expect(error.message).toContain(`${path}:${place}`);
  });

  test("a missing file, a directory, an enormous file, a device without end", () => {
    const missing = refused(join(directory, "none.conf"));
    expect([missing.exitCode, missing.message]).toEqual([
      78,
      `cannot read ${directory}/none.conf: there is no such file`,
    ]);
    expect(missing.hint).toContain("-f FILE");
    mkdirSync(join(directory, "d"));
    expect(refused(join(directory, "d")).message).toContain("it is a directory");
    writeFileSync(join(directory, "huge"), Buffer.alloc((1 << 20) + 1, "#"));
    expect(refused(join(directory, "huge")).message).toContain("1048577 bytes");
    expect(refused("/dev/zero").message).toContain("more than 1048576 bytes");
  });

  test("the example of the repository is a cluster that runs without privileges", () => {
    const config = readConfig(join(ROOT, "paxos.conf"), { env: {} });
    expect(config.warnings).toEqual([]);
    expect(summarize(config)).toBe("3 acceptors, 1 proposer, 1 learner over UDP, wire native");
  });

  test("the raw-Ethernet members that the example shows are right, too", () => {
    const text = readFileSync(join(ROOT, "paxos.conf"), "utf8");
    const blocks = text
      .split("\n")
      .filter((line) => /^# (acceptor|proposer|learner|replica) +\d [0-9a-f]{2}:/.test(line));
    const uncommented = blocks.map((line) => line.slice(2));
    const separate = uncommented.filter((line) => !line.startsWith("replica")).join("\n");
    expect(summarize(parsed(separate))).toBe(
      "3 acceptors, 1 proposer, 1 learner over raw Ethernet, wire native",
    );
    const replicas = uncommented.filter((line) => line.startsWith("replica")).join("\n");
    expect(summarize(parsed(replicas))).toBe(
      "3 acceptors, 3 proposers, 3 learners over raw Ethernet, wire native",
    );
  });

  test("what the example shows as defaults are the defaults", () => {
    const text = readFileSync(join(ROOT, "paxos.conf"), "utf8");
    const shown = text
      .split("\n")
      .flatMap((line) => /^# (([a-z-]+) \S+)$/.exec(line) ?? [])
      .filter((line) => KEYS.some((key) => line.startsWith(`${key} `)) && !line.startsWith("interface"));
    expect(shown.length).toBeGreaterThan(5);
    expect(settingsOf(shown.join("\n"))).toEqual(DEFAULT_SETTINGS);
  });

  test("the reference describes every key", () => {
    const reference = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");
    for (const key of [...KEYS, ...Object.keys(RETIRED_KEYS)]) expect(reference).toContain(`\`${key}\``);
    for (const field of FIELDS) expect(variableOf(SCHEMA[field].key)).toMatch(/^KPAXOS_[A-Z_]+$/);
  });
});

describe("kpaxos config", () => {
  const root = defineKpaxosCommand({
    meta: { name: "kpaxos", description: "" },
    subCommands: { config: configCommand },
  });
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-config-cli-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "paxos.conf");

  async function run(text: string, ...words: string[]) {
    writeFileSync(path, text);
    let out = "";
    let err = "";
    const stdout = spyOn(process.stdout, "write").mockImplementation((chunk) => {
      out += String(chunk);
      return true;
    });
    const stderr = spyOn(process.stderr, "write").mockImplementation((chunk) => {
      err += String(chunk);
      return true;
    });
    try {
      const code: number = await dispatch(root, ["config", ...words, "-f", path]);
      return { code, out, err };
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      return { code: error.exitCode as number, out, err: err + error.message };
    } finally {
      stdout.mockRestore();
      stderr.mockRestore();
    }
  }

  test("check says ok on standard output, warnings on standard error", async () => {
    const { code, out, err } = await run(`${MINIMAL}acceptor 1 127.0.0.1 8802\n`, "check");
    expect([code, out]).toEqual([
      0,
      `${path}: ok (2 acceptors, 1 proposer, 0 learners over UDP, wire native)\n`,
    ]);
    expect(err).toContain(`${path}:3:10: warning: 2 acceptors tolerate 0 failures`);
  });

  test("check --json is one object, also of a bad file", async () => {
    const good = await run(MINIMAL, "check", "--json");
    expect(JSON.parse(good.out)).toMatchObject({
      file: path,
      ok: true,
      acceptors: 1,
      errors: [],
      warnings: [],
    });
    const bad = await run(`${MINIMAL}bogus\n`, "check", "--json");
    expect(bad.code).toBe(78);
    expect(JSON.parse(bad.out)).toMatchObject({
      ok: false,
      errors: [{ severity: "error", file: path, line: 3, column: 1, message: 'unknown key "bogus"' }],
    });
  });

  test("show prints a file that means the same", async () => {
    const { code, out } = await run(`${MINIMAL}proposer-timeout 1.5s\n`, "show", "--trim-every", "5000");
    expect(code).toBe(0);
    expect(out).toContain(`proposer-timeout 1500ms           # ${path}:3\n`);
    expect(out).toContain("trim-every 5000                   # --trim-every\n");
    expect(out).toContain("# interface                       # not set\n");
    expect(parsed(out).settings).toEqual({ ...DEFAULT_SETTINGS, proposerTimeoutMs: 1500, trimEvery: 5000 });
  });

  test("show --json gives values with unit and origin", async () => {
    const { out } = await run(MINIMAL, "show", "--json", "--no-batching");
    const shown = JSON.parse(out);
    expect(shown.settings["proposer-timeout"]).toEqual({ value: 1000, unit: "ms", from: "default" });
    expect(shown.settings.batching).toEqual({ value: false, from: "flag", flag: "--batching" });
    expect(shown.acceptors).toEqual([{ id: 0, address: "127.0.0.1:8800", line: 1 }]);
    expect(Object.keys(shown.settings)).toEqual([...KEYS]);
  });

  test("a bad flag is an error of usage, a bad file is not", async () => {
    expect((await run(MINIMAL, "show", "--trim-every", "0")).code).toBe(2);
    expect((await run(`${MINIMAL}trim-every 0\n`, "show", "--trim-every", "0")).code).toBe(78);
    expect((await run(MINIMAL, "show", "--trim-evry", "5")).code).toBe(2);
  });

  test("a file's name cannot break the comments of show", () => {
    const { config } = parseConfig(MINIMAL, "odd\nname");
    expect(parseConfig(formatConfig(config!), "f").config?.settings).toEqual(DEFAULT_SETTINGS);
  });
});
