/**
 * docs/wire-native.md is what the code does: its tables are read back and held against the layout.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Link } from "../src/net/link.ts";
import { RecordFlag } from "../src/protocol/acceptor/journal.ts";
import { ENTRY_HEADER_BYTES } from "../src/protocol/batch.ts";
import { STANDING_BYTES, StandingVector } from "../src/protocol/standing.ts";
import { AckKind, Busy, RepeatFlag, Role, Standing } from "../src/protocol/types.ts";
import { maxNativeValue } from "../src/wire/native.ts";
import {
  CHECKSUM_BYTES,
  FIXED_BYTES,
  HEADER_BYTES,
  LENGTH_OFFSET,
  NATIVE_MAGIC,
  NATIVE_MESSAGES,
  NATIVE_VERSION,
  type NativeName,
  NativeType,
  VALUE_OVERHEAD_BYTES,
} from "../src/wire/native_layout.ts";
import { decodeNativeText, encodeNativeText } from "../src/wire/native_text.ts";

const page = readFileSync(join(import.meta.dir, "../docs/wire-native.md"), "utf8");

const ALL_ROLES = Object.values(Role).reduce((all, bit) => all | bit, 0);

/** "acceptor", "others" (all but acceptors), "all". */
function speakers(from: number): string {
  if (from === ALL_ROLES) return "all";
  if (from === (ALL_ROLES & ~Role.acceptor)) return "others";
  return Object.entries(Role)
    .filter(([, bit]) => (from & bit) !== 0)
    .map(([name]) => name)
    .join(", ");
}

/** The rows of the table whose header begins with these cells, without the header; backquotes are dropped. */
function table(...header: readonly string[]): string[][] {
  const lines = page.split("\n");
  const first = lines.findIndex((line) => line.startsWith(`| ${header.join(" | ")} |`));
  expect(first, `a table ${header.join(", ")}`).toBeGreaterThan(0);
  const rows: string[][] = [];
  for (let at = first + 2; lines[at]?.startsWith("|"); at++) {
    rows.push(
      lines[at]!.slice(1, -1)
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
  }
  return rows;
}

test("messages: types, sizes, fields, values, flags, who may say them; and somebody hears them", () => {
  const names = Object.keys(NATIVE_MESSAGES) as NativeName[];
  const expected = names.map((name) => {
    const { fields, value, flags, from } = NATIVE_MESSAGES[name];
    const list = fields.map(([field, words]) => `${field}:${words}`).join(" ");
    const type = NativeType[name];
    const size = `${FIXED_BYTES[type]}`;
    return [`${type}`, name, size, list || "—", value ? "yes" : "no", flags ?? "—", speakers(from)];
  });
  const rows = table("type", "message");
  expect(rows.map((row) => row.slice(0, 7))).toEqual(expected);
  for (const row of rows) expect(row[7]).not.toBe("");
});

test("header: fields lie one after the other up to its end, and where the code has them", () => {
  const rows = table("byte", "size", "field");
  let end = 0;
  for (const [byte, size] of rows) {
    expect(Number(byte)).toBe(end);
    end += Number(size);
  }
  expect(end).toBe(HEADER_BYTES);
  const row = (name: string) => rows.find(([, , field]) => field === name)!;
  expect(Number(row("magic")[3])).toBe(NATIVE_MAGIC);
  expect(row("version")[3]).toBe(`${NATIVE_VERSION}`);
  expect(Number(row("length")[0])).toBe(LENGTH_OFFSET);
});

test("a frame with telling numbers has them at the documented bytes", () => {
  const fields = {
    message: "trim",
    iid: 3,
    kind: 0,
    from: "learner 258",
    to: "acceptor 772",
    life: 5,
    cluster: 9,
    group: 6,
  };
  const made = encodeNativeText(fields);
  if ("error" in made) throw new Error(made.error);
  const view = new DataView(made.payload.buffer);
  const read = (name: string): number => {
    const [byte, size] = table("byte", "size", "field")
      .find(([, , field]) => field === name)!
      .map(Number);
    if (size === 1) return view.getUint8(byte!);
    return size === 2 ? view.getUint16(byte!, true) : view.getUint32(byte!, true);
  };
  expect(read("group")).toBe(6);
  expect(read("cluster")).toBe(9);
  expect(read("from role")).toBe(Role.learner);
  expect(read("to roles")).toBe(Role.acceptor);
  expect(read("length")).toBe(made.payload.length - CHECKSUM_BYTES);
  expect(read("from id")).toBe(258);
  expect(read("to id")).toBe(772);
  expect(read("life")).toBe(5);
});

test.each([
  ["role", "bit", Role],
  ["reason", "number", Busy],
  ["record", "bit", RecordFlag],
  ["repeat", "bit", RepeatFlag],
  ["standing", "number", Standing],
  ["kind", "number", AckKind],
] as const)("the %s table", (name, column, words) => {
  const rows = table(name, column).map(([word, number]) => [word, Number(number)]);
  expect(rows).toEqual(Object.entries(words));
});

test("a standing lies as documented", () => {
  const from = page.indexOf("The value of `promise` and `standing`");
  const text = page.slice(from, page.indexOf("### Clients", from));
  expect(text).toContain(`${STANDING_BYTES} bytes each`);
  const rows = [...text.matchAll(/^\| (\d+) \| (\d+) \| (\w+)/gm)].map(([, ...cells]) => cells);
  expect(rows).toEqual([
    ["0", "4", "generation"],
    ["4", "8", "incarnation"],
  ]);
  const vector = new StandingVector(2);
  vector.set(1, 7, 9);
  const view = new DataView(vector.bytes.buffer, STANDING_BYTES);
  expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([7, 9]);
});

test("limits", () => {
  expect(page).toContain(`the payload less ${VALUE_OVERHEAD_BYTES} bytes`);
  const [ethernet, udp] = [1500, 1452].map((maxPayload) => maxNativeValue({ maxPayload } as Link, 3)) as [
    number,
    number,
  ];
  const entry = ENTRY_HEADER_BYTES;
  expect(page).toContain(
    `${ethernet} with an MTU of 1500 and ${udp} over UDP: for one client value ${ethernet - entry} and ${udp - entry}`,
  );
  // As many acceptors as a promise's standing has room for.
  expect(maxNativeValue({ maxPayload: 1500 } as Link, 116)).toBe(ethernet);
  expect(maxNativeValue({ maxPayload: 1500 } as Link, 117)).toBe(0);
});

test("the example", () => {
  const hex = /frame decode ([0-9a-f]+)/.exec(page)![1]!;
  expect(page).toContain(`encode -\n${hex}`);
  const decoded = decodeNativeText(Uint8Array.from(Buffer.from(hex, "hex")));
  expect(decoded).toMatchObject([
    { message: "frame", from: "proposer 0", to: "acceptor *", life: 7, length: 48 },
    { message: "prepare", iid: 1, ballot: 65536 },
  ]);
});
