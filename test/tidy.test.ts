/**
 * The house rules, held against every file of the repository; and each rule against a sample that breaks it.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { functionBodies, scan } from "./support/scan.ts";
import { CODE_RULES, REPOSITORY_RULES } from "./support/tidy.ts";
import { loneExports } from "./support/tidy_exports.ts";
import { HOT_FILES } from "./support/tidy_hot.ts";
import type { Rule, SourceFile } from "./support/tidy_rule.ts";

const ROOT = join(import.meta.dir, "..");

function repository(): SourceFile[] {
  const glob = new Bun.Glob("**/*");
  const generated = /^(node_modules|dist|\.git|ffi\/build)\/|\.(so|o|png|svg)$/;
  const paths = [...glob.scanSync({ cwd: ROOT, dot: true })].filter((path) => !generated.test(path));
  return paths.sort().map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

const files = repository();
// The rules' own samples and lists are what they forbid.
const code = files.filter(
  (f) =>
    /^(src|test|bench|ffi)\/.*\.(ts|mjs|c|h)$/.test(f.path) &&
    !/^test\/(tidy\.test|support\/tidy)\.ts$/.test(f.path),
);

describe("the repository", () => {
  test("has files to hold the rules against", () => {
    expect(code.length).toBeGreaterThan(30);
    expect(files.map((f) => f.path)).toContain("package-lock.json");
    for (const path of HOT_FILES) expect(files.map((f) => f.path)).toContain(path);
  });
  for (const [name, rule] of Object.entries(CODE_RULES)) {
    test(name, () => expect(code.flatMap(rule)).toEqual([]));
  }
  for (const [name, rule] of Object.entries(REPOSITORY_RULES)) {
    test(name, () => expect(files.flatMap(rule)).toEqual([]));
  }
  test("loneExports", () => expect(loneExports(code)).toEqual([]));
});

test("an export that no other file names is refused, one that a test names is not", () => {
  const text = "export const lone = 1;\nexport function used(): void {}\n";
  const files = [
    { path: "src/a.ts", text },
    { path: "test/b.ts", text: "used();" },
  ];
  expect(loneExports(files)).toEqual(["src/a.ts:1: nobody else uses lone: no export"]);
});

const lines = (n: number): string => "  x;\n".repeat(n);
const host = ["registry", "npm" + "js", "org"].join(".");

