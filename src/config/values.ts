/**
 * One value ⇄ its text: booleans, numbers, durations, sizes, choices, texts, as the schema describes them. Pure and
 * total: any text is a value or a problem with a hint.
 */
import { nearest } from "../text/nearest.ts";
import type { ChoiceSpec, NumberSpec, Spec, Value } from "./schema.ts";

export interface Problem {
  readonly message: string;
  readonly hint?: string;
}

export type Parsed =
  | { readonly ok: true; readonly value: Value; readonly warning?: Problem }
  | { readonly ok: false; readonly problem: Problem };

const TRUE_WORDS: readonly string[] = ["yes", "true", "1", "on"];
const FALSE_WORDS: readonly string[] = ["no", "false", "0", "off"];

type Unit = readonly [name: string, factor: number];

/** The first is what a bare number means; each unit's first name is how it is written. */
const DURATION_UNITS: readonly Unit[] = [
  ["s", 1000],
  ["ms", 1],
  ["min", 60_000],
  ["h", 3_600_000],
];
// Powers of 1024 whatever the spelling: libpaxos reads kb, mb and gb so.
const SIZE_UNITS: readonly Unit[] = [
  ["", 1],
  ["B", 1],
  ...["K", "M", "G"].flatMap((letter, i): Unit[] => {
    const factor = 1024 ** (i + 1);
    return [
      [`${letter}iB`, factor],
      [`${letter}B`, factor],
      [letter, factor],
    ];
  }),
];

export function parseValue(spec: Spec, text: string): Parsed {
  switch (spec.kind) {
    case "boolean":
      return parseBoolean(spec.key, text);
    case "choice":
      return parseChoice(spec, text);
    case "text":
      if (spec.pattern.test(text)) return { ok: true, value: text };
      return refuse(`bad value ${quote(text)} for ${spec.key}`, `it takes ${spec.form}`);
    default:
      return parseNumber(spec, text);
  }
}

/** As `parseValue` reads it back, with the largest unit that is exact. */
export function formatValue(spec: Spec, value: Value): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (spec.kind === "duration") return withUnit(value, DURATION_UNITS);
  if (spec.kind === "size") return withUnit(value, SIZE_UNITS);
  return String(value);
}

/** The values a number may have, for hints. */
export function rangeOf(spec: NumberSpec): string {
  const [min, max, usual] = [spec.min, spec.max, spec.default].map((value) => formatValue(spec, value));
  return `${min} to ${max} (default ${usual})`;
}

/** Text of the user in a message: short, on one line, without control characters. */
export function quote(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 57)}…` : text;
  return JSON.stringify(short);
}

export function parseBoolean(key: string, text: string): Parsed {
  const word = text.toLowerCase();
  if (TRUE_WORDS.includes(word)) return { ok: true, value: true };
  if (FALSE_WORDS.includes(word)) return { ok: true, value: false };
  return refuse(`bad value ${quote(text)} for ${key}`, "it takes yes or no");
}

function parseChoice(spec: ChoiceSpec, text: string): Parsed {
  const word = text.toLowerCase();
  if (spec.choices.includes(word)) return { ok: true, value: word };
  const other = Object.entries(spec.accepted ?? {}).find(([name]) => name === word)?.[1];
  if (other !== undefined) {
    if (other.warning === undefined) return { ok: true, value: other.as };
    const warning = { message: `${spec.key} ${word}: ${other.warning}` };
    return {
      ok: true,
      value: other.as,
      warning: other.hint === undefined ? warning : { ...warning, hint: other.hint },
    };
  }
  const near = nearest(text, spec.choices);
  const known = `known: ${spec.choices.join(", ")}`;
  return refuse(
    `unknown ${spec.key} ${quote(text)}`,
    near === undefined ? known : `did you mean ${near}? (${known})`,
  );
}

function parseNumber(spec: NumberSpec, text: string): Parsed {
  const value = readNumber(spec.kind, text);
  if (value === undefined) {
    if (text.startsWith("-") && readNumber(spec.kind, text.slice(1)) !== undefined)
      return refuse(`${spec.key} ${text} is negative`, `allowed: ${rangeOf(spec)}`);
    return refuse(
      `bad value ${quote(text)} for ${spec.key}`,
      `it takes ${formOf(spec.kind)}, from ${rangeOf(spec)}`,
    );
  }
  if (value < spec.min || value > spec.max) {
    return refuse(`${spec.key} ${text} is out of range`, `allowed: ${rangeOf(spec)}`);
  }
  return { ok: true, value: spec.isPowerOfTwo === true ? 2 ** Math.ceil(Math.log2(value)) : value };
}

/** The number a text names (milliseconds for durations, bytes for sizes); undefined when it names none. */
export function readNumber(kind: NumberSpec["kind"], text: string): number | undefined {
  if (kind === "integer") return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
  const parts = /^([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]*)$/i.exec(text);
  if (parts === null) return undefined;
  const name = parts[2]!.toLowerCase();
  const units = kind === "duration" ? DURATION_UNITS : SIZE_UNITS;
  const unit = name === "" ? units[0]! : units.find(([known]) => known.toLowerCase() === name);
  if (unit === undefined) return undefined;
  const value = Number(parts[1]) * unit[1];
  // 0.3 × 1000 is not a whole number in binary: forgive what only rounding brought in.
  const whole = Math.round(value);
  return Math.abs(value - whole) < 1e-6 ? whole : undefined;
}

function formOf(kind: NumberSpec["kind"]): string {
  if (kind === "duration") return "a duration such as 1 (seconds), 500ms, 1.5s, 2min";
  if (kind === "size") return "a size such as 65536 (bytes), 64KiB, 4mb, 1GiB";
  return "a whole number";
}

function withUnit(value: number, units: readonly Unit[]): string {
  let best: Unit = ["", 1];
  for (const unit of units) {
    if (value !== 0 && value % unit[1] === 0 && unit[1] > best[1]) best = unit;
  }
  // A bare number is bytes, but seconds: a duration always needs its unit.
  const name = best[0] === "" && units === DURATION_UNITS ? "ms" : best[0];
  return `${value / best[1]}${name}`;
}

function refuse(message: string, hint: string): Parsed {
  return { ok: false, problem: { message, hint } };
}
