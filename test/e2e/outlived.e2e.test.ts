/**
 * Acceptors that another has voted in place of, as processes: one whose disk was away, one that was stopped.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { STANDARD, withCluster } from "../support/cluster.ts";
import { QUICK } from "../support/e2e.ts";

const ROOT = mkdtempSync(join(tmpdir(), "kpaxos-outlived-e2e-"));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

test("an acceptor with an old disk ends and says which file; with the newer one it goes on", async () => {
  const [disk, other] = [join(ROOT, "disk"), join(ROOT, "other")];
  const settings = { ...QUICK, "storage-backend": "log", "storage-path": disk };
  await withCluster({ seats: STANDARD, link: "loopback", settings }, async (cluster) => {
    await cluster.runClient(["--values", "20", "--no-cantrim"]);
    await cluster.member("acceptor", 2).stop();
    const without = cluster.start("acceptor", 2, { args: ["--storage-path", other] });
    await without.waitForLine(/votes: has recovered what the others hold, at generation 2/, 10_000);
    await cluster.runClient(["--values", "20", "--no-cantrim"]);
    await without.stop();
    const old = cluster.start("acceptor", 2);
    const { exitCode } = await old.ending(10_000);
    const said = old.stderr.join("\n");
    expect(said).toMatch(
      /error: acceptor 2 was replaced: the others know of one of generation 2, and \S*disk\/acceptor-2\.kplog has what one of generation 1 kept/,
    );
    expect(said).toMatch(/hint: start it with the files that it had last; .*--acceptor-trash-files/);
    expect(said).not.toContain("votes: goes on");
    expect(exitCode).toBe(78);
    const again = cluster.start("acceptor", 2, { args: ["--storage-path", other] });
    await again.waitForLine(/votes: goes on with what it has kept, at generation 2/, 10_000);
    await again.stop();
    const empty = cluster.start("acceptor", 2, { args: ["--acceptor-trash-files"] });
    await empty.waitForLine(/votes: has recovered what the others hold, at generation 3/, 10_000);
  });
}, 60_000);

describe("an acceptor that was stopped while another took its place", () => {
  test("ends when it goes on, and the other one stays; a third one ends", async () => {
    await withCluster({ seats: STANDARD, settings: QUICK }, async (cluster) => {
      await cluster.runClient(["--values", "20", "--no-cantrim"]);
      const old = cluster.member("acceptor", 2);
      old.kill("SIGSTOP");
      const second = cluster.start("acceptor", 2);
      await second.waitForLine(/votes: has recovered what the others hold, at generation 2/, 10_000);
      await Bun.sleep(2_500);
      old.kill("SIGCONT");
      expect((await old.ending(10_000)).exitCode).toBe(1);
      expect(old.stderr.join("\n")).toMatch(
        /acceptor 2 runs already at .*, and votes with a newer generation/,
      );
      const third = cluster.start("acceptor", 2);
      expect((await third.ending(10_000)).exitCode).toBe(1);
      expect(second.isRunning).toBe(true);
      await cluster.runClient(["--values", "20", "--no-cantrim"]);
      expect(second.stderr.join("\n")).not.toContain("was replaced");
    });
  }, 60_000);
});
