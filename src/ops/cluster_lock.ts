/**
 * One command at a time works on a cluster: a lock file beside its directory that names its holder. A lock whose holder
 * has died is taken over, by one contender only: the right to replace a dead holder's file is itself a file that only
 * one can create.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { CliError, codeOf } from "../error.ts";
import { noPlace } from "./cluster_state.ts";
import { identify, isAlive, type ProcessId } from "./process_id.ts";

const WAIT_MS = 20_000;
const POLL_MS = 25;

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

function holderOf(path: string): { readonly text: string; readonly id: ProcessId } | undefined {
  try {
    const text = readFileSync(path, "utf8");
    return { text, id: JSON.parse(text) as ProcessId };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function tryAcquire(path: string, own: string): ProcessId | undefined {
  for (;;) {
    if (tryLink(own, path)) return undefined;
    const holder = holderOf(path);
    if (holder === undefined) continue;
    if (isAlive(holder.id)) return holder.id;
    const claim = `${path}.${holder.id.pid}-${holder.id.start}`;
    if (!tryLink(own, claim)) return holderOf(claim)?.id ?? holder.id;
    // Between reading and claiming another may have taken over and finished: only the dead one's file is replaced.
    const isStill = holderOf(path)?.text === holder.text;
    if (isStill) {
      const moved = `${own}.new`;
      writeFileSync(moved, readFileSync(own));
      renameSync(moved, path);
    }
    rmSync(claim);
    if (isStill) return undefined;
  }
}

/** Runs `body` while nobody else works on the cluster in `directory`. */
export async function withLock<T>(directory: string, body: () => Promise<T>): Promise<T> {
  const path = `${directory}.lock`;
  const own = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
    writeFileSync(own, JSON.stringify(identify(process.pid)));
  } catch (error) {
    throw noPlace(`the state of clusters cannot be kept in ${dirname(directory)}`, error);
  }
  try {
    const deadline = performance.now() + WAIT_MS;
    for (let holder = tryAcquire(path, own); holder !== undefined; holder = tryAcquire(path, own)) {
      if (performance.now() > deadline) {
        throw new CliError(`another kpaxos command works on this cluster (pid ${holder.pid})`, {
          hint: `wait for it, or end it; should no such process exist, remove ${path}*`,
        });
      }
      await Bun.sleep(POLL_MS);
    }
  } finally {
    rmSync(own, { force: true });
  }
  try {
    return await body();
  } finally {
    rmSync(path, { force: true });
  }
}
