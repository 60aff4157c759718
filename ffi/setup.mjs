/**
 * Makes a checkout ready to run: packages, Bun, and the C library; of an installed package the C library alone, for a machine
 * that is unlike the one where it was packed. Plain Node, nothing installed needed. Quiet when
 * there is nothing to do; each step is skipped when its result is there and newer than what it is made from.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const ffi = join(root, "ffi");
const build = join(ffi, "build");

// Warnings are no errors here, so that a compiler of next year can build us; in ffi/test.mjs they are.
const flags = [
  ...["-O2", "-g1", "-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-fvisibility=hidden", "-pthread"],
  ...["-Wall", "-Wextra", "-Wconversion"],
];

export class SetupError extends Error {}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], ...options });
  return result.error === undefined && result.status === 0;
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

/** The packages npm has installed are those of the lock file; entries for other platforms may be absent. */
function packagesMatch() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(installed, "utf8")).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    if (present[path] === undefined ? !entry.optional : present[path].version !== entry.version) return false;
  }
  return Object.keys(present).every((path) => wanted[path] !== undefined);
}

function installPackages() {
  if (packagesMatch()) return;
  say("installing packages");
  if (!run("npm", ["ci", "--no-audit", "--no-fund"]))
    throw new SetupError("npm ci failed (its output is above)");
}

function checkBun() {
  const bun = join(root, "node_modules", ".bin", "bun");
  const result = spawnSync(bun, ["--version"], { encoding: "utf8" });
  if (result.status === 0) return;
  const why = result.error?.message ?? result.stderr.trim();
  throw new SetupError(`Bun does not run: ${why}\nRemove node_modules and run npm run setup again.`);
}

export function findCompiler() {
  const candidates = [process.env.CC, "cc", "gcc", "clang"].filter(
    (name) => name !== undefined && name !== "",
  );
  for (const candidate of candidates) {
    // CC may carry arguments, as make allows.
    const [command, ...args] = candidate.split(/\s+/);
    if (spawnSync(command, [...args, "--version"], { stdio: "ignore" }).status === 0)
      return { command, args };
  }
  throw new SetupError(
    [
      `no C compiler found (tried ${candidates.join(", ")}). Install one:`,
      "  Debian, Ubuntu:  apt-get install gcc libc6-dev",
      "  Fedora, RHEL:    dnf install gcc glibc-devel",
      "  Alpine:          apk add gcc musl-dev linux-headers",
      "  Arch:            pacman -S gcc",
      "or name yours in the environment variable CC.",
    ].join("\n"),
  );
}

/** All files of ffi/ that end so, sorted. */
export function filesOf(directory, suffix) {
  return readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => join(directory, name));
}

function buildLibrary() {
  const library = join(build, "libkpaxos.so");
  const stamp = join(build, "libkpaxos.flags");
  const sources = filesOf(ffi, ".c");
  // What was compiled, and how: a source that has gone counts as a change too.
  const recipe = [process.env.CC ?? "", process.arch, ...flags, ...sources].join("\n");
  if (existsSync(library) && existsSync(stamp) && readFileSync(stamp, "utf8") === recipe) {
    const built = statSync(library).mtimeMs;
    if ([...sources, ...filesOf(ffi, ".h")].every((file) => statSync(file).mtimeMs <= built)) return;
  }
  const compiler = findCompiler();
  say(`building ffi/build/libkpaxos.so with ${compiler.command}`);
  mkdirSync(build, { recursive: true });
  // Built aside and moved: a running kpaxos has the old file mapped, and a broken build must leave none behind.
  const fresh = join(build, `libkpaxos.${process.pid}.tmp`);
  if (!run(compiler.command, [...compiler.args, ...flags, "-shared", "-o", fresh, ...sources]))
    throw new SetupError("the C library does not compile (the compiler's output is above)");
  renameSync(fresh, library);
  writeFileSync(stamp, recipe);
}

/** In a program's node_modules there is no lock file: packages and Bun are that program's affair. */
const isCheckout = existsSync(join(root, "package-lock.json"));

export function setup() {
  if (isCheckout) {
    installPackages();
    checkBun();
  }
  buildLibrary();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setup();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}
