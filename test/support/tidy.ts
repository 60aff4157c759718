/**
 * The house rules as functions from a file to what is wrong with it. Nothing here reads the disk, so every rule is
 * tested on a bad sample too.
 */
import { dirname, join } from "node:path";
import { functionBodies, lineOf, scan } from "./scan.ts";
import { hotPath } from "./tidy_hot.ts";
import type { Rule, SourceFile } from "./tidy_rule.ts";

const MAX_FILE_LINES = 450;
const MAX_FUNCTION_LINES = 100;

function at(file: SourceFile, offset: number, message: string): string {
  return `${file.path}:${lineOf(file.text, offset)}: ${message}`;
}

/** One problem per match; an empty message means that this match is none. */
function every(
  file: SourceFile,
  text: string,
  pattern: RegExp,
  message: (match: RegExpExecArray) => string,
): string[] {
  return [...text.matchAll(pattern)].flatMap((match) => {
    const said = message(match);
    return said === "" ? [] : [at(file, match.index, said)];
  });
}

/** Who may import whom: a folder of src → what its files may import besides themselves, packages as they are named. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  text: [],
  native: ["protocol/", "error.ts", "streams.ts", "bun:ffi", "node:"],
  config: ["net/address.ts", "protocol/", "text/", "error.ts", "node:"],
  net: ["native/", "protocol/", "config/config.ts", "error.ts", "node:"],
  wire: ["net/", "protocol/", "config/config.ts", "node:buffer"],
  storage: ["protocol/", "config/config.ts", "durable.ts", "error.ts", "bun:sqlite", "node:"],
  kv: ["api/", "protocol/bytes.ts", "error.ts", "node:"],
  // What serves applications is plugged into the node, which does not know it.
  delivery: [
    "protocol/",
    "node/",
    "wire/",
    "net/",
    "native/",
    "config/",
    "text/",
    "durable.ts",
    "log.ts",
    "error.ts",
    "streams.ts",
    "bun",
    "node:",
  ],
  node: [
    "protocol/",
    "wire/",
    "storage/",
    "net/",
    "native/",
    "config/",
    "text/",
    "durable.ts",
    "log.ts",
    "error.ts",
    "streams.ts",
    "package.json",
    "bun",
    "node:",
  ],
  ops: [
    "protocol/",
    "wire/",
    "storage/",
    "net/",
    "native/",
    "delivery/",
    "node/",
    "config/",
    "text/",
    "log.ts",
    "error.ts",
    "streams.ts",
    "bun",
    "node:",
  ],
  // Measures clusters as `ops` starts them; `bench/floor` is the C program beside them.
  bench: [
    "bench/floor/",
    "protocol/assert.ts",
    "protocol/types.ts",
    "storage/",
    "net/",
    "node/",
    "ops/",
    "config/",
    "text/",
    "error.ts",
    "node:",
  ],
  api: ["protocol/", "wire/", "net/", "delivery/", "node/", "config/", "log.ts", "error.ts", "node:"],
  // Everything but what touches the machine.
  sim: [
    "api/",
    "kv/",
    "protocol/",
    "wire/",
    "storage/",
    "net/",
    "delivery/",
    "node/",
    "config/",
    "text/",
    "log.ts",
    "error.ts",
    "streams.ts",
  ],
  cli: [
    "bench/",
    "sim/",
    "api/",
    "kv/",
    "protocol/",
    "wire/",
    "storage/",
    "net/",
    "native/",
    "delivery/",
    "node/",
    "ops/",
    "config/",
    "text/",
    "log.ts",
    "error.ts",
    "streams.ts",
    "citty",
    "bun",
    "node:",
  ],
};
const LOOSE: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["cli/", "error.ts", "streams.ts"],
  "log.ts": ["config/config.ts", "streams.ts", "consola", "node:"],
  "durable.ts": ["error.ts", "node:"],
  "error.ts": [],
  "streams.ts": [],
};

const IMPORT = /(?:^|[\s;}])(?:import|export)\s(?:[^"';]*?\sfrom\s*)?"([^"]+)"|\bimport\(\s*"([^"]+)"/g;

export const imports: Rule = (file) => {
  const inside = /^src\/(?:([^/]+)\/)?/.exec(file.path);
  if (inside === null) return [];
  const folder = inside[1];
  const name = file.path.slice("src/".length);
  const allowed = folder === undefined ? LOOSE[name] : LAYERS[folder];
  if (allowed === undefined) return [`${file.path}: no rule says what ${folder ?? name} may import`];
  return every(file, scan(file.text).withStrings, IMPORT, (match) => {
    const target = (match[1] ?? match[2])!;
    const resolved = target.startsWith(".") ? join(dirname(file.path), target).replace(/^src\//, "") : target;
    const own = folder !== undefined && resolved.startsWith(`${folder}/`);
    const granted = allowed.some((a) =>
      a.endsWith("/") || a.endsWith(":")
        ? resolved.startsWith(a)
        : resolved === a || resolved.startsWith(`${a}/`),
    );
    if (!own && !granted && !resolved.startsWith("ffi/build/"))
      return `${folder ?? name} may not import ${resolved}`;
    if (resolved.startsWith("ffi/build/") && folder !== "native") return `only native may import ${resolved}`;
    return target.startsWith(".") && !/\.(ts|json|so|c|h)$/.test(target)
      ? `${target} lacks its extension`
      : "";
  });
};

export const fileLength: Rule = (file) => {
  const lines = file.text.split("\n").length - 1;
  return lines > MAX_FILE_LINES ? [`${file.path}: ${lines} lines, at most ${MAX_FILE_LINES}`] : [];
};

export const functionLength: Rule = (file) =>
  functionBodies(scan(file.text).code)
    // A describe block is a chapter, not a function.
    .filter(
      (body) =>
        body.lines > MAX_FUNCTION_LINES && !(file.path.startsWith("test/") && /=>$/.test(body.header)),
    )
    .map(
      (body) => `${file.path}:${body.line}: a function of ${body.lines} lines, at most ${MAX_FUNCTION_LINES}`,
    );

export const header: Rule = (file) => {
  if (!/^(src|ffi|bench)\//.test(file.path)) return [];
  const text = file.text.replace(/^#!.*\n/, "").replace(/^(?:import\s[^;]*;\s*|#.*\n|\s)*/, "");
  return text.startsWith("/*") ? [] : [`${file.path}: no header comment says what it is`];
};

