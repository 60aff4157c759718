import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readArgs } from "../src/cli/args.ts";
import type { ArgsDef } from "../src/cli/command.ts";
import { CliError } from "../src/error.ts";
import { distance, nearest } from "../src/text/nearest.ts";
import { errorOf } from "./support/refusal.ts";

const ARGS = {
  file: { type: "string", alias: ["f", "config"], valueHint: "FILE", description: "configuration" },
  id: { type: "integer", min: 0, max: 255, description: "id" },
  shift: { type: "integer", alias: "s", description: "may be negative" },
  "trim-every": { type: "integer", min: 1, lookedForAs: ["trim-often"], description: "instances" },
  seconds: { type: "number", min: 0, alias: "t", description: "how long" },
  "value-size": { type: "range", min: 0, max: 9000, default: { first: 64, last: 64 }, description: "bytes" },
  wire: { type: "enum", options: ["native", "kernel-paxos"], default: "native", description: "wire" },
  json: { type: "boolean", alias: "j", description: "json" },
  batching: { type: "boolean", default: true, description: "batch" },
  quiet: { type: "boolean", alias: "q", description: "quiet" },
  name: { type: "positional", required: false, description: "a name" },
} as const satisfies ArgsDef;

const NOTHING = {
  "value-size": { first: 64, last: 64 },
  wire: "native",
  batching: true,
};

const read = (words: readonly string[], args: ArgsDef = ARGS) => readArgs(words, args, "kpaxos test");
const given = (words: readonly string[]) =>
  Object.fromEntries(Object.entries(read(words)).filter(([, v]) => v !== undefined));

describe("accepted", () => {
  const table: readonly [string[], object][] = [
    [[], {}],
    [["--file", "a.conf"], { file: "a.conf" }],
    [["--file=a.conf"], { file: "a.conf" }],
    [["--file="], { file: "" }],
    [["--file=--json"], { file: "--json" }],
    [["--file=a=b"], { file: "a=b" }],
    [["-f", "a.conf"], { file: "a.conf" }],
    [["-fa.conf"], { file: "a.conf" }],
    [["-f=a.conf"], { file: "a.conf" }],
    [["--config", "a.conf"], { file: "a.conf" }],
    [["-f", "-"], { file: "-" }],
    [["--trim-every", "10"], { "trim-every": 10 }],
    [["--trimEvery", "10"], { "trim-every": 10 }],
    [["--id", "0"], { id: 0 }],
    [["--shift", "-5"], { shift: -5 }],
    [["-s-5"], { shift: -5 }],
    [["--shift=-5"], { shift: -5 }],
    [["--seconds", "0.5"], { seconds: 0.5 }],
    [["-t.5"], { seconds: 0.5 }],
    [["--value-size", "0"], { "value-size": { first: 0, last: 0 } }],
    [["--value-size", "10-1460"], { "value-size": { first: 10, last: 1460 } }],
    [["--wire", "kernel-paxos"], { wire: "kernel-paxos" }],
    [["--json"], { json: true }],
    [["--no-json"], { json: false }],
    [["--json=no"], { json: false }],
    [["--json=TRUE"], { json: true }],
    [["--no-batching"], { batching: false }],
    [["-jq"], { json: true, quiet: true }],
    [["-jf", "x"], { json: true, file: "x" }],
    [["word"], { name: "word" }],
    [["-7"], { name: "-7" }],
    [["-"], { name: "-" }],
    [["--", "--json"], { name: "--json" }],
    [["word", "--json"], { name: "word", json: true }],
    [["--json", "word"], { name: "word", json: true }],
    [["--json", "--json"], { json: true }],
    [["--file", "__proto__"], { file: "__proto__" }],
  ];
  for (const [words, values] of table) {
    test(words.join(" ") || "nothing", () => expect(given(words)).toEqual({ ...NOTHING, ...values }));
  }

  test("all that is left, for a repeated positional", () => {
    const args = {
      node: { type: "positional", description: "n" },
      command: { type: "positional", repeat: true, required: false, description: "c" },
    } as const satisfies ArgsDef;
    expect(read(["a/0", "--", "ping", "-c", "1"], args)).toEqual({
      node: "a/0",
      command: ["ping", "-c", "1"],
    });
    expect(read(["a/0"], args)).toEqual({ node: "a/0", command: [] });
  });
});

