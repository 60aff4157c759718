/**
 * `kpaxos …` in this process, without a new one for each of many calls.
 */
import { spyOn } from "bun:test";
import { rootCommand } from "../../src/cli/root.ts";
import { dispatch } from "../../src/cli/runner.ts";

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Throws what the command throws. */
export async function kpaxosHere(...words: string[]): Promise<Said> {
  const [out, err] = (["stdout", "stderr"] as const).map((stream) =>
    spyOn(process[stream], "write").mockImplementation(() => true),
  ) as [Spy, Spy];
  const text = ({ mock }: Spy): string => mock.calls.map(([chunk]) => String(chunk)).join("");
  try {
    const code = await dispatch(rootCommand, words);
    return { code, out: text(out), err: text(err) };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

type Spy = ReturnType<typeof spyOn<typeof process.stdout, "write">>;
