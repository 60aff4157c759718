/**
 * The commands in README.md and docs are commands of this version: each is accepted by its own definition. And links
 * between the pages lead somewhere.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { readArgs } from "../src/cli/args.ts";
import { rootCommand } from "../src/cli/root.ts";
import { findCommand } from "../src/cli/runner.ts";
import { CliError } from "../src/error.ts";

const ROOT = join(import.meta.dir, "..");
const PAGES = [
  join(ROOT, "README.md"),
  join(ROOT, "CHANGELOG.md"),
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(ROOT, "docs", name)),
];

/** Lines of a page's shell blocks: all of `sh`, those with a prompt of `console`. */
function shellLines(text: string): string[] {
  return [...text.matchAll(/^```(sh|console)\n(.*?)^```/gms)].flatMap(([, kind, body]) =>
    body!
      .split("\n")
      .filter((line) => kind === "sh" || /^\S*\$ /.test(line))
      .map((line) => line.replace(/^\S*\$ /, "")),
  );
}

/** The words of each `kpaxos` in a line; shell variables stand for a number. Undefined for what is no plain command. */
function commands(line: string): string[][] {
  const parts = line.replace(/#.*$/, "").split(/\s*(?:\||&&|;|<\(|\)|(?:\d?>|<|&)\s*\S*)\s*/);
  return parts.flatMap((part) => {
    const found = /(?:^|\s)(?:\.\/|dist\/)?kpaxos ([a-z-].*)$/.exec(part);
    if (found === null) return [];
    const text = found[1]!
      .replace(/ -- kpaxos .*$/, "")
      .replaceAll("$role", "learner")
      .replace(/\$\(\([^)]*\)?\)?|\$\w+/g, "0");
    return [(text.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, "$1"))];
  });
}

/** Commands within sentences may have placeholders and leave out what they need; their flags are flags all the same. */
async function unknownFlags(text: string): Promise<string[]> {
  const unknown: string[] = [];
  const sentences = text.replace(/^```.*?^```/gms, "");
  for (const [code] of sentences.matchAll(/`kpaxos [a-z][^`\n]*`/g)) {
    for (const words of commands(code.slice(1, -1))) {
      const found = await findCommand(rootCommand, words).catch(() => undefined);
      if (found === undefined || found.words.includes("--help")) continue;
      try {
        readArgs(found.words, found.command.args, found.path);
      } catch (error) {
        if (error instanceof CliError && error.message.startsWith("unknown flag"))
          unknown.push(error.message);
        else if (!(error instanceof CliError)) throw error;
      }
    }
  }
  return unknown;
}

for (const page of PAGES) {
  const name = relative(ROOT, page);
  const text = readFileSync(page, "utf8");

  describe(name, () => {
    for (const line of shellLines(text)) {
      for (const words of commands(line)) {
        test(`kpaxos ${words.join(" ")}`, async () => {
          const found = await findCommand(rootCommand, words);
          if (found.words.includes("--help") || found.path === "kpaxos cluster exec") return;
          expect(() => readArgs(found.words, found.command.args, found.path)).not.toThrow();
        });
      }
    }

    test("flags of commands within sentences", async () => expect(await unknownFlags(text)).toEqual([]));

    test("links to files and headings", () => {
      const dead = [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => {
        if (/^[a-z]+:/.test(target!)) return [];
        const [path, heading] = target!.split("#") as [string, string?];
        const file = path === "" ? page : join(dirname(page), path);
        if (!existsSync(file)) return [target!];
        if (heading === undefined) return [];
        const anchors = [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
          title!
            .toLowerCase()
            .replace(/[^\p{L}\p{N} _-]/gu, "")
            .replaceAll(" ", "-"),
        );
        return anchors.includes(heading) ? [] : [target!];
      });
      expect(dead).toEqual([]);
    });
  });
}