describe("refused with exit 2, naming the word and what to do", () => {
  const table: readonly [string[], RegExp, RegExp | undefined][] = [
    [["--flie", "x"], /unknown flag --flie for "kpaxos test"/, /did you mean --file\?/],
    [["--flie=x"], /unknown flag --flie/, /--file/],
    [["-file", "x"], /unknown flag -file/, /did you mean --file\?/],
    [["-id", "1"], /unknown flag -id/, /did you mean --id\?/],
    [["-z"], /unknown flag -z/, /--help/],
    [["-jz"], /unknown flag -jz/, undefined],
    [["--trimevry", "1"], /unknown flag --trimevry/, /--trim-every/],
    [["--no-batchin"], /unknown flag --no-batchin/, /--no-batching/],
    [["--no-file"], /unknown flag --no-file/, undefined],
    [["--zzzzzzzzzz"], /unknown flag --zzzzzzzzzz/, /kpaxos test --help/],
    [["--hepl"], /unknown flag --hepl/, /--help/],
    [["--constructor"], /unknown flag --constructor/, undefined],
    [["--file"], /--file needs a value/, /--file FILE/],
    [["--file", "--json"], /--file needs a value/, /--file FILE/],
    [["-f"], /-f needs a value/, /-f FILE/],
    [["--id"], /--id needs a value/, /from 0 to 255/],
    [["--json=maybe"], /--json is a switch and takes no value, got "maybe"/, /--no-json/],
    [["--no-json=yes"], /--no-json is a switch/, /alone/],
    [["--id", "abc"], /--id expects a whole number from 0 to 255, got "abc"/, undefined],
    [["--id", "1.5"], /--id expects a whole number/, undefined],
    [["--id", ""], /--id expects/, undefined],
    [["--id", "256"], /--id expects .*255, got "256"/, undefined],
    [["--id", "-1"], /--id expects .*got "-1"/, undefined],
    [["--id", "0x10"], /--id expects/, undefined],
    [["--id", "99999999999999999999"], /--id expects/, undefined],
    [["--id", "-5ms"], /--id expects a whole number from 0 to 255, got "-5ms"/, undefined],
    [["--seconds", "-.5"], /--seconds expects .*got "-.5"/, undefined],
    [["--value-size", "-5-6"], /--value-size expects .*got "-5-6"/, undefined],
    [["--trim-every", "0"], /--trim-every expects a whole number of at least 1/, undefined],
    [["--seconds", "1e3"], /--seconds expects a number/, undefined],
    [["--seconds", "NaN"], /--seconds expects a number/, undefined],
    [["--value-size", "10-5"], /--value-size expects .*A-B/, undefined],
    [["--value-size", "5-99999"], /--value-size expects .*from 0 to 9000/, undefined],
    [["--value-size", "a-b"], /--value-size expects/, undefined],
    [["--wire", "kernelpaxos"], /--wire expects one of native, kernel-paxos/, /did you mean kernel-paxos\?/],
    [["--id", "1", "--id", "2"], /--id is given twice/, /once/],
    [["--json", "--no-json"], /--no-json is given twice/, undefined],
    [["a", "b"], /unexpected "b": kpaxos test takes one word, NAME$/, /kpaxos test --help/],
    [["a", "learner/3"], /unexpected "learner\/3"/, /^if that is the role, write --id 3$/],
    [["--kernel-paxos"], /unknown flag --kernel-paxos/, /^did you mean --wire kernel-paxos\?$/],
    [["a", "./b.conf"], /unexpected "\.\/b\.conf"/, /if that is the configuration, write -f \.\/b\.conf/],
    [["a", "id=0"], /unexpected "id=0"/, /^write --id 0$/],
    [["a", "trim_every=5"], /unexpected "trim_every=5"/, /^write --trim-every 5$/],
    [["a", "json=1"], /unexpected "json=1"/, /^write --json$/],
    [["a", "json=0"], /unexpected "json=0"/, /^write --no-json$/],
    [["a", "nothing=0"], /unexpected "nothing=0"/, /--help/],
    [["a", "--json", "1"], /--json is a switch and takes no value, got "1"/, /write --json or --no-json/],
    [["a", "--no-json", "1"], /--no-json is a switch and takes no value, got "1"/, /write --no-json alone/],
    [["a", "--json", "--id", "1", "b"], /unexpected "b"/, undefined],
    [["a", "--trim-often", "5"], /unknown flag --trim-often/, /did you mean --trim-every\?/],
  ];
  for (const [words, message, hint] of table) {
    test(words.join(" "), () => {
      const error = errorOf(() => read(words));
      expect(error.exitCode).toBe(2);
      expect(error.message).toMatch(message);
      if (hint !== undefined) expect(error.hint).toMatch(hint);
    });
  }

  test("words that were meant for a flag", () => {
    const args = {
      file: { type: "positional", description: "a file" },
      name: { type: "string", description: "which cluster" },
      storage: { type: "string", listOf: ["memory", "log"], description: "where" },
    } as const satisfies ArgsDef;
    expect(errorOf(() => read(["a", "b.c"], args)).hint).toBe("if that is the name, write --name b.c");
    expect(errorOf(() => read(["a", "0"], args)).hint).toBe("kpaxos test --help shows how it is used");
    expect(errorOf(() => read(["--memory"], args)).hint).toBe("did you mean --storage memory?");
    const none = { json: ARGS.json, name: args.name } as const satisfies ArgsDef;
    const { message, hint } = errorOf(() => read(["two"], none));
    expect(message).toBe('unexpected "two": kpaxos test takes no words besides flags');
    expect(hint).toBe("if that is the name, write --name two");
  });

  test("a required flag, a required positional", () => {
    const args = {
      id: { type: "integer", required: true, description: "which acceptor" },
      role: { type: "positional", options: ["acceptor", "learner"], description: "the role" },
    } as const satisfies ArgsDef;
    expect(errorOf(() => read(["learner"], args)).message).toBe("kpaxos test needs --id");
    expect(errorOf(() => read(["--id", "1"], args)).message).toBe("kpaxos test needs ROLE: the role");
    const wrong = errorOf(() => read(["lerner", "--id", "1"], args));
    expect(wrong.message).toBe('ROLE expects one of acceptor, learner, got "lerner"');
    expect(wrong.hint).toBe("did you mean learner?");
  });
});

