/**
 * docs/cli.md is the help of every command, so it names every command and flag; `npm run docs` writes it anew.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type KpaxosCommand, resolveCommand } from "../src/cli/command.ts";
import { helpText } from "../src/cli/help.ts";
import { rootCommand } from "../src/cli/root.ts";

const PAGE = join(import.meta.dir, "../docs/cli.md");
const TITLE = `# The command line

Every command with all its flags, as \`--help\` prints them. This page is made from the commands' definitions by
\`npm run docs\`; a test says when it is old.

Exit codes: 0 ok; 1 failure; 2 wrong usage; 69 no such interface, or nobody to ask and nothing done; 75 what was asked
for may have taken effect, or may still; 77 no permission; 78 bad configuration; 130 and 143 ended by SIGINT and SIGTERM
(a role that SIGTERM ends cleanly: 0). [What you may see](troubleshooting.md#exit-codes) has more on each.

A setting of \`paxos.conf\` is a flag of every command that reads it; help lists these apart, and
[configuration.md](configuration.md#keys) explains them. Standard output is data, standard error is messages;
\`KPAXOS_DEBUG=1\` adds the stack to an error, \`NO_COLOR\` takes the colour off.
`;

async function chapters(command: KpaxosCommand, path: string): Promise<string[]> {
  const own = `## ${path}\n\n\`\`\`text\n${helpText(command, path)}\`\`\`\n`;
  const below: string[] = [];
  for (const [name, sub] of Object.entries(command.subCommands)) {
    below.push(...(await chapters(await resolveCommand(sub), `${path} ${name}`)));
  }
  return [own, ...below];
}

/** A list of all commands, each with a link to its chapter. */
async function contents(command: KpaxosCommand, path: string): Promise<string[]> {
  const lines: string[] = [];
  for (const [name, sub] of Object.entries(command.subCommands)) {
    const own = `${path} ${name}`;
    const indent = "  ".repeat(own.split(" ").length - 2);
    lines.push(`${indent}- [${own}](#${own.replaceAll(" ", "-")}): ${describe(sub)}`);
    lines.push(...(await contents(await resolveCommand(sub), own)));
  }
  return lines;
}

test("docs/cli.md is what the commands say of themselves", async () => {
  const name = rootCommand.meta.name;
  const list = `${(await contents(rootCommand, name)).join("\n")}\n`;
  const page = [TITLE, list, ...(await chapters(rootCommand, name))].join("\n");
  if (process.env.KPAXOS_REWRITE === "1") writeFileSync(PAGE, page);
  expect(existsSync(PAGE), "npm run docs writes docs/cli.md").toBe(true);
  expect(readFileSync(PAGE, "utf8")).toBe(page);
});
