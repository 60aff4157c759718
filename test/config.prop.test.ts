/**
 * The configuration reader is total, and what it writes it reads back.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatConfig } from "../src/config/format.ts";
import { KEYS, type ParseResult, parseConfig } from "../src/config/parse.ts";
import { formatDiagnostic } from "../src/config/report.ts";
import { RETIRED_KEYS } from "../src/config/retired.ts";
import { FIELDS, SCHEMA, type Spec } from "../src/config/schema.ts";
import { formatValue, parseValue } from "../src/config/values.ts";
import {
  ADDRESS_WORDS,
  type Address,
  formatAddress,
  parseAddress,
  parseMac,
  parseUdp,
} from "../src/net/address.ts";
import { distance, nearest } from "../src/text/nearest.ts";

/** A configuration or an error, never both or neither, and every place lies in the text. */
function expectTotal(text: string, { config, diagnostics }: ParseResult): void {
  const errors = diagnostics.filter((d) => d.severity === "error");
  expect(config === undefined).toBe(errors.length > 0);
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  for (const diagnostic of diagnostics) {
    const line = lines[diagnostic.line - 1];
    expect(line).toBeDefined();
    expect(diagnostic.column).toBeGreaterThanOrEqual(1);
    expect(diagnostic.column).toBeLessThanOrEqual(line!.length + 1);
    expect(formatDiagnostic(diagnostic)).toMatch(/^f:\d+:\d+: (error|warning): [^\n]+(\n {2}hint: [^\n]+)?$/);
  }
}

const tokens = fc.constantFrom(
  ...KEYS,
  ...Object.keys(RETIRED_KEYS),
  ..."acceptor a proposer p replica r learner l 0 1 2 -1 65536 yes no 1s 500ms 64MiB kernel-paxos native # = : lmdb".split(
    " ",
  ),
  ..."127.0.0.1 ::1 fe80::1%2 [::1] 00:1a:2b:3c:4d:5e 01:00:5e:0:0:1 8800 99999 127.0.0.1:8800 localhost __proto__".split(
    " ",
  ),
  ..."constructor toString hasOwnProperty".split(" "),
);
const soup = fc
  .array(fc.oneof({ weight: 8, arbitrary: tokens }, { weight: 1, arbitrary: fc.string() }, fc.constant("\n")))
  .chain((words) => fc.constantFrom(" ", "\t", "  ").map((blank) => words.join(blank)));

describe("any text is a configuration or diagnostics", () => {
  test("any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
        expectTotal(text, parseConfig(text, "f"));
      }),
      { numRuns: 1000 },
    );
  });

  test("any words of the language in any order", () => {
    fc.assert(
      fc.property(soup, (text) => expectTotal(text, parseConfig(text, "f"))),
      { numRuns: 3000 },
    );
  });

  test("any environment and flags", () => {
    const values = fc.oneof(fc.string(), tokens);
    fc.assert(
      fc.property(fc.constantFrom(...KEYS), values, values, (key, inEnv, inFlag) => {
        const variable = `KPAXOS_${key.toUpperCase().replaceAll("-", "_")}`;
        const overrides = { env: { [variable]: inEnv }, flags: { [key]: inFlag } };
        const { config, diagnostics } = parseConfig("r 0 ::1 1", "f", overrides);
        expect(config === undefined).toBe(diagnostics.some((d) => d.severity === "error"));
      }),
      { numRuns: 1000 },
    );
  });
});

function textOf(spec: Spec): fc.Arbitrary<string> {
  switch (spec.kind) {
    case "boolean":
      return fc.constantFrom("yes", "no", "On", "OFF", "true", "FALSE", "1", "0");
    case "choice":
      return fc.constantFrom(...spec.choices);
    case "text":
      return fc.constantFrom(
        ...["eth0", "/var/lib/k", "/a b", "0,2-3", "yes", "no"].filter((text) => spec.pattern.test(text)),
      );
    default:
      return fc.integer({ min: spec.min, max: spec.max }).map((value) => formatValue(spec, value));
  }
}

const macs = fc
  .uniqueArray(fc.uint8Array({ minLength: 5, maxLength: 5 }), {
    minLength: 3,
    maxLength: 9,
    selector: String,
  })
  .map((list) => list.map((bytes) => ["02", ...[...bytes].map((b) => b.toString(16))].join(":")));
const udps = fc
  .tuple(
    fc.oneof(
      fc.ipV4().map((ip) => ip.replace(/^\d+/, "10")),
      fc.ipV6().map((ip) => `fd00:${ip.replace(/^[^:]*:/, "")}`),
    ),
    fc.uniqueArray(fc.integer({ min: 1, max: 65535 }), { minLength: 3, maxLength: 9 }),
  )
  .filter(([host]) => parseUdp(host, 1) !== undefined)
  .map(([host, ports]) => ports.map((port) => `${host} ${port}`));

