/**
 * docs/guarantees.md: each promise names tests that exist, properties that the simulator checks, scenarios and settings that
 * there are.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SCHEMA } from "../src/config/schema.ts";
import { findScenario } from "../src/sim/scenario.ts";

const ROOT = join(import.meta.dir, "..");
const page = readFileSync(join(ROOT, "docs/guarantees.md"), "utf8");
const KEYS = new Set<string>(Object.values(SCHEMA).map(({ key }) => key));

interface Row {
  readonly name: string;
  readonly setting: string;
  readonly shownBy: string;
}

/** The rows of every table that says what shows its promises. */
function promises(): Row[] {
  const rows: Row[] = [];
  let columns: string[] = [];
  for (const line of page.split("\n")) {
    if (!line.startsWith("|")) columns = [];
    else {
      const cells = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      if (columns.length === 0) columns = cells;
      else if (columns.includes("shown by") && !/^-+$/.test(cells[0]!)) {
        const cell = (column: string): string => cells[columns.indexOf(column)] ?? "";
        rows.push({ name: cells[0]!, setting: cell("setting"), shownBy: cell("shown by") });
      }
    }
  }
  return rows;
}

const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);
const isFile = (word: string): boolean => /^(test|bench|src)\//.test(word);
const properties = readFileSync(join(ROOT, "src/sim/violation.ts"), "utf8")
  .match(/Property =([^;]*);/)![1]!
  .match(/"[^"]+"/g)!
  .map((name) => name.slice(1, -1));

describe("each promise of docs/guarantees.md", () => {
  for (const { name, setting, shownBy } of promises()) {
    test(`${name.replace(/[*`]/g, "").slice(0, 70)}: has tests`, () => {
      // "The same" is the row above it.
      expect(quoted(shownBy).some(isFile) || shownBy.startsWith("the same")).toBe(true);
      for (const word of quoted(shownBy)) {
        if (isFile(word) || word.startsWith("npm run ")) continue;
        expect(findScenario(word), word).toBeDefined();
      }
      for (const [, names] of shownBy.matchAll(/simulator \(([^)]*)\)/g)) {
        for (const [, property] of names!.matchAll(/\*([^*]+)\*/g)) expect(properties).toContain(property!);
      }
      for (const word of quoted(setting)) expect(KEYS, word).toContain(word.split(" ")[0]!);
    });
  }

  test("there are some in every part", () => {
    expect(promises().length).toBeGreaterThan(25);
  });
});

test("every file that the page names is there", () => {
  const missing = quoted(page).filter((word) => isFile(word) && !existsSync(join(ROOT, word)));
  expect(missing).toEqual([]);
});

test("every property of the simulator belongs to a promise", () => {
  const named = [...page.matchAll(/simulator \(([^)]*)\)/g)].map(([, names]) => names).join();
  // The rest are rules that the promises rest on: protocol.md has them.
  const rules = ["promises never fall", "nothing is accepted below a promise", "invariant"];
  for (const property of properties) {
    if (!rules.includes(property)) expect(named).toContain(`*${property}*`);
  }
});
