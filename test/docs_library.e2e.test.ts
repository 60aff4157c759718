/**
 * The programs of docs/library.md and README.md, as programs elsewhere that depend on this package by its path: their types
 * are right, and they do what the pages say.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seat, withCluster } from "./support/cluster.ts";

const ROOT = join(import.meta.dir, "..");
const SEATS = [...[0, 1, 2].map((id) => seat("acceptor", id, id)), seat("proposer", 0, 3)];

function programOf(path: string): string {
  const page = readFileSync(join(ROOT, path), "utf8");
  const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
  expect(blocks).toHaveLength(1);
  return blocks[0]!;
}

async function run(argv: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...argv], { cwd, stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${child.exitCode}\n${stdout}${stderr}`);
  return stdout;
}

test("the programs of docs/library.md and README.md", async () => {
  await withCluster({ seats: SEATS, link: "loopback" }, async ({ directory }) => {
    writeFileSync(join(directory, "counters.ts"), programOf("docs/library.md"));
    writeFileSync(join(directory, "visits.ts"), programOf("README.md"));
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(ROOT, join(directory, "node_modules/kpaxos"));
    symlinkSync(join(ROOT, "node_modules/@types"), join(directory, "node_modules/@types"));
    const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
      compilerOptions: object;
    };
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    await run([join(ROOT, "node_modules/.bin/tsc"), "--noEmit"], directory);
    const start = (id: number, program = "counters.ts"): Promise<string> =>
      run([process.execPath, program, `${id}`], directory);
    expect(await start(0)).toBe("this is visit 1\nthere were 1\n");
    expect(await start(0)).toBe("this is visit 2\nthere were 2\n");
    expect((await Promise.all([start(0), start(1)])).map((text) => text.split("\n")[0]).sort()).toEqual([
      "this is visit 3",
      "this is visit 4",
    ]);
    // Every command counts, whoever sent it: those of the other program as well.
    expect(await start(3, "visits.ts")).toBe("this is visit 5\n");
  });
}, 60_000);