describe("for any words", () => {
  const word = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.constantFrom(
      "--",
      "-",
      "--json",
      "--no-json",
      "-f",
      "--file",
      "--id",
      "7",
      "-7",
      "--id=3",
      "-jq",
      "--wire=native",
    ),
  );
  test("the answer is values of the right types, or a usage error", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => {
        try {
          const values = read(words);
          expect(Object.keys(values).sort()).toEqual(Object.keys(ARGS).sort());
          expect(["number", "undefined"]).toContain(typeof values.id);
          expect(["boolean", "undefined"]).toContain(typeof values.json);
        } catch (error) {
          if (!(error instanceof CliError)) throw error;
          expect(error.exitCode).toBe(2);
        }
      }),
    );
  });

  test("any text given as --file=TEXT arrives as it is", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(read([`--file=${text}`]).file).toBe(text);
      }),
    );
  });
});

describe("nearest", () => {
  test("knows slips of the finger", () => {
    expect(distance("learner", "lerner")).toBe(1);
    expect(distance("ab", "ba")).toBe(1);
    expect(distance("", "abc")).toBe(3);
    expect(nearest("LERNER", ["acceptor", "learner"])).toBe("learner");
  });
  test("does not guess wildly", () => {
    expect(nearest("zzzz", ["acceptor", "learner"])).toBeUndefined();
    expect(nearest("x".repeat(10_000), ["learner"])).toBeUndefined();
    expect(nearest("a", [])).toBeUndefined();
  });
});
