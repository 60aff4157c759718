import { describe, expect, test } from "bun:test";
import { createLog, type LogRecord, plainLine } from "../src/log.ts";

function recorder(start = 1000) {
  const records: LogRecord[] = [];
  const clock = { ms: start };
  const options = { sink: (r: LogRecord) => void records.push(r), nowMs: () => clock.ms };
  return { records, clock, options };
}

describe("verbosity", () => {
  const expected = { quiet: [], error: ["error", "warn"], info: ["error", "warn", "info"] } as const;
  for (const [verbosity, levels] of Object.entries({
    ...expected,
    debug: ["error", "warn", "info", "debug"],
  })) {
    test(`${verbosity} lets ${levels.join(", ") || "nothing"} through`, () => {
      const { records, options } = recorder();
      const log = createLog(verbosity as "quiet", "acceptor 0", options);
      log.error("e");
      log.warn("w");
      log.info("i");
      log.debug("d");
      expect(records.map((r) => r.level)).toEqual([...levels] as LogRecord["level"][]);
      expect(log.enabled("debug")).toBe(verbosity === "debug");
    });
  }

  test("a text that is not written is not computed", () => {
    const { records, options } = recorder();
    const log = createLog("error", "", options);
    log.debug(() => {
      throw new Error("computed");
    });
    log.error(() => "computed");
    expect(records.map((r) => r.message)).toEqual(["computed"]);
  });
});

describe("once", () => {
  test("one line per interval, and the next says how many were hidden", () => {
    const { records, clock, options } = recorder();
    const log = createLog("info", "learner 1", options);
    for (let i = 0; i < 5; i++) log.once("cut", "error", `peer cuts values ${i}`, 100);
    clock.ms += 99;
    log.once("cut", "error", "still hidden", 100);
    clock.ms += 1;
    log.once("cut", "error", "again", 100);
    clock.ms += 100;
    log.once("cut", "error", "alone", 100);
    expect(records.map((r) => r.message)).toEqual([
      "peer cuts values 0",
      "again (and 5 more times since this was last said)",
      "alone",
    ]);
  });

  test("keys and prefixes are told apart", () => {
    const { records, options } = recorder();
    const log = createLog("info", "a", options);
    log.once("x", "info", "ax");
    log.once("y", "info", "ay");
    log.withPrefix("b").once("x", "info", "bx");
    log.withPrefix("b").once("x", "info", "bx");
    expect(records.map((r) => `${r.prefix}:${r.message}`)).toEqual(["a:ax", "a:ay", "b:bx"]);
  });

  test("the table of keys is bounded", () => {
    const { records, options } = recorder();
    const log = createLog("info", "", options);
    for (let i = 0; i < 3000; i++) log.once(`key ${i}`, "info", "x");
    log.once("key 2999", "info", "still known");
    log.once("key 0", "info", "forgotten");
    expect(records).toHaveLength(3001);
    expect(records.at(-1)?.message).toBe("forgotten");
  });

  test("below the verbosity it neither writes nor counts", () => {
    const { records, options } = recorder();
    createLog("error", "", options).once("x", "info", "hidden");
    expect(records).toEqual([]);
  });
});

describe("a plain line", () => {
  test("has time, level, prefix and message", () => {
    const line = plainLine({ level: "error", prefix: "acceptor 0", message: "full", atMs: 0 });
    expect(line).toBe("1970-01-01T00:00:00.000Z error acceptor 0: full");
  });

  test("foreign text cannot forge a line or move the cursor", () => {
    const line = plainLine({ level: "info", prefix: "", message: "a\n2026 error forged\x1b[2J", atMs: 0 });
    expect(line).toBe("1970-01-01T00:00:00.000Z info a\n  2026 error forged\\x1b[2J");
  });
});

describe("the process's own log", () => {
  const run = async (body: string) => {
    const code = `import { createLog } from "./src/log.ts"; const log = createLog("info", "acceptor 0"); ${body}`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { out, err };
  };

  test("goes to standard error, in order, without colour when piped", async () => {
    const { out, err } = await run(
      `log.error("one"); log.info("two"); await Bun.sleep(300); log.warn("three");`,
    );
    expect(out).toBe("");
    expect(
      err
        .trimEnd()
        .split("\n")
        .map((l) => l.replace(/^\S+Z /, "")),
    ).toEqual(["error acceptor 0: one", "info acceptor 0: two", "warn acceptor 0: three"]);
  });

  test("is not throttled: equal lines are all written", async () => {
    const { err } = await run(
      `for (let i = 0; i < 50; i++) log.info("same"); await Bun.sleep(200); log.info("same");`,
    );
    expect(err.trimEnd().split("\n")).toHaveLength(51);
  });

  test("loses nothing when the process ends before it was loaded", async () => {
    const { err } = await run(`log.error("last words"); process.exit(3);`);
    expect(err).toMatch(/Z error acceptor 0: last words\n$/);
  });
});
