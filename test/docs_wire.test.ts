/**
 * docs/wire-native.md is what the code does: its tables are read back and held against the layout.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Busy, Role } from "../src/protocol/types.ts";
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

test("messages: types, sizes, fields, values, flags", () => {
  const names = Object.keys(NATIVE_MESSAGES) as NativeName[];
  const expected = names.map((name) => {
    const { fields, value, flags } = NATIVE_MESSAGES[name];
    const list = fields.map(([field, words]) => `${field}:${words}`).join(" ");
    const type = NativeType[name];
    return [`${type}`, name, `${FIXED_BYTES[type]}`, list || "—", value ? "yes" : "no", flags ?? "—"];
  });
  expect(table("type", "message")).toEqual(expected);
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

test("role bits and reasons", () => {
  expect(table("role", "bit")).toEqual(Object.entries(Role).map(([name, bit]) => [name, `${bit}`]));
  const reasons = table("reason", "number").map(([name, number]) => [name, Number(number)]);
  expect(reasons).toEqual(Object.entries(Busy));
});

test("limits and the example", () => {
  expect(page).toContain(`the payload less ${VALUE_OVERHEAD_BYTES} bytes`);
  expect(page).toContain(`${1500 - VALUE_OVERHEAD_BYTES} bytes, over UDP ${1452 - VALUE_OVERHEAD_BYTES}`);
  const hex = /frame decode ([0-9a-f]+)/.exec(page)![1]!;
  expect(page).toContain(`encode -\n${hex}`);
  const decoded = decodeNativeText(Uint8Array.from(Buffer.from(hex, "hex")));
  expect(decoded).toMatchObject([
    { message: "frame", from: "proposer 0", to: "acceptor *", life: 7, length: 48 },
    { message: "prepare", iid: 1, ballot: 65536 },
  ]);
});
