/**
 * The command line's manners: exit codes, what goes to which stream, help, errors, pipes and signals.
 */
import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kebab } from "../src/cli/args.ts";
import { defineKpaxosCommand } from "../src/cli/command.ts";
import { helpText } from "../src/cli/help.ts";
import { rootCommand } from "../src/cli/root.ts";
import { findCommand, report } from "../src/cli/runner.ts";
import { PLAIN, styleFor, wrap } from "../src/cli/style.ts";
import { BUN, finish, kpaxos, shell, tree } from "./support/shell.ts";

describe("streams and exit codes", () => {
  test("no command: help on standard error, 2", async () => {
    const { code, out, err } = await kpaxos([]);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toStartWith("kpaxos: ");
  });

  test("--help, -h and help: the same text on standard output, 0", async () => {
    const all = await Promise.all([["--help"], ["-h"], ["help"]].map((words) => kpaxos(words)));
    for (const { code, out, err } of all) {
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toBe(all[0]!.out);
    }
    expect(all[0]!.out).toMatch(/Examples:[\s\S]*Usage:[\s\S]*Commands:[\s\S]*Flags:/);
  });

  test("a setting below zero is named as such, with its range, attached to its flag or not", async () => {
    const conf = join(import.meta.dir, "../paxos.conf");
    for (const words of [["--proposer-timeout=-5ms"], ["--proposer-timeout", "-5ms"]]) {
      const { code, err } = await kpaxos(["config", "show", "-f", conf, ...words]);
      expect(code).toBe(2);
      expect(err).toContain(
        "--proposer-timeout: error: proposer-timeout -5ms is negative\n  hint: allowed: 1ms",
      );
    }
  });

  test("a setting that no cluster can have is told alone, without what a cluster would have been given", async () => {
    const home = mkdtempSync(join(tmpdir(), "kpaxos-cli-"));
    const words = ["cluster", "up", "--link", "udp", "--groups", "100"];
    const { code, err } = await kpaxos(words, { XDG_STATE_HOME: home });
    rmSync(home, { recursive: true });
    expect(code).toBe(2);
    expect(err).toMatch(
      /^error: 1 error in the settings .*\n--groups: error: groups 100 is out of range\n {2}hint: .*\n$/,
    );
  });

  test("help of a subcommand, however it is asked for", async () => {
    const plain = await kpaxos(["config", "check", "--help"]);
    expect(plain.out).toStartWith("kpaxos config check: ");
    expect(await kpaxos(["help", "config", "check"])).toEqual(plain);
    expect(await kpaxos(["config", "check", "--json", "-h"])).toEqual(plain);
  });

  test("--version, plain and as JSON", async () => {
    const { code, out } = await kpaxos(["--version"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^kpaxos \d+\.\d+\.\d+ \(bun \d+\.\d+\.\d+, linux-\w+, wire 7\)\n$/);
    const json = JSON.parse((await kpaxos(["--version", "--json"])).out);
    expect(Object.keys(json)).toEqual(["name", "version", "bun", "platform", "wire"]);
    expect((await kpaxos(["-V"])).out).toBe(out);
  });

  const refusals: readonly [string, RegExp][] = [
    ["frme", /^error: unknown command "frme" for "kpaxos"\nhint: did you mean kpaxos frame\?\n$/],
    ["zzzzzz", /^error: unknown command "zzzzzz" for "kpaxos"\nhint: commands: run, /],
    ["config chekc", /did you mean kpaxos config check\?/],
    ["config", /^kpaxos config: /],
    ["--vrsion", /unknown flag --vrsion for "kpaxos"\nhint: did you mean --version\?/],
    ["--json", /^error: no command given/],
    ["config check --flie x", /unknown flag --flie for "kpaxos config check"\nhint: did you mean --file\?/],
    ["config check a b c", /unexpected "a"/],
    ["config --json check", /unknown flag --json for "kpaxos config"\nhint: flags follow the command/],
    ["constructor", /unknown command "constructor"/],
  ];
  for (const [words, message] of refusals) {
    test(`${words}: 2, on standard error only`, async () => {
      const { code, out, err } = await kpaxos(words.split(" "));
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toMatch(message);
    });
  }

  test("operating trouble has its own code and a hint", async () => {
    const { code, err } = await kpaxos(["config", "check", "-f", "/nonexistent/paxos.conf"]);
    expect(code).toBe(78);
    expect(err).toMatch(/^error: .*\/nonexistent\/paxos\.conf[\s\S]*\nhint: /);
  });
});

describe("what the system has no more of", () => {
  test("is no bug, wherever it shows: what is wanting is said", () => {
    const stderr = spyOn(process.stderr, "write").mockImplementation(() => true);
    try {
      const full = Object.assign(new Error("too many open files, pidfd_open"), { code: "EMFILE" });
      expect(report(full) as number).toBe(1);
      const said = stderr.mock.calls.map(([text]) => text).join("");
      expect(said).toBe(
        "error: too many open files, pidfd_open\nhint: this process may open more files after: ulimit -n 4096\n",
      );
    } finally {
      stderr.mockRestore();
    }
  });
});

describe("what nobody expected", () => {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-cli-"));
  const program = join(directory, "main.ts");
  writeFileSync(
    program,
    `import { report } from ${JSON.stringify(join(import.meta.dir, "../src/cli/runner.ts"))};
     process.exitCode = report(new Error("the window is negative", { cause: new Error("overflow") }));`,
  );
  const run = (env: Record<string, string>) =>
    finish(
      Bun.spawn([BUN, program], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, ...env },
      }),
    );
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("is called a bug, with the way to its place", async () => {
    const { code, err } = await run({ KPAXOS_DEBUG: "" });
    expect(code).toBe(1);
    expect(err).toMatch(
      /^error: the window is negative\nthis is a bug in kpaxos.*\nset KPAXOS_DEBUG=1 .*\n$/,
    );
  });
  test("shows its place with KPAXOS_DEBUG=1", async () => {
    const { err } = await run({ KPAXOS_DEBUG: "1" });
    expect(err).toContain("main.ts:2");
    expect(err).toContain("caused by: Error: overflow");
  });
});

