/**
 * Builds and runs the tests of the C library: each ffi/test/*_test.c under the address and undefined-behaviour
 * sanitizers, and those that use threads under the thread sanitizer too. A test exits 0, 1, or 77 (cannot run here).
 * `node ffi/test.mjs [WORD]` runs those with WORD in their name.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ffi, filesOf, findCompiler, SetupError } from "./setup.mjs";

const TEST_TIMEOUT_MS = 120_000;
const SKIP = 77;
const directory = join(ffi, "build", "test");

const sanitizers = [
  {
    name: "asan+ubsan",
    flags: ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    takes: () => true,
  },
  {
    name: "tsan",
    flags: ["-fsanitize=thread"],
    takes: (test) => test.endsWith("_stress_test.c") || readFileSync(test, "utf8").includes("<pthread.h>"),
  },
];

const count = { passed: 0, failed: 0, skipped: 0 };

function report(outcome, name, detail) {
  count[outcome]++;
  process.stdout.write(`${outcome}: ${name}${detail === "" ? "" : `: ${detail}`}\n`);
}

function compile(compiler, sanitizer, output, inputs) {
  const flags = [
    ...["-g", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-pthread", "-fno-omit-frame-pointer"],
    ...["-Wall", "-Wextra", "-Werror"],
  ];
  const args = [...compiler.args, ...flags, ...sanitizer.flags, ...inputs, "-o", output];
  return spawnSync(compiler.command, args, { encoding: "utf8" });
}

/** Whether a program built with this sanitizer can be linked and run here. */
function works(compiler, sanitizer) {
  const source = join(directory, "probe.c");
  const program = join(directory, "probe");
  writeFileSync(source, "int main(void) { return 0; }\n");
  return compile(compiler, sanitizer, program, [source]).status === 0 && spawnSync(program).status === 0;
}

/** The library's sources as one object per sanitizer, so that each test only links. */
function objectsOf(compiler, sanitizer) {
  const sources = filesOf(ffi, ".c");
  const headers = filesOf(ffi, ".h").map((file) => statSync(file).mtimeMs);
  const objects = [];
  for (const source of sources) {
    const object = join(directory, `${basename(source, ".c")}.${sanitizer.name}.o`);
    const changed = Math.max(statSync(source).mtimeMs, ...headers);
    if (!existsSync(object) || statSync(object).mtimeMs < changed) {
      const built = compile(compiler, sanitizer, object, ["-Wconversion", "-c", source]);
      if (built.status !== 0) throw new SetupError(`${source} does not compile:\n${built.stderr}`);
    }
    objects.push(object);
  }
  return objects;
}

function runTest(compiler, sanitizer, objects, test) {
  const name = `${basename(test, ".c")} (${sanitizer.name})`;
  const program = join(directory, `${basename(test, ".c")}.${sanitizer.name}`);
  const built = compile(compiler, sanitizer, program, [test, ...objects]);
  if (built.status !== 0) return report("failed", name, `does not compile\n${built.stderr}`);
  const result = spawnSync(program, { encoding: "utf8", timeout: TEST_TIMEOUT_MS });
  const output = `${result.stdout}${result.stderr}`.trim();
  if (result.status === 0) return report("passed", name, "");
  if (result.status === SKIP) return report("skipped", name, output);
  const how = result.error?.message ?? (result.signal === null ? `exit ${result.status}` : result.signal);
  return report("failed", name, `${how}\n${output}`);
}

function main() {
  const compiler = findCompiler();
  const wanted = process.argv[2] ?? "";
  mkdirSync(directory, { recursive: true });
  const tests = filesOf(join(ffi, "test"), "_test.c").filter((test) => basename(test).includes(wanted));
  for (const sanitizer of sanitizers) {
    const chosen = tests.filter(sanitizer.takes);
    if (chosen.length === 0) continue;
    if (!works(compiler, sanitizer)) {
      for (const test of chosen) {
        report(
          "skipped",
          `${basename(test, ".c")} (${sanitizer.name})`,
          "the sanitizer's runtime is not installed",
        );
      }
      continue;
    }
    const objects = objectsOf(compiler, sanitizer);
    for (const test of chosen) runTest(compiler, sanitizer, objects, test);
  }
  process.stdout.write(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`);
  return count.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stdout.write(`failed: ${error.message}\n0 passed, 1 failed, 0 skipped\n`);
  process.exitCode = 1;
}
