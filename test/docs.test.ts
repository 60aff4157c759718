/**
 * docs/cli.md is the help of every command, so it names every command and flag; `npm run docs` writes it anew.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KpaxosCommand, resolveCommand } from "../src/cli/command.ts";
import { helpText } from "../src/cli/help.ts";
import { rootCommand } from "../src/cli/root.ts";

const PAGE = join(import.meta.dir, "../docs/cli.md");
const TITLE = `# The command line

Every command with all its flags, as \`--help\` prints them. This page is made from the commands' definitions by
\`npm run docs\`; a test says when it is old.

Exit codes: 0 ok, 1 failure, 2 wrong usage, 69 no such interface, 77 no permission, 78 bad configuration,
130 and 143 ended by SIGINT and SIGTERM (a role that SIGTERM ends cleanly: 0). Standard output is data, standard error
is messages; \`KPAXOS_DEBUG=1\` adds the stack to an error, \`NO_COLOR\` takes the colour off.
`;

async function chapters(command: KpaxosCommand, path: string): Promise<string[]> {
  const own = `## ${path}\n\n\`\`\`text\n${helpText(command, path)}\`\`\`\n`;
  const below: string[] = [];
  for (const [name, sub] of Object.entries(command.subCommands)) {
    below.push(...(await chapters(await resolveCommand(sub), `${path} ${name}`)));
  }
  return [own, ...below];
}

test("docs/cli.md is what the commands say of themselves", async () => {
  const page = [TITLE, ...(await chapters(rootCommand, rootCommand.meta.name))].join("\n");
  if (process.env.KPAXOS_REWRITE === "1") writeFileSync(PAGE, page);
  expect(existsSync(PAGE), "npm run docs writes docs/cli.md").toBe(true);
  expect(readFileSync(PAGE, "utf8")).toBe(page);
});