/** Rule, path, a sample that breaks it, one that does not. */
const SAMPLES: readonly [name: string, rule: Rule, path: string, bad: string, good: string][] = [
  [
    "protocol imports only itself",
    CODE_RULES.imports,
    "src/protocol/a.ts",
    'import type { E } from "../error.ts";',
    'import { a } from "./b.ts";',
  ],
  ...(
    [
      ["no closure", "this.n = list.length > 0 ? () => 1 : f;", "this.n = list.length;"],
      ["no iterator", "for (const one of list) add(one);", "for (let i = 0; i < n; i++) add(list[i]);"],
      ["no rest or spread", "return Math.max(...list);", "return Math.max(a, b);"],
      ["no object", "return { a, b };", "const { a, b } = this;"],
      ["no new object", "return new Uint8Array(4);", "return this.bytes;"],
      ["no array", "const [a, b] = list;", "const a = list[0]!;"],
      ["no view", "return bytes.subarray(4);", "return copy(bytes, 4);"],
      ["no big integer", "return n * 2n;", "return n * 2;"],
    ] as const
  ).map(
    ([what, bad, good]) =>
      [
        `the hot path makes ${what}`,
        CODE_RULES.hotPath,
        "src/node/turn.ts",
        `class A {\n  constructor() {\n    this.x = { a: [1] };\n  }\n  turn(): void {\n    ${bad}\n  }\n}`,
        `class A {\n  constructor() {\n    this.x = { a: [1] };\n  }\n  turn(): void {\n    ${good}\n  }\n}`,
      ] as [string, Rule, string, string, string],
  ),
  [
    "only native imports bun:ffi",
    CODE_RULES.imports,
    "src/net/a.ts",
    'import { dlopen } from "bun:ffi";',
    'import { open } from "../native/library.ts";',
  ],
  [
    "wire never imports node",
    CODE_RULES.imports,
    "src/wire/a.ts",
    'export { run } from "../node/run.ts";',
    'import { a } from "../net/link.ts";',
  ],
  [
    "a dynamic import counts",
    CODE_RULES.imports,
    "src/storage/a.ts",
    'await import("../cli/run.ts");',
    'await import("../protocol/journal.ts");',
  ],
  [
    "an import of several lines counts",
    CODE_RULES.imports,
    "src/text/a.ts",
    'import {\n  a,\n} from "../log.ts";',
    "// import { a } from '../log.ts'",
  ],
  [
    "only log imports consola",
    CODE_RULES.imports,
    "src/node/a.ts",
    'import("consola");',
    'import("node:fs");',
  ],
  [
    "nobody imports cli",
    CODE_RULES.imports,
    "src/ops/a.ts",
    'import "../cli/run.ts";',
    'import "../node/run.ts";',
  ],
  [
    "extensions are written",
    CODE_RULES.imports,
    "src/net/a.ts",
    'import { a } from "./b";',
    'import { a } from "./b.ts";',
  ],
  ["a new folder needs a rule", CODE_RULES.imports, "src/new/a.ts", "", ""],
  ["file length", CODE_RULES.fileLength, "src/a.ts", "x\n".repeat(451), "x\n".repeat(450)],
  [
    "function length",
    CODE_RULES.functionLength,
    "src/a.ts",
    `function f(): void {\n${lines(99)}}`,
    `function f(): void {\n${lines(98)}}`,
  ],
  [
    "method length",
    CODE_RULES.functionLength,
    "src/a.ts",
    `class A {\n  f(a: number): void {\n${lines(100)}}\n}`,
    `class A {\n${lines(200)}}`,
  ],
  [
    "arrow length",
    CODE_RULES.functionLength,
    "src/a.ts",
    `const f = (a) => {\n${lines(100)}};`,
    `const f = {\n${lines(200)}};`,
  ],
  [
    "C function length",
    CODE_RULES.functionLength,
    "ffi/a.c",
    `static int f(int a)\n{\n${lines(100)}}`,
    `struct a {\n${lines(200)}};`,
  ],
  [
    "header",
    CODE_RULES.header,
    "src/a.ts",
    'import "./b.ts";\nconst a = 1;',
    '#!/usr/bin/env bun\nimport "./b.ts";\n/** What. */',
  ],
  ["any", CODE_RULES.silencedChecks, "src/a.ts", "const a: any = 1;", "const any = 1; // any: any"],
  ["as any", CODE_RULES.silencedChecks, "src/a.ts", "f(a as any);", "f(a as Any);"],
  [
    "any in generics",
    CODE_RULES.silencedChecks,
    "src/a.ts",
    "const a = new Map<string, any>();",
    'const a = "x: any";',
  ],
  ["ts-ignore", CODE_RULES.silencedChecks, "src/a.ts", "// @ts-ignore", "// ignored"],
  ["biome-ignore", CODE_RULES.silencedChecks, "test/a.ts", "// biome-ignore lint: x", "// biome"],
  [
    "empty catch",
    CODE_RULES.silencedChecks,
    "src/a.ts",
    "try { f(); } catch {}",
    "try { f(); } catch { g(); }",
  ],
  [
    "empty catch, named",
    CODE_RULES.silencedChecks,
    "src/a.ts",
    "try { f(); } catch (e) {\n}",
    "try { f(); } catch { /* gone already */ }",
  ],
  ["promise.catch", CODE_RULES.silencedChecks, "src/a.ts", "f().catch(() => {});", "f().catch((e) => g(e));"],
  ["unfinished", CODE_RULES.unfinished, "src/a.ts", "// TODO later", "// todos"],
  ["only", CODE_RULES.skippedTests, "test/a.test.ts", 'test.only("x", f);', 'test("x", f);'],
  ["skip", CODE_RULES.skippedTests, "test/a.test.ts", 'describe.skip("x", f);', 'describeNetns("x", f);'],
  [
    "clock in protocol",
    CODE_RULES.determinism,
    "src/protocol/a.ts",
    "const t = Date.now();",
    "// Date.now()",
  ],
  ["random in wire", CODE_RULES.determinism, "src/wire/a.ts", "Math.random();", 'const s = "Math.random";'],
  ["exit codes", CODE_RULES.channels, "src/cli/a.ts", "process.exit(1);", "return 1;"],
  ["console", CODE_RULES.channels, "src/cli/a.ts", "console.log(1);", "print(1);"],
  [
    "process.stdout",
    CODE_RULES.channels,
    "src/cli/a.ts",
    "process.stdout.write(x);",
    "standardOutput().write(x);",
  ],
  ["default export", CODE_RULES.channels, "src/cli/a.ts", "export default 1;", "export const a = 1;"],
  ["words", CODE_RULES.words, "src/a.ts", "/** The log index. */", "/** The instance. */"],
  ["registry", REPOSITORY_RULES.registries, "docs/a.md", `https://${host}/citty`, "npm ci"],
  ["resolved", REPOSITORY_RULES.registries, "package-lock.json", '{ "resolved": "x" }', "{}"],
  [
    "pins",
    REPOSITORY_RULES.pins,
    "package.json",
    '{ "dependencies": { "a": "^1.0.0" } }',
    '{ "dependencies": { "a": "1.0.0" } }',
  ],
];

describe("every rule can fail", () => {
  for (const [name, rule, path, bad, good] of SAMPLES) {
    test(name, () => {
      expect(rule({ path, text: bad })).toHaveLength(1);
      if (bad !== good) expect(rule({ path, text: good })).toEqual([]);
    });
  }
  test("and none is without a sample", () => {
    const shown = new Set(SAMPLES.map(([, rule]) => rule));
    for (const rule of [...Object.values(CODE_RULES), ...Object.values(REPOSITORY_RULES)]) {
      expect(shown.has(rule)).toBe(true);
    }
  });
});

describe("the scanner", () => {
  test("blanks comments, strings, templates and patterns, and keeps offsets", () => {
    const text = 'a("x{", /[/{]"/g, `t§{b({ c: "}" })}{`); // {\nd = 1 / 2; /* } */ e'.replace("§", "$");
    const { code: seen, withStrings } = scan(text);
    expect(seen).toHaveLength(text.length);
    expect(seen.replace(/ +/g, " ").replace("$", "§")).toBe(
      'a(" ", g, ` §{b({ c: " " })} `); \nd = 1 / 2; e',
    );
    expect(withStrings).toContain('"x{"');
    expect(withStrings).not.toContain("// {");
  });
  test("knows functions from other blocks", () => {
    const text =
      "class A { f(a: { b: number }): void { if (a) { b(); } } }\nconst o = { g: () => { h(); } };";
    expect(functionBodies(scan(text).code).map((b) => b.header)).toEqual([
      "f(a: { b: number }): void",
      "g: () =>",
    ]);
  });
});
