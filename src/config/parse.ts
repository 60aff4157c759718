/**
 * The text of a `paxos.conf`, with environment and flags, → a configuration or what is wrong with it. Pure and
 * total: any text gives diagnostics or a configuration, never an exception. Names every fault, not only the first.
 */
import { nearest } from "../text/nearest.ts";
import { checkCoherence } from "./coherence.ts";
import type { Config, Diagnostic, Origin, Settings } from "./config.ts";
import { ALL_GROUPS, checkGroupPorts } from "./groups.ts";
import { type Line, splitLines } from "./lines.ts";
import { checkMembers } from "./members.ts";
import { checkMulticast, hasMulticast } from "./multicast.ts";
import { type Place, Report } from "./report.ts";
import { RETIRED_KEYS, type RetiredLine, retiredProblem } from "./retired.ts";
import { ROLE_NAMES, type RoleLine, readRoleLine, roleOf } from "./roles.ts";
import { byField, FIELDS, type Field, SCHEMA, settingsFrom, type Value, variableOf } from "./schema.ts";
import { type Problem, parseValue, quote } from "./values.ts";

/** Values by key (`"proposer-timeout"`); `true` and `false` stand for yes and no, undefined for not given. */
export type Flags = Readonly<Record<string, string | number | boolean | undefined>>;
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Overrides {
  readonly flags?: Flags;
  readonly env?: Environment;
}

export interface ParseResult {
  /** Absent when there is an error among the diagnostics. */
  readonly config?: Config;
  readonly diagnostics: readonly Diagnostic[];
}

interface Setting {
  readonly value: Value;
  readonly origin: Origin;
  readonly place: Place;
}

const FIELD_OF_KEY: ReadonlyMap<string, Field> = new Map(FIELDS.map((field) => [SCHEMA[field].key, field]));
export const KEYS: readonly string[] = [...FIELD_OF_KEY.keys()];
const KNOWN_WORDS: readonly string[] = [...ROLE_NAMES, ...KEYS, ...Object.keys(RETIRED_KEYS)];

export function parseConfig(text: string, file: string, overrides: Overrides = {}): ParseResult {
  const report = new Report(file);
  if (text.includes("\0")) {
    const line = splitLines(text.slice(0, text.indexOf("\0"))).lastNumber;
    report.error(report.at(line, 1), "this is not a text file", "save it as UTF-8 (not UTF-16) text");
    return { diagnostics: report.diagnostics() };
  }
  const { lines, lastNumber } = splitLines(text);
  const roleLines: RoleLine[] = [];
  const given = new Map<Field, Setting>();
  const mentioned = new Set<Field>();
  const lost: RetiredLine[] = [];
  for (const line of lines) readLine(line, roleLines, mentioned, given, lost, report);
  readEnvironment(overrides.env ?? {}, mentioned, given, report);
  readFlags(overrides.flags ?? {}, mentioned, given, report);
  readRetired(lost, mentioned, given, report);

  const settings = settingsFrom((field) => given.get(field)?.value ?? SCHEMA[field].default);
  const origins = byField((field): Origin => given.get(field)?.origin ?? { from: "default" });
  completeSnapshotPath(settings, origins);
  const members = checkMembers(roleLines, settings.wire, lastNumber, report);
  const { groups } = settings;
  if (groups > 1) {
    checkGroupPorts([...members.acceptors, ...members.proposers, ...members.learners], groups, report);
  }
  const placeOf = (field: Field) => given.get(field)?.place ?? report.at(lastNumber, 1);
  if (hasMulticast({ settings, link: members.link })) {
    checkMulticast(settings, members, placeOf("udpMulticast"), report);
  }
  const isMisread = (field: Field) => mentioned.has(field) && !given.has(field);
  checkCoherence({ settings, link: members.link, origins, placeOf, isMisread }, report);

  const diagnostics = report.diagnostics();
  if (diagnostics.some((d) => d.severity === "error")) return { diagnostics };
  const group = groups > 1 ? ALL_GROUPS : 0;
  return { config: { file, group, ...members, settings, origins, warnings: diagnostics }, diagnostics };
}

/** A log that survives a power cut is of no use without the snapshots of what was trimmed from it. */
function completeSnapshotPath(settings: Settings, origins: Record<Field, Origin>): void {
  const { wire, storageBackend, storagePath } = settings;
  if (origins.snapshotPath.from !== "default" || storageBackend === "memory") return;
  if (wire !== "native" || storagePath === "") return;
  settings.snapshotPath = storagePath;
  origins.snapshotPath = { from: "default", like: SCHEMA.storagePath.key };
}