describe("pipes and signals", () => {
  test("a reader that has gone is no failure", async () => {
    const { out, err } = await shell("(sleep 0.2; $K --help; echo $? >&2) | true");
    expect({ out, err }).toEqual({ out: "", err: "0\n" });
  });
  test("output that cannot be written is a failure", async () => {
    const { err } = await shell("$K --help > /dev/full; echo $? >&2");
    expect(err).toMatch(/^error: cannot write to standard output: .*ENOSPC.*\n1\n$/);
  });
  test("long output to a slow reader is complete", async () => {
    // 2 MB: more than any pipe holds.
    const lines = 20_000;
    const frames = `yes 00000001000000010000000a | head -n ${lines}`;
    const { out } = await shell(`${frames} | $K frame decode --ethertype 0xcafe - | (sleep 0.5; wc -l)`);
    expect(out.trim()).toBe(`${lines}`);
  }, 20_000);
  for (const [signal, code] of [
    ["INT", 130],
    ["TERM", 143],
  ] as const) {
    test(`SIG${signal} ends a one-shot command with ${code}, as the shell sees it`, async () => {
      const line = `$K frame decode - < <(sleep 2) & kpaxos=$!; sleep 0.5; kill -${signal} $kpaxos; wait $kpaxos; echo $?`;
      // Job control gives background jobs the signals' defaults, as at a prompt.
      const { out } = await shell(`set -m; ${line}`);
      expect(out).toBe(`${code}\n`);
    });
  }
});

