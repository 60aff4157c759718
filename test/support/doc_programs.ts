/**
 * The TypeScript programs that the pages show, as files of a program's own directory, which has the package installed or linked.
 */
import { expect } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");

function programsOf(path: string): string[] {
  const page = readFileSync(join(ROOT, path), "utf8");
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
}

/** Runs a program to its end; returns what it printed, throws when it fails. */
export async function runProgram(argv: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...argv], { cwd, stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${child.exitCode}\n${stdout}${stderr}`);
  return stdout;
}

/** What a program that uses the package may ask of its compiler beyond ours: as `@tsconfig/strictest` does. */
const STRICTEST = {
  allowUnusedLabels: false,
  allowUnreachableCode: false,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  isolatedModules: true,
  checkJs: true,
};

/** Writes everything that the pages show, and what it takes to check its types; throws where they are wrong. */
export async function writePrograms(directory: string): Promise<void> {
  const [counters, words, ...more] = programsOf("docs/library.md");
  const [visits, ...others] = programsOf("README.md");
  const [deliveries, ...rest] = programsOf("docs/delivery.md");
  expect([...more, ...others, ...rest]).toEqual([]);
  const programs = { counters, words, visits, deliveries };
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(directory, `${name}.ts`), text!);
  mkdirSync(join(directory, "node_modules"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules/@types"), join(directory, "node_modules/@types"));
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
    compilerOptions: object;
  };
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { ...compilerOptions, ...STRICTEST }, include: ["*.ts"] }),
  );
  await runProgram([join(ROOT, "node_modules/.bin/tsc"), "--noEmit"], directory);
}

/** One of the programs, by its name. */
export async function runPage(directory: string, name: string, ...args: readonly string[]): Promise<string> {
  return await runProgram([process.execPath, `${name}.ts`, ...args], directory);
}

/** Of a learner to which nothing but the three words was submitted. */
export async function expectWords(directory: string): Promise<void> {
  // It waits for them.
  const delivered = runPage(directory, "deliveries");
  expect(await runPage(directory, "words")).toBe("all three are chosen\n");
  expect((await delivered).replace(/^\d+\.\d+ /gm, "")).toBe("one\ntwo\nthree\n");
}
