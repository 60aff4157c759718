/**
 * A disk that loses power, made from what a process did to its files as strace saw it. What was not synced may be there or
 * not, sector by sector, in any order; names that were made, moved or removed come in order, but maybe not all of them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const SECTOR = 512;
export const CALLS =
  "openat,close,pwrite64,write,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat";

/** One system call of a process: what it was called with, and what it returned. */
export interface Call {
  readonly name: string;
  readonly args: readonly string[];
  readonly result: number;
}

/** The calls of the thread that works, from the files that `strace -ff -xx -o PREFIX` has written. */
export function readCalls(prefix: string, worksOn: string): Call[] {
  const name = prefix.slice(dirname(prefix).length + 1);
  const all = readdirSync(dirname(prefix))
    .filter((file) => file.startsWith(`${name}.`))
    .map((file) => readFileSync(join(dirname(prefix), file), "latin1"));
  const hex = Buffer.from(worksOn).toString("hex").replace(/../g, "\\x$&");
  const text = all.find((one) => one.includes(hex));
  if (text === undefined) throw new Error(`no thread has opened ${worksOn}`);
  const calls: Call[] = [];
  for (const line of text.split("\n")) {
    const parts = /^(\w+)\((.*)\)\s+= (-?\d+)/.exec(line);
    if (parts === null) continue;
    calls.push({ name: parts[1]!, args: splitArgs(parts[2]!), result: Number(parts[3]) });
  }
  return calls;
}

function splitArgs(text: string): string[] {
  return [...text.matchAll(/"((?:\\x[0-9a-f]{2})*)"|[^,\s]+/g)].map((match) => match[1] ?? match[0]);
}

/** The bytes of an argument of the form \x01\x02. */
export function bytesOf(arg: string): Buffer {
  return Buffer.from(arg.replaceAll("\\x", ""), "hex");
}

class DiskFile {
  synced: Buffer = Buffer.alloc(0);
  now: Buffer = Buffer.alloc(0);
  /** What each sector that was not synced has been since, oldest first. */
  readonly dirty = new Map<number, Buffer[]>();

  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.now.length) this.resize(offset + bytes.length);
    this.now.set(bytes, offset);
    const last = Math.floor((offset + bytes.length - 1) / SECTOR);
    for (let sector = Math.floor(offset / SECTOR); sector <= last; sector++) {
      const version = Buffer.alloc(SECTOR);
      this.now.copy(version, 0, sector * SECTOR, (sector + 1) * SECTOR);
      const versions = this.dirty.get(sector);
      if (versions === undefined) this.dirty.set(sector, [version]);
      else versions.push(version);
    }
  }

  resize(length: number): void {
    const grown = Buffer.alloc(length);
    this.now.copy(grown);
    this.now = grown;
  }

  sync(): void {
    this.synced = Buffer.from(this.now);
    this.dirty.clear();
  }

  /** What the disk may hold; `torn`: a sector may be half of one version and half of another. */
  image(random: () => number, torn: boolean): Buffer {
    const keep = random();
    const lengths = [this.synced.length, this.now.length];
    const length = lengths[Math.floor(random() * 2)]!;
    const image = Buffer.alloc(Math.max(length, 0));
    this.synced.copy(image);
    for (const [sector, versions] of this.dirty) {
      const at = sector * SECTOR;
      if (at >= length || random() > keep) continue;
      const version = versions[Math.floor(random() * versions.length)]!;
      const bytes = torn && random() < 0.3 ? Math.floor(random() * SECTOR) : SECTOR;
      version.copy(image, at, 0, Math.min(bytes, length - at));
    }
    return image;
  }
}

type Names = Map<string, DiskFile>;

/** Follows the calls of one process on the files below a directory. */
export class Disk {
  /** Lines that the process has said on its standard output. */
  said = 0;
  readonly #root: string;
  readonly #open = new Map<number, DiskFile | "directory">();
  #synced: Names = new Map();
  readonly #now: Names = new Map();
  #pending: ((names: Names) => void)[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** Follows one call; false when it did nothing to the disk. */
  apply(call: Call): boolean {
    if (call.result < 0) return false;
    if (call.name === "openat") return this.#openFile(call);
    if (call.name.startsWith("rename") || call.name.startsWith("unlink")) return this.#name(call);
    const fd = Number(call.args[0]);
    if (call.name === "write" && fd === 1) this.said++;
    if (call.name === "close") return this.#open.delete(fd) && false;
    const file = this.#open.get(fd);
    if (file === undefined) return false;
    return file === "directory" ? this.#syncNames() : this.#change(file, call);
  }

  /** The files that a power cut at this moment may leave. */
  image(random: () => number, torn: boolean): Map<string, Buffer> {
    const names: Names = new Map(this.#synced);
    for (const change of this.#pending.slice(0, Math.floor(random() * (this.#pending.length + 1)))) {
      change(names);
    }
    return new Map([...names].map(([path, file]) => [path, file.image(random, torn)]));
  }

  #openFile({ args, result }: Call): boolean {
    const path = bytesOf(args[1]!).toString();
    if (path === this.#root) this.#open.set(result, "directory");
    if (!path.startsWith(`${this.#root}/`)) return false;
    const known = this.#now.get(path);
    const file = known ?? new DiskFile();
    this.#open.set(result, file);
    if (known !== undefined) return false;
    this.#rename((names) => names.set(path, file));
    return true;
  }

  #name({ name, args }: Call): boolean {
    const paths = args.filter((arg) => arg.startsWith("\\x")).map((arg) => bytesOf(arg).toString());
    const [from, to] = paths;
    const file = this.#now.get(from!);
    if (file === undefined) return false;
    this.#rename((names) => {
      names.delete(from!);
      if (name.startsWith("rename")) names.set(to!, file);
    });
    return true;
  }

  #rename(change: (names: Names) => void): void {
    change(this.#now);
    this.#pending.push(change);
  }

  #syncNames(): boolean {
    this.#synced = new Map(this.#now);
    this.#pending = [];
    return true;
  }

  #change(file: DiskFile, { name, args }: Call): boolean {
    if (name === "fsync" || name === "fdatasync") file.sync();
    else if (name === "ftruncate") file.resize(Number(args[1]));
    else if (name === "pwrite64") file.write(Number(args[3]), bytesOf(args[1]!));
    else throw new Error(`${name} on a database file is not followed`);
    return true;
  }
}
