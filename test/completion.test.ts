/**
 * Completion scripts: they know every command and flag, and what there is of local clusters.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kebab } from "../src/cli/args.ts";
import { flatten } from "../src/cli/completion.ts";
import { rootCommand } from "../src/cli/root.ts";
import { keepState } from "./support/completing.ts";
import { kpaxos, shell, tree } from "./support/shell.ts";

describe("completion", () => {
  test("knows every command and every flag of the definitions", async () => {
    const nodes = await flatten(rootCommand);
    const commands = await tree(rootCommand);
    expect(nodes.map((n) => n.path).sort()).toEqual(commands.map(([path]) => path).sort());
    for (const [path, command] of commands) {
      const flags = nodes.find((n) => n.path === path)!.flags.map((f) => f.text);
      for (const [key, arg] of Object.entries(command.args)) {
        if (arg.type !== "positional") expect(flags).toContain(`--${kebab(key)}`);
      }
    }
  });

  const home = mkdtempSync(join(tmpdir(), "kpaxos-completion-"));
  const script = join(home, "kpaxos.bash");
  beforeAll(async () => writeFileSync(script, (await kpaxos(["completion", "bash"])).out));
  afterAll(() => rmSync(home, { recursive: true }));

  /** `words`: the line as readline divides it, unless that is at blanks. */
  const complete = (line: string, words = line, env: Record<string, string> = {}) =>
    shell(
      `source ${script}
      COMP_WORDS=(${words}); [[ '${words}' == *' ' ]] && COMP_WORDS+=("")
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); compopt() { :; }
      COMP_LINE='${line}' COMP_POINT=${line.length} COMP_WORDBREAKS='@='
      _kpaxos; printf '%s\\n' "\${COMPREPLY[@]}"`,
      env,
    );

  test("bash completes commands, flags and values", async () => {
    expect((await complete("kpaxos co")).out.split("\n").sort().join(" ")).toBe(" completion config");
    expect((await complete("kpaxos config ")).out).toBe("check\nshow\n");
    expect((await complete("kpaxos config check --fi")).out).toBe("--file\n");
    expect((await complete("kpaxos frame decode --wire ")).out).toBe("native\nkernel-paxos\n");
    expect((await complete("kpaxos completion f")).out).toBe("fish\n");
    const divided = ["kpaxos frame decode --wire=", "kpaxos frame decode --wire ="] as const;
    expect((await complete(...divided)).out).toBe("native\nkernel-paxos\n");
    expect((await complete("kpaxos bench --report commit --acceptor")).out).toBe("--acceptors\n");
    expect((await complete("kpaxos cluster exec client -- bas")).out).toMatch(/^bash$/m);
  });

  test("bash completes lists, behind a comma too", async () => {
    expect((await complete("kpaxos bench --wires ")).out).toBe("native\nkernel-paxos\n");
    expect((await complete("kpaxos bench --storage sqlite,log,")).out).toBe("sqlite,log,memory\n");
    expect((await complete("kpaxos bench --layout=roles,", "kpaxos bench --layout = roles,")).out).toBe(
      "roles,replicas\n",
    );
    expect((await complete("kpaxos bench commit --storage l")).out).toBe("log\n");
    expect((await complete("kpaxos tail --from ")).out).toBe("present\noldest\n");
  });

  test("bash completes clusters and their roles, as their state files have them", async () => {
    const states = mkdtempSync(join(tmpdir(), "kpaxos-completion-"));
    const directoryOf = (name: string): string => join(states, "kpaxos/clusters", name);
    const at = (line: string, words = line) => complete(line, words, { XDG_STATE_HOME: states });
    const offered = async (line: string, words?: string): Promise<string[]> =>
      (await at(line, words)).out.split("\n").filter((word) => word !== "");
    try {
      expect(await offered("kpaxos cluster kill ")).toEqual([]);
      expect(await offered("kpaxos cluster down --name ")).toEqual([]);
      const plain = ["acceptor", "proposer", "user-learner"] as const;
      keepState(
        directoryOf("default"),
        "default",
        plain.map((role) => ({ role, id: 0 })),
      );
      keepState(
        directoryOf("two"),
        "two",
        [0, 1].map((group) => ({ role: "replica", id: 3, group })),
      );
      for (const verb of ["kill", "start", "logs"])
        expect(await offered(`kpaxos cluster ${verb} `)).toEqual([
          "acceptor/0",
          "proposer/0",
          "user-learner/0",
        ]);
      expect(await offered("kpaxos cluster exec ")).toEqual([
        "client",
        "acceptor/0",
        "proposer/0",
        "user-learner/0",
      ]);
      expect(await offered("kpaxos cluster kill pro")).toEqual(["proposer/0"]);
      expect(await offered("kpaxos cluster kill --sig")).toEqual(["--signal"]);
      expect(await offered("kpaxos cluster add user-learner --beside ac")).toEqual(["acceptor/0"]);
      expect(await offered("kpaxos cluster down --name ")).toEqual(["default", "two"]);
      expect(await offered("kpaxos cluster down --name=t", "kpaxos cluster down --name = t")).toEqual([
        "two",
      ]);
      const both = ["replica/3@0", "replica/3@1"];
      expect(await offered("kpaxos cluster kill -n two ")).toEqual(both);
      expect(await offered("kpaxos cluster kill --name=two r", "kpaxos cluster kill --name = two r")).toEqual(
        both,
      );
      expect(await offered(`kpaxos cluster logs --dir ${directoryOf("two")} r`)).toEqual(both);
      const named = directoryOf("a:b c");
      keepState(named, "else", [{ role: "learner", id: 5 }]);
      expect(await offered(`kpaxos cluster logs --dir "${named}" `)).toEqual(["learner/5"]);
      const divided = [
        "kpaxos cluster kill -n two replica/3@",
        "kpaxos cluster kill -n two replica/3 @ ",
      ] as const;
      expect(await offered(...divided)).toEqual(["0", "1"]);
    } finally {
      rmSync(states, { recursive: true });
    }
  });

  for (const [name, check] of [
    ["zsh", "zsh -n"],
    ["fish", "fish -n"],
  ] as const) {
    test(`${name} reads its script`, async () => {
      const { out } = await kpaxos(["completion", name]);
      expect(out).toContain("made by: kpaxos completion");
      expect(out).toContain("kernel-paxos");
      // Where the shell is there it is the judge of its syntax.
      const { code } = await shell(
        `command -v ${name} >/dev/null || exit 0; $K completion ${name} | ${check} /dev/stdin`,
      );
      expect(code).toBe(0);
    });
  }

  test("another shell is refused", async () => {
    const { code, err } = await kpaxos(["completion", "fsh"]);
    expect(code).toBe(2);
    expect(err).toBe('error: SHELL expects one of bash, zsh, fish, got "fsh"\nhint: did you mean zsh?\n');
  });
});
