/**
 * The file that `cluster-key` names: one or two keys of the cluster, one a line, the first signs and both are accepted.
 * Reads it, and makes the edits of a rotation on its text. A key is never shown, in no error either: only its
 * fingerprint. Whoever else may read the file has the cluster, so such a file is refused.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { CliError, codeOf, ExitCode, exitCodeOf, isDenied } from "../error.ts";
import { KEY_BYTES, MAX_KEYS } from "../net/hmac.ts";

const WORD = "kpaxos-key-1";
const FORM = `a line is "${WORD}", a blank, and 44 characters of base64: \`kpaxos key new\` makes one`;
const OWNER_ONLY = 0o600;
const MAX_FILE_BYTES = 65536;

/** The keys that the configuration names; none when it names no file. */
export function clusterKeys(config: Config): Uint8Array[] {
  const path = keyPath(config);
  return path === undefined ? [] : readKeyFile(path);
}

/** As the other words of a file, a path in it means the same wherever one stands; a flag's is the shell's. */
export function keyPath(config: Config): string | undefined {
  const { clusterKey } = config.settings;
  if (clusterKey === "") return undefined;
  const inFile = config.origins.clusterKey.from === "file";
  return inFile ? resolve(dirname(config.file), clusterKey) : resolve(clusterKey);
}

export function readKeyFile(path: string): Uint8Array[] {
  return parseKeys(readKeyText(path), path);
}

/** The first 8 hex digits of SHA-256: they tell keys apart and give nothing away. */
export function fingerprint(key: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, 8);
}

export function parseKeys(text: string, path: string): Uint8Array[] {
  return keyLines(text, path).map(({ key }) => key);
}

export function newKeyLine(): string {
  const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return `${WORD} ${Buffer.from(key).toString("base64")}\n`;
}

/** A second key: accepted everywhere before it signs anywhere. */
export function withKeyAdded(text: string, path: string): string {
  expectKeys(keyLines(text, path).length, 1, path, `drop the old one first: kpaxos key drop ${path}`);
  return `${text}${text.endsWith("\n") ? "" : "\n"}${newKeyLine()}`;
}

/** The second key becomes the first, and the other way round. */
export function withKeyPromoted(text: string, path: string): string {
  const found = keyLines(text, path);
  expectKeys(found.length, 2, path, `add one first: kpaxos key add ${path}`);
  const [first, second] = found.map(({ index }) => index) as [number, number];
  const lines = text.split("\n");
  [lines[first], lines[second]] = [lines[second]!, lines[first]!];
  return lines.join("\n");
}

/** Without its second key. */
export function withKeyDropped(text: string, path: string): string {
  const found = keyLines(text, path);
  expectKeys(found.length, 2, path, "a cluster without a key has no cluster-key line: remove that instead");
  return text.split("\n").toSpliced(found[1]!.index, 1).join("\n");
}

