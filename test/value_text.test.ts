/** Delivered values as text: what a terminal can show is shown as it is, all else in hex. */
import { expect, test } from "bun:test";
import { textOf } from "../src/delivery/value_text.ts";

test("text that begins with a mark of byte order is not shown without it", () => {
  expect(textOf(new TextEncoder().encode("\ufeffab"))).toBe("0xefbbbf6162");
  expect(textOf(new TextEncoder().encode("ab"))).toBe("ab");
});
