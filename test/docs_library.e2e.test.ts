/**
 * The program of docs/library.md, as a program elsewhere that depends on this package by its path: its types are right, and
 * it does what the page says.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seat, withCluster } from "./support/cluster.ts";

const ROOT = join(import.meta.dir, "..");
const SEATS = [...[0, 1, 2].map((id) => seat("acceptor", id, id)), seat("proposer", 0, 3)];

function programOf(page: string): string {
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

test("the program of docs/library.md", async () => {
  await withCluster({ seats: SEATS, link: "loopback" }, async ({ directory }) => {
    writeFileSync(
      join(directory, "counters.ts"),
      programOf(readFileSync(join(ROOT, "docs/library.md"), "utf8")),
    );
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(ROOT, join(directory, "node_modules/kpaxos"));
    symlinkSync(join(ROOT, "node_modules/@types"), join(directory, "node_modules/@types"));
    const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
      compilerOptions: object;
    };
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    await run([join(ROOT, "node_modules/.bin/tsc"), "--noEmit"], directory);
    const start = (id: number): Promise<string> => run([process.execPath, "counters.ts", `${id}`], directory);
    expect(await start(0)).toBe("this is visit 1\nthere were 1\n");
    expect(await start(0)).toBe("this is visit 2\nthere were 2\n");
    expect((await Promise.all([start(0), start(1)])).map((text) => text.split("\n")[0]).sort()).toEqual([
      "this is visit 3",
      "this is visit 4",
    ]);
  });
}, 60_000);
