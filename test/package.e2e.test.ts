/**
 * The package as `npm pack` makes it, installed into an empty directory without a network: it is small, nothing it imports is
 * missing, its types are right there, and the pages' programs and its command work.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { STANDARD, withCluster } from "./support/cluster.ts";
import { expectWords, ROOT, runPage, runProgram, writePrograms } from "./support/doc_programs.ts";
import { describeUnless } from "./support/skip.ts";

const { version, dependencies, bin } = packageJson;
const MOST_BYTES = 2 << 20;
const directory = mkdtempSync(join(tmpdir(), "kpaxos-package-"));
const tarball = join(directory, `kpaxos-${version}.tgz`);
const installed = join(directory, "node_modules/kpaxos");

afterAll(() => rmSync(directory, { recursive: true }));

function npm(words: readonly string[], cwd: string): string | undefined {
  const { exitCode, stderr } = Bun.spawnSync(["npm", ...words], { cwd, stdout: "pipe", stderr: "pipe" });
  return exitCode === 0 ? undefined : `npm ${words[0]}: ${stderr.toString()}`;
}

/** undefined: it is installed; else why that is not possible on this machine. */
function install(): string | undefined {
  const trouble = npm(["pack", "--loglevel=error", "--pack-destination", directory], ROOT);
  if (trouble !== undefined) throw new Error(trouble);
  // With a lock file npm asks nobody which versions there are, and takes what it has kept of this repository's own packages.
  const { packages: ours } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, object>;
  };
  const app = { name: "app", version: "1.0.0", dependencies: { kpaxos: `file:kpaxos-${version}.tgz` } };
  const kpaxos = { version, resolved: app.dependencies.kpaxos, dependencies, bin };
  const packages: Record<string, object> = { "": app, "node_modules/kpaxos": kpaxos };
  for (const name of Object.keys(dependencies))
    packages[`node_modules/${name}`] = ours[`node_modules/${name}`]!;
  const lock = { name: app.name, version: app.version, lockfileVersion: 3, requires: true, packages };
  writeFileSync(join(directory, "package.json"), JSON.stringify({ ...app, type: "module" }));
  writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock));
  const failed = npm(
    ["ci", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
    directory,
  );
  if (failed === undefined) return undefined;
  if (failed.includes("ENOTCACHED")) return "npm has not kept the dependencies' tarballs: run npm ci";
  throw new Error(failed);
}

/** Of an installed file, what it imports by a path. */
function importsOf(path: string): string[] {
  const text = readFileSync(path, "utf8");
  const paths = [...text.matchAll(/\b(?:from|import|import\(|require\() ?"(\.{1,2}\/[^"]+)"/g)];
  return paths.map(([, to]) => join(dirname(path), to!));
}

describeUnless(install(), "the package, packed and installed", () => {
  test("it is small, and has no tests in it", () => {
    expect(statSync(tarball).size).toBeLessThan(MOST_BYTES);
    for (const name of ["LICENSE", "README.md", "CHANGELOG.md", "docs/library.md", "ffi/kpaxos.h"])
      expect(existsSync(join(installed, name))).toBe(true);
    for (const name of ["test", "dist", "node_modules", "ffi/test", "bench/micro.ts"])
      expect(existsSync(join(installed, name))).toBe(false);
  });

  test("all that its sources import is there", () => {
    const files = [...new Bun.Glob("src/**/*.ts").scanSync(installed)];
    expect(files.length).toBeGreaterThan(100);
    const imports = files.flatMap((file) => importsOf(join(installed, file)));
    expect(imports.some((path) => path.endsWith("bench/floor/main.c"))).toBe(true);
    expect(imports.filter((path) => !existsSync(path))).toEqual([]);
  });

  test("programs that use it, and its command", async () => {
    await withCluster({ seats: STANDARD, link: "loopback" }, async ({ configPath }) => {
      writeFileSync(join(directory, "paxos.conf"), readFileSync(configPath));
      await writePrograms(directory);
      await expectWords(directory);
      expect(await runPage(directory, "counters", "4")).toBe("this is visit 1\nthere were 1\n");
      // As a shell runs it: the Bun of the PATH.
      const path = `PATH=${dirname(process.execPath)}:${process.env.PATH}`;
      const command = ["env", path, join(directory, "node_modules/.bin/kpaxos")];
      await runProgram([...command, "submit", "four"], directory);
      const tail = await runProgram([...command, "tail", "--from", "oldest", "--count", "5"], directory);
      expect(tail).toMatch(/^\d+\.\d+ four\n$/m);
    });
  }, 60_000);

  test("its C library can be built where it is", async () => {
    const library = join(installed, "ffi/build/libkpaxos.so");
    renameSync(library, `${library}.old`);
    expect(npm(["run", "--silent", "setup"], installed)).toBeUndefined();
    expect(existsSync(library)).toBe(true);
    expect(existsSync(join(installed, "node_modules"))).toBe(false);
  });
});