export function readKeyText(path: string): string {
  let fd: number;
  try {
    // Whatever stands there, opening it does not wait.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw openError(path, error);
  }
  try {
    const { mode, size } = fstatSync(fd);
    const isFile = (mode & constants.S_IFMT) === constants.S_IFREG;
    if (!isFile) throw bad(`key file ${path} is no plain file`, "cluster-key names a file");
    if ((mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0");
      throw bad(
        `key file ${path} is open to other users (mode ${octal})`,
        `chmod 600 ${path}; if others may have read it, make new keys`,
      );
    }
    if (size > MAX_FILE_BYTES) throw bad(`key file ${path} has ${size} bytes`, "is it the right file?");
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Writes a key file for its owner alone. Without `replace` a file that is there stays as it is. */
export function writeKeyFile(path: string, text: string, replace: boolean): void {
  try {
    if (!replace) writeNew(path, text);
    else replaceFile(path, text);
  } catch (error) {
    throw writeError(path, error);
  }
}

function replaceFile(path: string, text: string): void {
  const target = targetOf(path);
  const there = statSync(target, { throwIfNoEntry: false });
  // A device would be gone for everybody.
  if (there?.isFile() === false)
    throw bad(`${path} is no plain file`, "name a file, or one that is not there yet");
  const aside = join(dirname(target), `.${basename(target)}.${process.pid}`);
  rmSync(aside, { force: true });
  try {
    // Root may take the file of a daemon through a rotation: it must stay the daemon's.
    writeNew(aside, text, there);
    renameSync(aside, target);
  } finally {
    rmSync(aside, { force: true });
  }
}

/** Behind a symbolic link, what it leads to is replaced. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return path;
    throw error;
  }
}

function writeNew(path: string, text: string, owner?: { readonly uid: number; readonly gid: number }): void {
  const fd = openSync(path, "wx", OWNER_ONLY);
  try {
    fchmodSync(fd, OWNER_ONLY);
    if (owner !== undefined && owner.uid !== process.getuid?.()) fchownSync(fd, owner.uid, owner.gid);
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } catch (error) {
    // Half a key would only be in the way of the next one.
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

interface KeyLine {
  readonly key: Uint8Array;
  /** From 0. */
  readonly index: number;
}

function keyLines(text: string, path: string): KeyLine[] {
  const found: KeyLine[] = [];
  text.split("\n").forEach((line, index) => {
    const words = line.split("#", 1)[0]!.split(/\s+/).filter(Boolean);
    if (words.length === 0) return;
    const key = words.length === 2 && words[0] === WORD ? decodeKey(words[1]!) : undefined;
    const place = `${path}:${index + 1}`;
    if (key === undefined) throw bad(`${place}: this is no key`, FORM);
    if (found.length === MAX_KEYS) {
      throw bad(
        `${place}: a third key`,
        "two are valid at once: the one that signs, and the next or last one",
      );
    }
    if (found.some((other) => Buffer.from(other.key).equals(key)))
      throw bad(`${place}: the same key again`, "remove the line");
    found.push({ key, index });
  });
  if (found.length === 0) throw bad(`key file ${path} holds no key`, FORM);
  return found;
}

function decodeKey(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  // Buffer skips what is no base64: only what reads back as it was is a key.
  return bytes.length === KEY_BYTES && bytes.toString("base64") === text ? new Uint8Array(bytes) : undefined;
}

function expectKeys(count: number, wanted: number, path: string, hint: string): void {
  if (count === wanted) return;
  const holds = count === 1 ? "one key" : `${count} keys`;
  throw new CliError(`key file ${path} holds ${holds}`, { hint });
}

function bad(message: string, hint: string): CliError {
  return new CliError(message, { exitCode: ExitCode.config, hint });
}

function openError(path: string, error: unknown): CliError {
  const code = codeOf(error);
  if (code === "") throw error;
  if (code === "ENOENT" || code === "ENOTDIR")
    return bad(
      `there is no key file ${path}`,
      `copy it from another host, or make it: kpaxos key new ${path}`,
    );
  if (isDenied(error)) {
    return new CliError(`cannot read key file ${path}: permission denied`, {
      exitCode: ExitCode.noPermission,
      hint: "it must belong to the user that this process runs as",
    });
  }
  return bad(`cannot read key file ${path}: ${code}`, "cluster-key names a file that this user can read");
}

function writeError(path: string, error: unknown): CliError {
  const code = codeOf(error);
  if (code === "") throw error;
  if (code === "EEXIST" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
    return bad(`${path} is a directory`, `name a file in it: ${join(path, "cluster.key")}`);
  if (code === "EEXIST") {
    return new CliError(`${path} is there already`, {
      hint: "--force replaces it, and with it the key; kpaxos key add puts a second key beside it",
    });
  }
  return new CliError(`cannot write ${path}: ${code}`, {
    exitCode: exitCodeOf(error),
    hint: "name a file in a directory of yours, where there is room",
  });
}