export const silencedChecks: Rule = (file) => {
  // Composed, so that this very file does not break its own rule.
  const comments = new RegExp(`@ts-(?:${"ignore"}|expect-error|nocheck)|${"biome"}-ignore`, "g");
  const code = scan(file.text).code;
  return [
    ...every(file, file.text, comments, (m) => `${m[0]} silences a check`),
    ...(file.path.endsWith(".ts")
      ? every(file, code, /(?::|\bas|<|\||&|,)\s*any\b(?!\s*[:(.])/g, () => "the type any")
      : []),
    ...every(file, code, /\bcatch\s*(?:\([^)]*\)\s*)?\{\s*\}/g, (m) => {
      // One that says why nothing is to be done is an answer.
      const explained = /\/[/*]/.test(file.text.slice(m.index, m.index + m[0].length));
      return explained ? "" : "an error is swallowed";
    }),
    ...every(file, code, /\.catch\(\s*(?:\([^)]*\)|\w+)\s*=>\s*\{\s*\}\s*\)/g, () => "an error is swallowed"),
  ];
};

export const unfinished: Rule = (file) =>
  every(
    file,
    file.text,
    new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`, "g"),
    (m) => `${m[1]} is left`,
  );

/** Tests are skipped by helpers in test/support only: those say why. */
export const skippedTests: Rule = (file) => {
  if (!file.path.startsWith("test/") || file.path.startsWith("test/support/")) return [];
  const pattern = /\b(?:test|it|describe)\.(only|skip|todo|if|skipIf|todoIf)\b/g;
  return every(file, scan(file.text).code, pattern, (m) => `.${m[1]} outside test/support gives no reason`);
};

export const determinism: Rule = (file) => {
  if (!/^src\/(protocol|wire|text)\//.test(file.path)) return [];
  const pattern =
    /\b(Math\.random|Date\.now|new Date|performance\.now|crypto\.|process\.|Bun\.|setTimeout|setInterval|setImmediate)/g;
  return every(file, scan(file.text).code, pattern, (m) => `${m[1]} in code that must be deterministic`);
};

export const channels: Rule = (file) => {
  if (!file.path.startsWith("src/")) return [];
  const code = scan(file.text).code;
  const exits =
    file.path === "src/main.ts"
      ? []
      : every(file, code, /\bprocess\.(exit\(|exitCode\b)/g, () => "only main.ts sets an exit code");
  return [
    ...exits,
    ...every(
      file,
      code,
      /\bconsole\.\w+/g,
      (m) => `${m[0]}: data goes through cli/output.ts, logs through log.ts`,
    ),
    ...(file.path === "src/streams.ts"
      ? []
      : every(
          file,
          code,
          /\bprocess\.std(out|err)\b/g,
          (m) => `${m[0]}: streams.ts makes it when it is needed`,
        )),
    ...every(file, code, /^export default\b/gm, () => "a default export"),
  ];
};

/** Words of other traditions for what has a name here. */
const WORDS: Readonly<Record<string, string>> = {
  "log index": "instance (iid)",
  "commit index": "trim point, or highest delivered instance",
  "slot number": "instance (iid)",
  decree: "value",
  follower: "passive proposer",
};

export const words: Rule = (file) => {
  return every(file, file.text, new RegExp(`\\b(${Object.keys(WORDS).join("|")})s?\\b`, "gi"), (m) => {
    const word = m[1]!.toLowerCase();
    return `"${word}" is called ${WORDS[word]} here`;
  });
};

/** Nothing in the repository names a package registry: where packages come from is the machine's business. */
export const registries: Rule = (file) => {
  const host = new RegExp(
    ["registry\\.(npm|yarn)", "npm" + "mirror\\.", "npm\\.pkg\\.", "unpkg\\.", "jsr\\.io"].join("|"),
    "gi",
  );
  const resolved =
    file.path === "package-lock.json" ? every(file, file.text, /"resolved":/g, () => "a resolved URL") : [];
  return [...resolved, ...every(file, file.text, host, (m) => `${m[0]} names a package registry`)];
};

export const pins: Rule = (file) => {
  if (file.path !== "package.json") return [];
  const manifest = JSON.parse(file.text) as Record<string, Record<string, string> | undefined>;
  return ["dependencies", "devDependencies"].flatMap((group) =>
    Object.entries(manifest[group] ?? {})
      .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
      .map(([name, version]) => `package.json: ${name} is not pinned exactly (${version})`),
  );
};

/** For TypeScript, C and scripts of the house. */
export const CODE_RULES = {
  imports,
  fileLength,
  functionLength,
  header,
  silencedChecks,
  unfinished,
  skippedTests,
  determinism,
  hotPath,
  channels,
  words,
};
/** For every file that git tracks. */
export const REPOSITORY_RULES = { registries, pins };
