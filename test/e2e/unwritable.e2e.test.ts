/**
 * Paths that a user may not write: processes that would keep something there do not start, and say so (exit code 77).
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../src/ops/free_ports.ts";
import { unprivileged } from "../support/unprivileged.ts";

const END_MS = 20_000;
const home = mkdtempSync(join(tmpdir(), "kpaxos-unwritable-"));
/** That user's own, and what in it is not. */
const [own, locked] = [join(home, "own"), join(home, "locked")];
chmodSync(home, 0o755);
for (const directory of [own, locked]) mkdirSync(directory);
unprivileged.own(own);
writeFileSync(join(own, "learner-0.snapshot"), "of somebody else", { mode: 0o000 });
chmodSync(locked, 0o555);
afterAll(() => {
  chmodSync(locked, 0o755);
  rmSync(home, { recursive: true, force: true });
});

interface Refused {
  readonly name: string;
  readonly words: readonly string[];
  readonly settings: string;
  /** What it says: what it could not do, and what helps. */
  readonly says: RegExp;
}

const HINT = /directory that this user may write/;
const KEEPERS = [
  ["learner", ["run", "learner"], "learner-0"],
  ["proposer", ["run", "proposer"], "proposer-0"],
  ["server of the store", ["kv", "serve"], "kv-0"],
] as const;
const REFUSED: readonly Refused[] = [
  {
    name: "an acceptor, in a directory of somebody else",
    words: ["run", "acceptor"],
    settings: `storage-backend sqlite\nstorage-path ${locked}`,
    says: new RegExp(`${locked}`),
  },
  {
    name: "an acceptor, in one that cannot be made",
    words: ["run", "acceptor"],
    settings: `storage-backend sqlite\nstorage-path ${locked}/more`,
    says: new RegExp(`${locked}/more`),
  },
  ...KEEPERS.map(([who, words, file]) => ({
    name: `a ${who}, in a directory of somebody else`,
    words,
    settings: `snapshot-path ${locked}`,
    says: new RegExp(`cannot write ${locked}/${file}\\.snapshot`),
  })),
  {
    name: "a learner, in a directory that cannot be made",
    words: ["run", "learner"],
    settings: `snapshot-path ${locked}/more`,
    says: new RegExp(`cannot make the directory of ${locked}/more/learner-0\\.snapshot`),
  },
  {
    name: "a learner, with a snapshot that it may not read",
    words: ["run", "learner"],
    settings: `snapshot-path ${own}`,
    says: new RegExp(`cannot read ${own}/learner-0\\.snapshot`),
  },
];

describe("exit code 77", () => {
  test.each(REFUSED.map((one) => [one.name, one] as const))(
    "%s",
    async (_name, { words, settings, says }) => {
      const ports = await freePorts(3, "127.0.0.1");
      const config = join(own, `${ports[0]}.conf`);
      const lines = ["acceptor", "proposer", "learner"].map((role, i) => `${role} 0 127.0.0.1 ${ports[i]}`);
      writeFileSync(config, `${lines.join("\n")}\ndevice-directory ${own}\n${settings}\n`);
      const argv = [...unprivileged().command, ...words, "-f", config, "--id", "0"];
      const child = Bun.spawn(argv, { stdio: ["ignore", "ignore", "pipe"], timeout: END_MS });
      const [stderr, exitCode] = await Promise.all([child.stderr.text(), child.exited]);
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(HINT);
      expect(exitCode).toBe(77);
    },
  );
});
