/**
 * kpaxos as a shell runs it, for tests of the command line; and the tree of its commands.
 */
import { join } from "node:path";
import { type KpaxosCommand, resolveCommand } from "../../src/cli/command.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
export const BUN = process.execPath;

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export async function finish(child: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<Outcome> {
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

export function kpaxos(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return finish(
    Bun.spawn([BUN, MAIN, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env },
    }),
  );
}

/** A shell line in which `$K` is kpaxos. */
export function shell(line: string, env: Record<string, string> = {}): Promise<Outcome> {
  return finish(
    Bun.spawn(["bash", "-c", line], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, K: `${BUN} ${MAIN}`, ...env },
    }),
  );
}

/** Every command of the tree with its path. */
export async function tree(command: KpaxosCommand, path = "kpaxos"): Promise<[string, KpaxosCommand][]> {
  const below = Object.entries(command.subCommands).map(async ([name, sub]) =>
    tree(await resolveCommand(sub), `${path} ${name}`),
  );
  return [[path, command], ...(await Promise.all(below)).flat()];
}