/** A valid file: the addresses are dealt to replicas, acceptors, proposers and learners, in any order of lines. */
const validFiles = fc
  .record({
    addresses: fc.oneof(macs, udps),
    replicas: fc.nat({ max: 2 }),
    settings: fc
      .subarray([...FIELDS])
      .chain((fields) =>
        fc.tuple(
          ...fields.map((field) => textOf(SCHEMA[field]).map((text) => `${SCHEMA[field].key} ${text}`)),
        ),
      ),
    order: fc.infiniteStream(fc.nat()),
  })
  .map(({ addresses, replicas, settings, order }) => {
    const next = { acceptor: replicas, proposer: replicas, learner: replicas };
    const roles = ["acceptor", "proposer", "learner"] as const;
    const lines = addresses.map((address, i) => {
      if (i < replicas) return `replica ${i} ${address}`;
      const role = roles[(i - replicas) % 3]!;
      return `${role} ${next[role]++} ${address}`;
    });
    const ranked = [...lines, ...settings].map((line) => [order.next().value, line] as const);
    return ranked
      .sort(([a], [b]) => a - b)
      .map(([, line]) => line)
      .join("\n");
  })
  .filter((text) => replicaOrBoth(text) && !contradicts(text));

function replicaOrBoth(text: string): boolean {
  return /^replica/m.test(text) || (/^acceptor/m.test(text) && /^proposer/m.test(text));
}

function contradicts(text: string): boolean {
  const key = /^wire kernel-paxos/m.test(text) && /^cluster-key/m.test(text);
  const storage = /^storage-backend (sqlite|log)/m.test(text) && !/^storage-path/m.test(text);
  const log =
    !/^wire kernel-paxos/m.test(text) &&
    numberIn(text, "deliveryLogBytes") < 4 * numberIn(text, "maxValueBytes");
  const inFlight =
    numberIn(text, "proposerPreexecWindow") * 1536 + 12 * 65_536 > numberIn(text, "acceptorWindowBytes");
  return (
    inFlight ||
    key ||
    storage ||
    log ||
    crowded(text) ||
    numberIn(text, "leaseMs") > numberIn(text, "leaderTimeoutMs")
  );
}

/** Several groups: the other wire has none, and UDP ports are 100 apart. */
function crowded(text: string): boolean {
  const groups = numberIn(text, "groups");
  if (groups === 1) return false;
  const ports = [...text.matchAll(/^(?:replica|acceptor|proposer|learner) \d+ \S+ (\d+)$/gm)].map((line) =>
    Number(line[1]),
  );
  const all = Array.from({ length: groups }, (_, group) => ports.map((port) => port + 100 * group)).flat();
  return /^wire kernel-paxos/m.test(text) || new Set(all).size < all.length || Math.max(0, ...all) > 65535;
}

/** What a number is set to in this file. */
function numberIn(
  text: string,
  field:
    | "groups"
    | "leaseMs"
    | "leaderTimeoutMs"
    | "deliveryLogBytes"
    | "maxValueBytes"
    | "proposerPreexecWindow"
    | "acceptorWindowBytes",
): number {
  const spec = SCHEMA[field];
  const line = new RegExp(`^${spec.key} (.*)$`, "m").exec(text);
  const parsed = line === null ? undefined : parseValue(spec, line[1]!);
  return parsed?.ok === true ? Number(parsed.value) : spec.default;
}

describe("round trips", () => {
  test("format(parse(x)) means what x means, and formatting it again changes nothing", () => {
    fc.assert(
      fc.property(validFiles, (text) => {
        const first = parseConfig(text, "f");
        expect(first.diagnostics.filter((d) => d.severity === "error")).toEqual([]);
        const written = formatConfig(first.config!);
        const second = parseConfig(written, "f").config!;
        expect(second.settings).toEqual(first.config!.settings);
        for (const role of ["acceptors", "proposers", "learners", "replicas"] as const) {
          const bare = (members: typeof second.acceptors) =>
            members.map(({ id, address }) => ({ id, address }));
          expect(bare(second[role])).toEqual(bare(first.config![role]));
        }
        const bare = (config: typeof second) => formatConfig(config).replace(/ +#.*/g, "");
        expect(bare(second)).toBe(bare(first.config!));
      }),
      { numRuns: 500 },
    );
  });

  test("every value that a setting can have is written so that it is read back", () => {
    for (const field of FIELDS) {
      const spec = SCHEMA[field];
      fc.assert(
        fc.property(textOf(spec), (text) => {
          const parsed = parseValue(spec, text);
          if (!parsed.ok) throw new Error(`${spec.key} ${text}: ${parsed.problem.message}`);
          expect(parseValue(spec, formatValue(spec, parsed.value))).toEqual(parsed);
        }),
      );
    }
  });

  test("addresses", () => {
    const check = (address: Address | undefined) => {
      expect(address).toBeDefined();
      const again = parseAddress(formatAddress(address!.kind, address!.words));
      expect(again).toEqual(address!);
      expect([again!.kind, again!.words]).toEqual([address!.kind, address!.words]);
    };
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (b) =>
        check(parseMac([...b].map((x) => x.toString(16)).join(":"))),
      ),
    );
    const port = fc.integer({ min: 1, max: 65535 });
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, (host, p) => check(parseUdp(host, p))));
  });

  test("any words are an address as text", () => {
    fc.assert(
      fc.property(fc.uint32Array({ minLength: 3 * ADDRESS_WORDS, maxLength: 3 * ADDRESS_WORDS }), (words) => {
        const copy = words.slice(ADDRESS_WORDS, 2 * ADDRESS_WORDS);
        for (const kind of ["ethernet", "udp"] as const) {
          expect(formatAddress(kind, words, ADDRESS_WORDS)).toBe(formatAddress(kind, copy));
        }
      }),
    );
  });
});

