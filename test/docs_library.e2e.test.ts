/**
 * The programs of docs/library.md, docs/delivery.md and README.md, as programs elsewhere that depend on this package by its path:
 * their types are right, and they do what the pages say.
 */
import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { STANDARD, withCluster } from "./support/cluster.ts";
import { expectWords, ROOT, runPage, writePrograms } from "./support/doc_programs.ts";

test("the programs of docs/library.md, docs/delivery.md and README.md", async () => {
  await withCluster({ seats: STANDARD, link: "loopback" }, async ({ directory }) => {
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(ROOT, join(directory, "node_modules/kpaxos"));
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }));
    await writePrograms(directory);
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
