/**
 * Settings of what is kept, and where: snapshots beside the databases, and windows that hold what is in flight.
 */
import { describe, expect, test } from "bun:test";
import { formatConfig } from "../src/config/format.ts";
import { type Overrides, parseConfig } from "../src/config/parse.ts";
import { formatDiagnostic } from "../src/config/report.ts";
import { parsed } from "./support/parsed.ts";

const MINIMAL = "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8801\n";

describe("where the acceptors of a libpaxos file are", () => {
  const disk = `${MINIMAL}storage-backend lmdb\n`;

  test("is lmdb-env-path, wherever in the file it stands, with a warning", () => {
    for (const text of [`${disk}lmdb-env-path /tmp/acceptor\n`, `lmdb-env-path /tmp/acceptor\n${disk}`]) {
      const { settings, warnings } = parsed(text);
      expect(settings).toMatchObject({ storagePath: "/tmp/acceptor", snapshotPath: "/tmp/acceptor" });
      expect(warnings.map(({ message }) => message).join()).toContain(
        "lmdb-env-path is read as storage-path",
      );
    }
  });

  test("is storage-path where there is one, also of a flag; in memory it is nowhere", () => {
    const flags = { "storage-path": "/var/lib/kpaxos" };
    expect(parsed(`${disk}lmdb-env-path /tmp/a\n`, { flags }).settings.storagePath).toBe("/var/lib/kpaxos");
    expect(parsed(`${MINIMAL}lmdb-env-path /tmp/a\n`).settings.storagePath).toBe("");
  });
});

describe("where snapshots are kept", () => {
  const durable = `${MINIMAL}storage-backend sqlite\nstorage-path /var/lib/kpaxos\n`;

  test("beside the databases, where acceptors keep theirs on disk", () => {
    const config = parsed(durable);
    expect(config.settings.snapshotPath).toBe("/var/lib/kpaxos");
    expect(config.warnings).toEqual([]);
    expect(formatConfig(config)).toMatch(
      /^snapshot-path \/var\/lib\/kpaxos +# default: that of storage-path$/m,
    );
    expect(parsed(formatConfig(config)).settings).toEqual(config.settings);
  });

  test("in memory where they keep nothing, and in the kernel-paxos wire, which has none", () => {
    expect(parsed(MINIMAL).settings.snapshotPath).toBe("memory");
    expect(parsed(`${durable}wire kernel-paxos\n`).settings.snapshotPath).toBe("memory");
  });

  test("where it is said; memory beside a disk is warned of", () => {
    expect(parsed(`${durable}snapshot-path /srv/snapshots\n`).settings.snapshotPath).toBe("/srv/snapshots");
    const config = parsed(`${durable}snapshot-path memory\n`);
    expect(config.settings.snapshotPath).toBe("memory");
    expect(config.warnings.map(({ line, message }) => [line, message])).toEqual([
      [5, expect.stringContaining("a power cut can leave a trimmed log")],
    ]);
  });
});

test("where a disk was asked for, there the hint says how to name its directory", () => {
  const hint = (text: string, overrides: Overrides): string | undefined =>
    parseConfig(text, "f", overrides).diagnostics[0]?.hint;
  const disk = { "storage-backend": "sqlite" };
  expect(hint(MINIMAL, { flags: disk })).toStartWith("give --storage-path DIR too, or add a line");
  expect(hint(MINIMAL, { env: { KPAXOS_STORAGE_BACKEND: "log" } })).toStartWith(
    "set KPAXOS_STORAGE_PATH=DIR",
  );
  expect(hint(`${MINIMAL}storage-backend log\n`, {})).toStartWith("add a line such as: storage-path /");
  expect(hint(MINIMAL, { flags: { ...disk, "storage-path": "/var/lib/kpaxos" } })).toBeUndefined();
});

describe("what is in flight fits an acceptor's window", () => {
  test("or is refused with what to raise", () => {
    const { config, diagnostics } = parseConfig(`${MINIMAL}proposer-preexec-window 65536\n`, "f");
    expect(config).toBeUndefined();
    expect(diagnostics.filter(({ severity }) => severity === "error").map(formatDiagnostic)).toEqual([
      "f:3:25: error: acceptor-window-bytes 64MiB cannot hold 65536 instances in flight (proposer-preexec-window)\n" +
        "  hint: raise acceptor-window-bytes to 97MiB or more, or lower proposer-preexec-window",
    ]);
    const roomy = `proposer-preexec-window 65536\nacceptor-window-bytes 97MiB\nlearner-window-instances 65536\n`;
    expect(parsed(`${MINIMAL}${roomy}`).settings.proposerPreexecWindow).toBe(65_536);
    expect(parsed(`${MINIMAL}acceptor-window-bytes 1MiB`).settings.acceptorWindowBytes).toBe(1 << 20);
  });
});
