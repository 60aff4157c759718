/**
 * Compiles the C programs of the tests on demand, once per source text.
 */
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** Returns the path of the executable made from `source`, a single C file. */
export function compileC(source: string): string {
  const text = readFileSync(source);
  const directory = join(tmpdir(), `kpaxos-test-${process.getuid?.() ?? 0}`);
  const path = join(directory, `${basename(source, ".c")}-${Bun.hash(text).toString(16)}`);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const compiler = process.env.CC ?? Bun.which("cc") ?? Bun.which("gcc") ?? Bun.which("clang");
  if (compiler === null) {
    throw new Error("no C compiler: install the package gcc (Debian, Ubuntu: apt-get install gcc libc6-dev)");
  }
  // Built beside and moved, so that a test file running at the same time never meets half a program.
  const partial = `${path}.${process.pid}`;
  const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
  const result = Bun.spawnSync([compiler, ...flags, source, "-o", partial]);
  if (result.exitCode !== 0) throw new Error(`${source} does not compile:\n${result.stderr.toString()}`);
  renameSync(partial, path);
  return path;
}