describe("addresses in words", () => {
  test("a MAC", () => {
    expect([...parseMac("00:1a:2b:3c:4d:5e")!.words]).toEqual([0x3c2b1a00, 0x5e4d, 0, 0, 0, 0]);
  });

  test("IPv4 is mapped into IPv6", () => {
    expect([...parseUdp("127.0.0.1", 8800)!.words]).toEqual([0, 0, 0xffff0000, 0x0100007f, 8800, 0]);
    expect(parseUdp("::ffff:127.0.0.1", 8800)).toEqual(parseUdp("127.0.0.1", 8800)!);
  });

  test("IPv6, with the scope of a link-local address", () => {
    expect([...parseUdp("2001:db8::1", 65535)!.words]).toEqual([0xb80d0120, 0, 0, 0x01000000, 65535, 0]);
    expect([...parseUdp("fe80::1%3", 1)!.words]).toEqual([0x80fe, 0, 0, 0x01000000, 1, 3]);
    for (const bad of ["2001:db8::1%3", "fe80::1%", "fe80::1%0", "fe80::1%eth0"])
      expect(parseUdp(bad, 1)).toBeUndefined();
  });

  test.each([
    ["2001:DB8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:9"],
    ["2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:9"],
    ["0:0:0:0:0:0:0:1", "[::1]:9"],
    ["1::", "[1::]:9"],
    ["fe80::00ab%12", "[fe80::ab%12]:9"],
    ["64:ff9b::10.0.0.1", "[64:ff9b::a00:1]:9"],
  ])("%s is written %s", (host, text) => {
    const address = parseUdp(host, 9)!;
    expect(formatAddress("udp", address.words)).toBe(text);
  });

  test("what is no address", () => {
    for (const host of [
      "",
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "::1.2.3",
      "1.2.3.4::",
      "12345::",
    ])
      expect(parseUdp(host, 1)).toBeUndefined();
    for (const host of ["1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "a.b.c.d", "1.2.3.4 ", "::g"])
      expect(parseUdp(host, 1)).toBeUndefined();
    for (const port of [0, -1, 1.5, 65536, Number.NaN]) expect(parseUdp("127.0.0.1", port)).toBeUndefined();
    for (const mac of ["", "0:1:2:3:4", "0:1:2:3:4:5:6", "0:1:2:3:4:g", "000:1:2:3:4:5", "0:1-2:3:4:5"])
      expect(parseMac(mac)).toBeUndefined();
    for (const text of ["127.0.0.1", "::1:8800", "[::1]", "[127.0.0.1]:1", "127.0.0.1:0", "localhost:1"])
      expect(parseAddress(text)).toBeUndefined();
  });
});

describe("nearest", () => {
  test("counts insertions, deletions, substitutions and swaps as one edit each", () => {
    for (const [a, b, edits] of [
      ["", "abc", 3],
      ["acceptr", "acceptor", 1],
      ["accpetor", "acceptor", 1],
      ["acceptor", "acceptor", 0],
      ["kitten", "sitting", 3],
    ] as const)
      expect(distance(a, b)).toBe(edits);
    expect(nearest("PROPSER", ["acceptor", "proposer"])).toBe("proposer");
    expect(nearest("frobnicate", ["acceptor", "proposer"])).toBeUndefined();
  });

  test("is symmetric, and zero only for equal words", () => {
    const words = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(words, words, (a, b) => {
        expect(distance(a, b)).toBe(distance(b, a));
        expect(distance(a, b) === 0).toBe(a === b);
      }),
    );
  });
});
