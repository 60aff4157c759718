/**
 * Lists as flags: values with commas between them, each checked.
 */
import type { Flags } from "../config/parse.ts";
import { FIELDS, SCHEMA } from "../config/schema.ts";
import { nearest } from "../text/nearest.ts";
import { usageError } from "./args.ts";

/** Settings that are lists here, or flags. */
const OWN_FLAGS: Readonly<Record<string, string>> = {
  wire: "--wires",
  "storage-backend": "--storage",
  "storage-path": "--storage-path",
  batching: "--batching",
  groups: "--groups",
};

/** What `kpaxos run client --outstanding` takes. */
export const MAX_WINDOW = 65_536;

export function words(flag: string, text: string): string[] {
  const all = text.split(",").map((word) => word.trim());
  if (all.includes("")) throw usageError(`${flag} expects a list like A,B,C, got "${text}"`);
  return [...new Set(all)];
}

export function oneOf<T extends string>(flag: string, text: string, options: readonly T[]): T[] {
  return words(flag, text).map((word) => {
    const known = options.find((one) => one === word);
    if (known !== undefined) return known;
    const near = nearest(word, options);
    throw usageError(
      `${flag} expects a list of ${options.join(", ")}, got "${word}"`,
      near === undefined ? undefined : `did you mean ${near}?`,
    );
  });
}

export function numbers(flag: string, text: string, min: number, max: number, isWhole = true): number[] {
  return words(flag, text).map((word) => {
    const number = Number(word);
    const well = (isWhole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(word) && number >= min && number <= max;
    if (well) return number;
    const kind = isWhole ? "whole numbers" : "numbers";
    throw usageError(`${flag} expects a list of ${kind} from ${min} to ${max}, got "${word}"`);
  });
}

/** `key=value,…`; what the values may be is checked with the rest of the configuration. */
export function settingsOf(text: string | undefined): Flags {
  if (text === undefined) return {};
  const keys = FIELDS.map((field) => SCHEMA[field].key);
  return Object.fromEntries(
    words("--settings", text).map((pair) => {
      const equals = pair.indexOf("=");
      const key = pair.slice(0, Math.max(0, equals));
      if (equals <= 0) throw usageError(`--settings expects KEY=VALUE, got "${pair}"`);
      if (!keys.includes(key)) {
        const near = nearest(key, keys);
        throw usageError(
          `--settings: paxos.conf has no setting "${key}"`,
          near === undefined ? undefined : `did you mean ${near}?`,
        );
      }
      if (OWN_FLAGS[key] !== undefined)
        throw usageError(`--settings: ${key} has a flag of its own`, `use ${OWN_FLAGS[key]}`);
      return [key, pair.slice(equals + 1)];
    }),
  );
}
