/**
 * Reads /proc, where a file goes with its process at any moment: undefined is an answer like any other. Never throws because
 * somebody has ended, or is a stranger's.
 */
import { readFileSync } from "node:fs";
import { codeOf } from "../error.ts";

/** What a call on a process or a file of /proc returns, or undefined when that has meanwhile ceased to exist. */
export function ifThere<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}

export function readProc(path: string): string | undefined {
  return ifThere(() => readFileSync(path, "utf8"));
}

/** Field `number` of a `stat` file, counted as proc(5) does; the second, the name, may contain anything, also parentheses. */
export type StatField = (number: number) => string;

/** `path`: of a process, /proc/PID/stat, or of one of its threads. */
export function readStat(path: string): StatField | undefined {
  const text = readProc(path);
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (number) => fields[number - 3] ?? "";
}
