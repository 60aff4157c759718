/**
 * The programs of docs/library.md, docs/delivery.md and README.md, as programs elsewhere that depend on this package by its path: their types
 * are right, and they do what the pages say.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seat, withCluster } from "./support/cluster.ts";

const ROOT = join(import.meta.dir, "..");
const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  seat("proposer", 0, 3),
  seat("learner", 0, 4),
];

function programsOf(path: string): string[] {
  const page = readFileSync(join(ROOT, path), "utf8");
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
}

async function run(argv: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...argv], { cwd, stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${child.exitCode}\n${stdout}${stderr}`);
  return stdout;
}

/** Everything that the pages show, by the name of its file. */
function writePrograms(directory: string): void {
  const [counters, words, ...more] = programsOf("docs/library.md");
  const [visits, ...others] = programsOf("README.md");
  const [deliveries, ...rest] = programsOf("docs/delivery.md");
  expect([...more, ...others, ...rest]).toEqual([]);
  const programs = { counters, words, visits, deliveries };
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(directory, `${name}.ts`), text!);
}

test("the programs of docs/library.md, docs/delivery.md and README.md", async () => {
  await withCluster({ seats: SEATS, link: "loopback" }, async ({ directory }) => {
    writePrograms(directory);
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(ROOT, join(directory, "node_modules/kpaxos"));
    symlinkSync(join(ROOT, "node_modules/@types"), join(directory, "node_modules/@types"));
    const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
      compilerOptions: object;
    };
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    await run([join(ROOT, "node_modules/.bin/tsc"), "--noEmit"], directory);
    const start = (program: string, ...args: readonly string[]): Promise<string> =>
      run([process.execPath, `${program}.ts`, ...args], directory);
    // Nothing was chosen before: it waits for the three words.
    const delivered = start("deliveries");
    expect(await start("words")).toBe("all three are chosen\n");
    expect((await delivered).replace(/^\d+\.\d+ /gm, "")).toBe("one\ntwo\nthree\n");
    // To the counters they are commands like others.
    expect(await start("counters", "1")).toBe("this is visit 1\nthere were 1\n");
    expect(await start("counters", "1")).toBe("this is visit 2\nthere were 2\n");
    const both = await Promise.all([start("counters", "1"), start("counters", "2")]);
    expect(both.map((text) => text.split("\n")[0]).sort()).toEqual(["this is visit 3", "this is visit 4"]);
    // There every command counts, whoever sent it: the three words as well.
    expect(await start("visits", "3")).toBe("this is visit 8\n");
  });
}, 60_000);
