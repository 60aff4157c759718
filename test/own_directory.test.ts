/**
 * Directories that end with their process, and what is left of one that was killed.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { databaseDirectory } from "../src/bench/database_directory.ts";

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "kpaxos-own-test-"));
});
afterEach(() => rmSync(place, { recursive: true }));

const MODULE = join(import.meta.dir, "../src/bench/database_directory.ts");

/** Another process that has a database there; `name` is its directory. */
async function owner(): Promise<{ readonly name: string; readonly kill: () => Promise<number> }> {
  const code =
    `import { databaseDirectory } from ${JSON.stringify(MODULE)};\n` +
    `console.log(databaseDirectory(${JSON.stringify(place)})); await Bun.sleep(60_000);`;
  const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "inherit" });
  for await (const chunk of child.stdout) {
    const path = new TextDecoder().decode(chunk).trim();
    writeFileSync(join(path, "acceptor-0.db"), "left");
    const kill = (): Promise<number> => {
      child.kill("SIGKILL");
      return child.exited;
    };
    return { name: basename(path), kill };
  }
  throw new Error("it says nothing");
}

test("databases of an owner that was killed are gone with the next start there, those of a living one are not", async () => {
  const [dead, living] = [await owner(), await owner()];
  try {
    // A process of another container, which nobody here can see; no pid is as high.
    const others = "kpaxos-cluster-1-4194305-abcdef";
    mkdirSync(join(place, others));
    expect(readdirSync(place).sort()).toEqual([others, dead.name, living.name].sort());
    await dead.kill();
    const own = basename(databaseDirectory(place));
    expect(readdirSync(place).sort()).toEqual([others, living.name, own].sort());
  } finally {
    await Promise.all([dead.kill(), living.kill()]);
  }
});