function readLine(
  line: Line,
  roleLines: RoleLine[],
  mentioned: Set<Field>,
  given: Map<Field, Setting>,
  lost: RetiredLine[],
  report: Report,
): void {
  const first = line.words[0]!;
  const key = first.text.toLowerCase();
  const place = report.at(line.number, first.column);
  const role = roleOf(key);
  if (role !== undefined) {
    roleLines.push(readRoleLine(role, line, report));
    return;
  }
  const field = FIELD_OF_KEY.get(key);
  const retired = Object.hasOwn(RETIRED_KEYS, key) ? RETIRED_KEYS[key] : undefined;
  if (field === undefined && retired === undefined) {
    report.error(place, `unknown key ${quote(first.text)}`, unknownKeyHint(first.text, line));
    return;
  }
  if (field !== undefined) mentioned.add(field);
  if (line.rest === "") {
    const end = report.at(line.number, first.column + first.text.length);
    report.error(end, `${key} without a value`, `write ${key} and its value, separated by a blank`);
    return;
  }
  const valuePlace = report.at(line.number, line.restColumn);
  if (/^[=:]/.test(line.rest)) {
    const hint = `write ${key} ${line.rest.slice(1).trim() || "and its value"}`;
    report.error(valuePlace, `unexpected ${quote(line.rest[0]!)} after ${key}`, hint);
    return;
  }
  if (retired !== undefined) {
    const problem = retiredProblem(key, retired.kind, line.rest);
    if (problem !== undefined) complain(problem, valuePlace, report);
    else lost.push({ key, text: line.rest, line: line.number, place, valuePlace });
    return;
  }
  const value = readValue(field!, line.rest, valuePlace, report);
  if (value === undefined) return;
  const before = given.get(field!);
  const spec = SCHEMA[field!];
  if (before !== undefined && spec.kind === "text" && spec.isOnce === true) {
    const hint = `keep one of the two (two keys at once: two lines in one key file)`;
    report.error(place, `${key} was given before, on line ${before.place.line}`, hint);
    return;
  }
  if (before !== undefined) {
    report.warning(
      place,
      `${key} was set before, on line ${before.place.line}: this line counts`,
      "remove one of the two",
    );
  }
  given.set(field!, { value, origin: { from: "file", line: line.number }, place: valuePlace });
}

function unknownKeyHint(word: string, line: Line): string {
  const equals = /^([\w-]+)[=:](.*)$/.exec(word);
  if (equals !== null && KNOWN_WORDS.includes(equals[1]!.toLowerCase())) {
    return `write ${equals[1]} ${`${equals[2]} ${line.rest}`.trim()}`.trim();
  }
  const near = nearest(word, KNOWN_WORDS);
  return near === undefined ? "kpaxos config check --help lists all keys" : `did you mean ${near}?`;
}

/** A disk without its own place takes the one that libpaxos was told. */
function readRetired(
  lost: readonly RetiredLine[],
  mentioned: Set<Field>,
  given: Map<Field, Setting>,
  report: Report,
): void {
  for (const { key, text, line, place, valuePlace } of lost) {
    const { instead, isPlace } = RETIRED_KEYS[key]!;
    const backend = given.get("storageBackend")?.value ?? SCHEMA.storageBackend.default;
    if (isPlace !== true || backend === "memory" || mentioned.has("storagePath")) {
      report.warning(place, `${key} has no effect`, instead);
      continue;
    }
    const what = `${key} is read as ${SCHEMA.storagePath.key}`;
    report.warning(
      place,
      `${what}: the directory of the acceptors' files`,
      `write ${SCHEMA.storagePath.key}`,
    );
    mentioned.add("storagePath");
    const value = readValue("storagePath", text, valuePlace, report);
    if (value !== undefined)
      given.set("storagePath", { value, origin: { from: "file", line }, place: valuePlace });
  }
}

function complain(problem: Problem, place: Place, report: Report): void {
  report.error(place, problem.message, problem.hint);
}

function readValue(field: Field, text: string, place: Place, report: Report): Value | undefined {
  const parsed = parseValue(SCHEMA[field], text);
  if (!parsed.ok) {
    complain(parsed.problem, place, report);
    return undefined;
  }
  if (parsed.warning !== undefined) report.warning(place, parsed.warning.message, parsed.warning.hint);
  return parsed.value;
}

function readEnvironment(
  env: Environment,
  mentioned: Set<Field>,
  given: Map<Field, Setting>,
  report: Report,
): void {
  const variables = new Map(FIELDS.map((field) => [variableOf(SCHEMA[field].key), field]));
  for (const [variable, field] of variables) {
    const text = env[variable]?.trim();
    if (text === undefined || text === "") continue;
    mentioned.add(field);
    const place = { file: variable, line: 0, column: 0 };
    const value = readValue(field, text, place, report);
    if (value !== undefined) given.set(field, { value, origin: { from: "environment", variable }, place });
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith("KPAXOS_") || variables.has(name)) continue;
    const near = nearest(
      name.slice("KPAXOS_".length),
      KEYS.map((key) => variableOf(key).slice("KPAXOS_".length)),
    );
    // Other variables of that prefix may exist; a near miss is a slip.
    if (near === undefined) continue;
    report.warning({ file: name, line: 0, column: 0 }, "no such setting", `did you mean KPAXOS_${near}?`);
  }
}

function readFlags(flags: Flags, mentioned: Set<Field>, given: Map<Field, Setting>, report: Report): void {
  for (const field of FIELDS) {
    const spec = SCHEMA[field];
    const raw = flags[spec.key];
    if (raw === undefined) continue;
    mentioned.add(field);
    const flag = `--${spec.key}`;
    const place = { file: flag, line: 0, column: 0 };
    if (raw === "" || (typeof raw === "boolean" && spec.kind !== "boolean")) {
      report.error(place, "needs a value", `write ${flag} and a value`);
      continue;
    }
    const text = typeof raw === "boolean" ? (raw ? "yes" : "no") : String(raw).trim();
    const value = readValue(field, text, place, report);
    if (value !== undefined) given.set(field, { value, origin: { from: "flag", flag }, place });
  }
}
