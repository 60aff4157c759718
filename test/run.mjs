#!/usr/bin/env node
/**
 * `npm test`: everything, from a clone with only Node, npm and a C compiler. All sections run, whatever fails before: one after
 * the other, but tests of one process go beside those of whole clusters, which mostly wait. When they are done, clusters of two
 * files run side by side. The very last line is `N passed, N
 * failed, N skipped`, with lint, types and build counted as one each. `npm test -- PATH…` runs only those Bun test files.
 *
 * KPAXOS_REQUIRE_NETNS=1 makes tests that need network namespaces fail where they cannot have them.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BIN = join(ROOT, "node_modules", ".bin");
const ENV = { ...process.env, PATH: `${BIN}${delimiter}${process.env.PATH ?? ""}` };
/** A test that says nothing of its own about time may take this long on a busy machine. */
const TEST_TIMEOUT_MS = 30_000;
/** Of one file's tests that mostly wait (`describe.concurrent`) so many run at once: each has a cluster of its own. */
const AT_ONCE = 3;
const TOTALS = /^(\d+) passed, (\d+) failed, (\d+) skipped$/;

const paths = process.argv.slice(2);
const sections = [];
const skips = [];

/** Runs a command; `onLine` sees each line of both streams, in order. Resolves to what ended it: 0, a code, a signal. */
function run(command, args, onLine) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, env: ENV, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      let rest = "";
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop();
        for (const line of lines) onLine(line);
      });
      stream.on("end", () => rest !== "" && onLine(rest));
    }
    child.on("error", (error) => {
      onLine(`cannot start ${command}: ${error.message}`);
      resolve("not started");
    });
    child.on("close", (code, signal) => resolve(signal ?? code));
  });
}

function say(line = "") {
  process.stdout.write(`${line}\n`);
}

async function section(name, body) {
  say(`── ${name}`);
  const started = Date.now();
  const result = await body();
  sections.push({ name, seconds: (Date.now() - started) / 1000, ...result });
  if (result.failed > 0) say(`   ${name}: FAILED`);
  say();
  return result.failed === 0;
}

/** One check: passed or failed as a whole, quiet when it passes. */
async function check(command, args) {
  const lines = [];
  const end = await run(command, args, (line) => lines.push(line));
  if (end === 0) return { passed: 1, failed: 0, skipped: 0 };
  for (const line of lines) say(`   ${line}`);
  say(`   (${[command, ...args].join(" ")}: exit ${end})`);
  return { passed: 0, failed: 1, skipped: 0 };
}

async function cTests() {
  let totals;
  const end = await run("node", ["ffi/test.mjs"], (line) => {
    totals = TOTALS.exec(line) ?? totals;
    if (line.startsWith("skipped: ")) skips.push(`C: ${line.slice("skipped: ".length)}`);
    else if (!TOTALS.test(line) && !line.startsWith("passed: ")) say(`   ${line}`);
  });
  return settle(totals?.slice(1).map(Number), end, "ffi/test.mjs");
}

/** Totals as counted; a runner that died or disagrees with its own totals is one failure more. */
function settle(totals, end, what) {
  const [passed, failed, skipped] = totals ?? [0, 0, 0];
  if (end === 0 && totals !== undefined) return { passed, failed, skipped };
  if (totals === undefined) say(`   ${what} ended without totals (exit ${end})`);
  else if (failed === 0) say(`   ${what} counts no failure but ended with ${end}`);
  return { passed, failed: totals !== undefined && failed > 0 ? failed : failed + 1, skipped };
}

/** The test file whose lines were shown last: two runs may show theirs in turns. */
let shownFile = "";

/** `niceness`: how far it stands back behind what runs beside it. */
async function bunTests(files, niceness = 0) {
  const seen = { pass: undefined, fail: 0, skip: 0, todo: 0 };
  let file = "";
  const show = (line) => {
    if (file !== shownFile) say(`   ${file}`);
    shownFile = file;
    say(`     ${line}`);
  };
  const limits = [`--timeout=${TEST_TIMEOUT_MS}`, `--max-concurrency=${AT_ONCE}`];
  const args = ["-n", `${niceness}`, "bun", "test", ...limits, ...files];
  const end = await run("nice", args, (line) => {
    const header = /^(\S+\.(?:test|spec)\.ts):$/.exec(line);
    const count = /^ *(\d+) (pass|fail|skip|todo)$/.exec(line);
    if (header !== null) {
      file = header[1];
      if (process.stdout.isTTY) say(`   ${file}`);
    } else if (count !== null) {
      seen[count[2]] = Number(count[1]);
    } else if (/^\((skip|todo)\) /.test(line)) {
      skips.push(`${file}: ${line.replace(/^\(\w+\) /, "").replace(/ \[[\d.]+ms\]$/, "")}`);
    } else if (!/^(\(pass\) |skipped: |bun test v|$| *\d+ expect\(\) calls$|Ran \d+ tests? )/.test(line)) {
      show(line);
    }
  });
  const totals = seen.pass === undefined ? undefined : [seen.pass, seen.fail, seen.skip + seen.todo];
  return settle(totals, end, "bun test");
}

/** Runs file after file, and from the time on when `free` has ended two at a time. */
async function inTwoLanes(files, free) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const left = [...files];
  const lane = async () => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      const totals = await bunTests([file]);
      for (const key of Object.keys(sum)) sum[key] += totals[key];
    }
  };
  await Promise.all([lane(), free.then(lane)]);
  return sum;
}

function summary() {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  say("── summary");
  for (const s of sections) {
    for (const key of Object.keys(sum)) sum[key] += s[key];
    const counts = `${s.passed} passed, ${s.failed} failed, ${s.skipped} skipped`;
    say(`   ${s.failed > 0 ? "FAIL" : "ok  "} ${s.name.padEnd(14)} ${counts} (${s.seconds.toFixed(1)} s)`);
  }
  if (skips.length > 0) say("── skipped, and why");
  for (const skip of skips) say(`   ${skip}`);
  say();
  process.exitCode = sum.failed > 0 ? 1 : 0;
  say(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
}

async function main() {
  const ready = await section("setup", async () => {
    const end = await run("node", ["ffi/setup.mjs"], (line) => say(`   ${line}`));
    return { passed: 0, failed: end === 0 ? 0 : 1, skipped: 0 };
  });
  // Without tools and library nothing below can say anything true.
  if (!ready) return;
  if (paths.length === 0) {
    await section("lint", () => check("biome", ["check", "."]));
    await section("types", () => check("tsc", ["--noEmit"]));
    await section("C tests", cTests);
  }
  await section("build", () => check("npm", ["run", "-s", "build"]));
  if (paths.length > 0) await section("bun tests", () => bunTests(paths));
  else {
    const files = readdirSync(join(ROOT, "test"), { recursive: true })
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => `./test/${name}`)
      .sort();
    const isCluster = (name) => name.endsWith(".e2e.test.ts");
    const clusters = files.filter(isCluster);
    const others = files.filter((name) => !isCluster(name));
    const beside = section("one process", () => bunTests(others, 5));
    await section("clusters", () => inTwoLanes(clusters, beside));
    await beside;
  }
}

await main();
summary();
