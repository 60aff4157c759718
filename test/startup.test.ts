/**
 * What a role loads before its first frame: start-up is paid for by what needs it. Imports are followed as they are written, so
 * nothing here depends on time.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { scan } from "./support/scan.ts";

const ROOT = join(import.meta.dir, "..");
/** The way from the command line to a role: these load the next one only when it is asked for. */
const WAY = ["src/main.ts", "src/cli/root.ts", "src/cli/run.ts"];
const ROLES = ["src/cli/run_roles.ts", "src/cli/run_client.ts", "src/cli/run_user_learner.ts"];
const NOT_FOR_ROLES = [
  /^src\/(bench|sim|ops|kv|api)\//,
  /^bench\//,
  /^(consola|tinybench|fast-check)$/,
  // Help, completion, pages and everything that only prints.
  /^src\/cli\/(help|completion|version|config|cluster|demo|frame|key|bench|sim)/,
];
const STATIC =
  /(?:^|[\s;}])(?:import|export)\s(?!type\s)([^"';]*?)\sfrom\s*"([^"]+)"|(?:^|\n)import\s*"([^"]+)"/g;
const DYNAMIC = /(?<!\btypeof )\bimport\(\s*"([^"]+)"/g;

function onlyTypes(clause: string): boolean {
  const names = /\{([^}]*)\}/.exec(clause)?.[1];
  if (names === undefined) return false;
  const words = names.split(",").map((name) => name.trim());
  return words.every((name) => name === "" || name.startsWith("type "));
}

function resolve(from: string, target: string): string {
  return target.startsWith(".") ? join(dirname(from), target) : target;
}

function code(file: string): string {
  return scan(readFileSync(join(ROOT, file), "utf8")).withStrings;
}

/** Each module that these load with them, and who asks for it first. */
function loaded(roots: readonly string[]): Map<string, string> {
  const seen = new Map<string, string>();
  const open = roots.map((file): [string, string] => [file, "the way"]);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [file, by] = next;
    if (seen.has(file)) continue;
    seen.set(file, by);
    if (!file.startsWith("src/") || !file.endsWith(".ts")) continue;
    for (const [, clause = "", from, alone] of code(file).matchAll(STATIC))
      if (!onlyTypes(clause)) open.push([resolve(file, (from ?? alone)!), file]);
  }
  return seen;
}

describe.each(ROLES)("%s", (role) => {
  const modules = loaded([...WAY, role]);

  test("loads nothing that no role needs", () => {
    const foreign = [...modules].filter(([file]) => NOT_FOR_ROLES.some((pattern) => pattern.test(file)));
    expect(foreign).toEqual([]);
    // Were imports not found, nothing would be foreign.
    expect(modules.has("src/node/turn.ts")).toBe(true);
    expect(modules.has("src/config/parse.ts")).toBe(true);
    expect(modules.size).toBeLessThan(220);
  });

  test("loads nothing later, but commands, and consola once there is something to say", () => {
    const later = [...modules.keys()].filter(
      (file) =>
        file.startsWith("src/") &&
        file.endsWith(".ts") &&
        !file.startsWith("src/cli/") &&
        [...code(file).matchAll(DYNAMIC)].length > 0,
    );
    expect(later).toEqual(["src/log.ts"]);
  });
});

test("what is imported is found: kpaxos bench loads a bench", () => {
  const modules = loaded(["src/bench/run.ts"]);
  expect([...modules.keys()].filter((file) => NOT_FOR_ROLES[0]!.test(file)).length).toBeGreaterThan(5);
});
