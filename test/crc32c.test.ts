import { expect, test } from "bun:test";
import fc from "fast-check";
import { library } from "../src/native/library.ts";
import { crc32c } from "../src/net/crc32c.ts";

test("known vectors", () => {
  const vectors: [Uint8Array, number][] = [
    [new TextEncoder().encode("123456789"), 0xe3069283],
    [new Uint8Array(0), 0],
    // RFC 3720, appendix B.4
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(255), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ];
  for (const [bytes, expected] of vectors) {
    expect(crc32c(bytes)).toBe(expected);
    expect(library().kpx_crc32c(bytes.length === 0 ? new Uint8Array(1) : bytes, bytes.length)).toBe(expected);
  }
});

test("a part of the bytes", () => {
  const bytes = new TextEncoder().encode("xx123456789yy");
  expect(crc32c(bytes, 2, 9)).toBe(0xe3069283);
  expect(crc32c(bytes.subarray(0, 11), 2)).toBe(0xe3069283);
});

test("TypeScript and C agree", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 2000 }), (bytes) => {
      expect(library().kpx_crc32c(bytes, bytes.length)).toBe(crc32c(bytes));
    }),
  );
});