describe("colour", () => {
  test("only on a terminal, and never with NO_COLOR or TERM=dumb", () => {
    expect(styleFor({ isTTY: true }, {}).bold("x")).toBe("\x1b[1mx\x1b[22m");
    expect(styleFor({ isTTY: true }, { NO_COLOR: "1" }).bold("x")).toBe("x");
    expect(styleFor({ isTTY: true }, { TERM: "dumb" }).bold("x")).toBe("x");
    expect(styleFor({}, {}).bold("x")).toBe("x");
  });
  test("piped help and errors have none, whatever the environment asks", async () => {
    const env = { FORCE_COLOR: "1", TERM: "xterm-256color" };
    const [help, error] = await Promise.all([kpaxos(["--help"], env), kpaxos(["frme"], env)]);
    expect(help.out + error.err).not.toContain("\x1b");
  });
  test("lines are wrapped", () => {
    expect(wrap("aa bb cc", 5)).toEqual(["aa bb", "cc"]);
    expect(wrap("aaaaaaaa b", 5)).toEqual(["aaaaaaaa", "b"]);
  });
});

describe("the definitions", () => {
  test("each has a description, an example that starts with its path, and args that can be written", async () => {
    for (const [path, command] of await tree(rootCommand)) {
      expect(command.meta.description, path).toMatch(/^\S.*[^.]$/);
      expect(command.meta.examples ?? [], path).not.toBeEmpty();
      for (const example of command.meta.examples ?? []) expect(example.command).toContain("kpaxos ");
      const spelled = new Set<string>();
      for (const [key, arg] of Object.entries(command.args)) {
        const aliases = arg.type === "positional" || arg.alias === undefined ? [] : [arg.alias].flat();
        for (const name of [key, ...aliases]) {
          expect(name, path).toMatch(/^[a-zA-Z][a-zA-Z0-9-]*$/);
          // --no-x is the negation of x, for citty and for us.
          expect(kebab(name), path).not.toStartWith("no-");
          expect(spelled.has(name), `${path} ${name} twice`).toBe(false);
          spelled.add(name);
        }
        expect(arg.description, `${path} --${key}`).not.toBe("");
      }
    }
  });

  test("each example is accepted by the command's own definition", async () => {
    const { readArgs } = await import("../src/cli/args.ts");
    for (const [path, command] of await tree(rootCommand)) {
      for (const example of command.meta.examples ?? []) {
        const words = exampleWords(example.command);
        if (words === undefined) continue;
        const found = await findCommand(rootCommand, words);
        if (found.words.includes("--help")) continue;
        try {
          readArgs(found.words, found.command.args, found.path);
        } catch (error) {
          throw new Error(`an example of ${path} is refused: ${example.command}`, { cause: error });
        }
      }
    }
  });
});

/** The words of the first `kpaxos` in a line of shell, up to a pipe or redirection; quotes are taken off. */
function exampleWords(line: string): string[] | undefined {
  const from = /\bkpaxos (.*)/.exec(line);
  if (from === null) return undefined;
  const text = from[1]!.replace(/\s*(?:[|<>&;)].*)$/, "");
  return [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3]!);
}

describe("help", () => {
  const command = defineKpaxosCommand({
    meta: {
      name: "x",
      description: "does x",
      examples: [{ command: "kpaxos x --id 1", what: "one x" }],
      notes: ["A note."],
    },
    args: {
      id: { type: "integer", min: 0, max: 9, alias: "i", required: true, description: "which" },
      "value-size": {
        type: "range",
        min: 0,
        max: 1460,
        default: { first: 64, last: 100 },
        description: "bytes",
      },
      batching: { type: "boolean", default: true, description: "pack" },
      wire: { type: "enum", options: ["native", "kernel-paxos"], default: "native", description: "wire" },
      what: { type: "positional", description: "the thing" },
      more: { type: "positional", repeat: true, required: false, description: "more things" },
    },
    run: () => undefined,
  });

  test("says everything the definition says, examples first", () => {
    expect(helpText(command, "kpaxos x", PLAIN)).toBe(`kpaxos x: does x

Examples:
  kpaxos x --id 1  # one x

Usage:
  kpaxos x WHAT [MORE…] [flags]

Words:
  WHAT   the thing
  MORE…  more things

Flags:
  -i, --id N                  which (0 to 9; required)
  --value-size N|A-B          bytes (0 to 1460; default 64-100)
  --[no-]batching             pack (default yes)
  --wire native|kernel-paxos  wire (default native)
  -h, --help                  show this help

A note.
`);
  });
});
