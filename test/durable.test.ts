/**
 * What is told to be kept must be found after a power cut: not only a file's bytes are synced before, but its name, and those of
 * the directories above it that were made for it. A name that a process saw is none that is synced: who gave it may have been killed
 * before.
 */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeUnless } from "./support/skip.ts";
import { whyNoStrace } from "./support/strace.ts";
import { unprivileged } from "./support/unprivileged.ts";

const ROOT = mkdtempSync(join(tmpdir(), "kpaxos-durable-"));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));
const WRITER = join(import.meta.dir, "support/durable_writer.ts");

/** Directories that were synced before it was said that all is safe. */
function syncedBy(what: string, directory: string): Set<string> {
  const trace = join(ROOT, "trace");
  const strace = ["strace", "-f", "-y", "-s", "200", "-e", "trace=fsync,write", "-o", trace];
  const { exitCode, stderr } = Bun.spawnSync([...strace, process.execPath, WRITER, what, directory]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  const lines = readFileSync(trace, "utf8").split("\n");
  const said = lines.findIndex((line) => /write\(1<.*"safe/.test(line));
  expect(said).toBeGreaterThan(0);
  return new Set(lines.slice(0, said).map((line) => / fsync\(\d+<([^>]*)>/.exec(line)?.[1] ?? ""));
}

describeUnless(whyNoStrace(), "before something is kept", () => {
  test.each(["snapshot", "ballot", "log", "sqlite"])(
    "the names of all that was made for it are synced: %s",
    (what) => {
      const top = join(ROOT, what);
      mkdirSync(top);
      const synced = syncedBy(what, join(top, "a/b"));
      for (const directory of [top, join(top, "a"), join(top, "a/b")]) expect(synced).toContain(directory);
    },
  );

  test.each(["snapshot", "ballot", "log", "sqlite"])(
    "the names of directories that a former process has made, and then was killed, are synced: %s",
    (what) => {
      const top = join(ROOT, `killed-${what}`);
      mkdirSync(join(top, "a/b"), { recursive: true });
      symlinkSync("a", join(top, "link"));
      const synced = syncedBy(what, join(top, "link/b"));
      for (const directory of [ROOT, top, join(top, "a"), join(top, "a/b")])
        expect(synced).toContain(directory);
    },
  );

  test.each([
    ["snapshot", "snapshot that is there"],
    ["log", "log"],
    ["sqlite", "sqlite"],
  ] as const)("the name that a former process has given is synced: %s", (first, then) => {
    const directory = join(ROOT, `there-${first}`);
    syncedBy(first, directory);
    expect(syncedBy(then, directory)).toContain(directory);
  });
});

test("directories above those that are made need not be readable", async () => {
  const closed = join(ROOT, "closed");
  const own = join(closed, "own");
  mkdirSync(own, { recursive: true });
  unprivileged.own(own);
  chmodSync(ROOT, 0o711);
  chmodSync(closed, 0o711);
  const conf = join(own, "paxos.conf");
  await Bun.write(conf, "acceptor 0 192.0.2.1 4001\nproposer 0 192.0.2.1 4002\n");
  const { command } = unprivileged();
  // The second is there already, right below one that cannot be read.
  for (const directory of [join(own, "new/log"), own]) {
    const storage = ["--storage-backend", "log", "--storage-path", directory];
    const words = [...command, "run", "acceptor", "-f", conf, "--id", "0", ...storage];
    const { stderr } = Bun.spawnSync(words, { timeout: 20_000, stdout: "ignore" });
    expect(stderr.toString()).not.toContain("cannot make the directory");
    expect(existsSync(join(directory, "acceptor-0.kplog"))).toBe(true);
  }
});
