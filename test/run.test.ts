/**
 * The test runner itself, on a small project of its own: what it counts, what it shows, what it ends with.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "..");
let project = "";

const PASSES = `import { test } from "bun:test"; test("fine", () => {}); test("also", () => {});`;
const MIXED = `import { describe, expect, test } from "bun:test";
test("wrong", () => { expect(1).toBe(2); });
describe.skip("block", () => test("no such interface", () => {}));`;
const BROKEN = `throw new Error("cannot be loaded");`;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "kpaxos-run-"));
  const files: Record<string, string> = {
    "package.json": JSON.stringify({ name: "x", type: "module", scripts: { build: "node -e 0" } }),
    "tsconfig.json": JSON.stringify({ compilerOptions: { noEmit: true }, files: ["none.ts"] }),
    "none.ts": "export {};\n",
    "biome.json": '{ "files": { "includes": ["none.ts"] } }\n',
    "ffi/setup.mjs": "",
    "ffi/test.mjs": `console.log("skipped: tsan: not here"); console.log("3 passed, 0 failed, 1 skipped");`,
    "test/passes.test.ts": PASSES,
    "test/mixed.test.ts": MIXED,
  };
  for (const [path, text] of Object.entries(files)) put(path, text);
  cpSync(join(ROOT, "test/run.mjs"), join(project, "test/run.mjs"));
  symlinkSync(join(ROOT, "node_modules"), join(project, "node_modules"));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

function put(path: string, text: string): void {
  const full = join(project, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
}

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const child = Bun.spawn(["node", join(project, "test/run.mjs"), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await child.stdout.text();
  return { code: await child.exited, lines: text.trimEnd().split("\n") };
}

test("all sections run after a failure, and the last line is their sum", async () => {
  const { code, lines } = await run();
  // C: 3 + 1 skipped; lint, types, build: 3; bun: 2 passed, 1 failed, 1 skipped.
  expect(lines.at(-1)).toBe("8 passed, 1 failed, 2 skipped");
  expect(code).toBe(1);
  expect(lines).toContain("   test/mixed.test.ts: block > no such interface");
  expect(lines).toContain("   C: tsan: not here");
  expect(lines.filter((l) => l.includes("(fail) wrong"))).not.toBeEmpty();
  expect(lines.filter((l) => l.includes("(pass)"))).toBeEmpty();
}, 60_000);

test("only the files asked for", async () => {
  const { code, lines } = await run("test/passes.test.ts");
  expect(lines.at(-1)).toBe("3 passed, 0 failed, 0 skipped");
  expect(code).toBe(0);
}, 60_000);

test("a file that cannot be loaded is a failure", async () => {
  put("test/broken.test.ts", BROKEN);
  const { code, lines } = await run("test/broken.test.ts");
  rmSync(join(project, "test/broken.test.ts"));
  expect(lines.at(-1)).toMatch(/^\d+ passed, [1-9]\d* failed, 0 skipped$/);
  expect(code).toBe(1);
}, 60_000);

test("C tests that die count as a failure, and so does a set-up that fails", async () => {
  put("ffi/test.mjs", `console.log("2 passed, 0 failed, 0 skipped"); process.exit(1);`);
  put("test/mixed.test.ts", PASSES);
  expect((await run()).lines.at(-1)).toBe("9 passed, 1 failed, 0 skipped");
  put("ffi/setup.mjs", `console.error("no C compiler"); process.exit(1);`);
  const { code, lines } = await run();
  expect(lines).toContain("   no C compiler");
  expect(lines.at(-1)).toBe("0 passed, 1 failed, 0 skipped");
  expect(code).toBe(1);
}, 60_000);
