/**
 * The programs of docs/library.md, docs/delivery.md and README.md, as programs elsewhere that depend on this package by its path:
 * their types are right, and they do what the pages say.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { STANDARD, type TestCluster, withCluster } from "./support/cluster.ts";
import { expectWords, ROOT, runPage, writePrograms } from "./support/doc_programs.ts";

/** A program's own directory, with the package and what the pages show. */
async function withPrograms(
  settings: Readonly<Record<string, string>>,
  body: (directory: string, cluster: TestCluster) => Promise<void>,
): Promise<void> {
  await withCluster({ seats: STANDARD, link: "loopback", settings }, async (cluster) => {
    const { directory } = cluster;
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(ROOT, join(directory, "node_modules/kpaxos"));
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }));
    await writePrograms(directory);
    await body(directory, cluster);
  });
}

test.concurrent("the programs of docs/library.md, docs/delivery.md and README.md", async () => {
  await withPrograms({}, async (directory) => {
    await expectWords(directory);
    const start = (name: string, id: number): Promise<string> => runPage(directory, name, `${id}`);
    // To the counters they are commands like others.
    expect(await start("counters", 4)).toBe("this is visit 1\nthere were 1\n");
    expect(await start("counters", 4)).toBe("this is visit 2\nthere were 2\n");
    const both = await Promise.all([start("counters", 4), start("counters", 5)]);
    expect(both.map((text) => text.split("\n")[0]).sort()).toEqual(["this is visit 3", "this is visit 4"]);
    // There every command counts, whoever sent it: the three words as well.
    expect(await start("visits", 6)).toBe("this is visit 8\n");
  });
}, 60_000);

test.concurrent("after load: the program of docs/library.md says why it gets nowhere, and with the option that it names it begins", async () => {
  const settings = { "acceptor-window-instances": "64", "trim-every": "8", batching: "no" };
  await withPrograms(settings, async (directory, cluster) => {
    await cluster.runClient(["--values", "512", "--outstanding", "4"]);
    await Promise.all([0, 1].map((id) => cluster.member("learner", id).stop()));
    const file = join(directory, "counters.ts");
    const program = readFileSync(file, "utf8");
    const told = async (option: string): Promise<string> => {
      writeFileSync(file, program.replace("machine: counters,", `$& ${option},`));
      return await runPage(directory, "counters");
    };
    expect(await told("timeoutMs: 1500")).toMatch(
      /^perhaps counted: no result within 1500 ms; .*: instances 1 to \d+ are trimmed, .*begin empty: `beginEmpty: true` among the options of this Replica$/m,
    );
    expect(await told("beginEmpty: true")).toBe("this is visit 1\nthere were 1\n");
  });
}, 60_000);
