import { describe, expect, test } from "bun:test";
import type { CliError } from "../src/error.ts";
import { kpaxosHere } from "./support/in_process.ts";
import { ethernetVectors, udpVectors, userFrames, type Vector } from "./support/kernel_paxos_fixture.ts";
import { errorOfAsync } from "./support/refusal.ts";

interface Result {
  readonly code: number;
  readonly lines: readonly string[];
  readonly errors: string;
}

/** `kpaxos frame …` in this process. */
async function frame(...args: string[]): Promise<Result> {
  const { code, out, err } = await kpaxosHere("frame", ...args);
  return { code, lines: out.split("\n").slice(0, -1), errors: err };
}

/** The same as a process of its own, with standard input. */
async function piped(input: string, ...args: string[]): Promise<Result> {
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/../src/main.ts`, "frame", ...args], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, lines: stdout.split("\n").slice(0, -1), errors };
}

async function usage(...args: string[]): Promise<CliError> {
  const error = await errorOfAsync(() => frame(...args));
  expect(error.exitCode).toBe(2);
  return error;
}

const hexOf = (etherType: number): string => `0x${etherType.toString(16)}`;
const formOf = (vector: Vector): string[] =>
  vector.etherType === undefined ? ["--udp"] : ["--ethertype", hexOf(vector.etherType)];

function shown(vector: Vector, cut: boolean): Record<string, unknown> {
  const object: Record<string, unknown> = { message: vector.message, ...vector.fields };
  if (vector.value !== undefined) {
    const kept = cut ? Math.max(0, vector.value.length - 8) : vector.value.length;
    object.value = vector.value.slice(0, kept).padEnd(vector.value.length, "0");
  }
  if (cut) object.missing = 4;
  return object;
}

describe("frame decode", () => {
  test("prints the issue's example", async () => {
    const payload = "00000001000000000000000a000000026869";
    const { code, lines } = await frame("decode", "--ethertype", "0xcafc", "--json", payload);
    expect(code).toBe(0);
    expect(lines).toEqual(['{"message":"accept","iid":1,"promiseIid":0,"ballot":10,"value":"6869"}']);
    const decimal = await frame("decode", "--wire", "kernel-paxos", "--ethertype", "51964", `0x${payload}`);
    expect(decimal.lines).toEqual(['accept iid=1 promiseIid=0 ballot=10 value=6869 "hi"']);
  });

  test("shows every vector, sent and whole", async () => {
    for (const vector of [...ethernetVectors, ...udpVectors]) {
      const sent = await frame("decode", ...formOf(vector), "--json", vector.payload);
      expect(sent.code).toBe(0);
      expect(JSON.parse(sent.lines[0]!)).toEqual(shown(vector, vector.payload !== vector.packed));
      const whole = await frame("decode", ...formOf(vector), "--json", vector.packed);
      expect(JSON.parse(whole.lines[0]!)).toEqual(shown(vector, false));
    }
  });

  test("reads whole Ethernet frames, and names sessions to people", async () => {
    const texts: string[] = [];
    for (const one of userFrames) {
      if (one.frame_hex === undefined) continue;
      const json = await frame("decode", "--frame", "--json", one.frame_hex);
      expect(JSON.parse(json.lines[0]!)).toEqual({
        message: "clientValue",
        value: one.payload_hex.slice(8),
      });
      const text = await frame("decode", "--frame", one.frame_hex);
      texts.push(text.lines[0]!.replace(/^\S+ \S+ */, ""));
    }
    expect(texts).toEqual([
      "(OPEN_CONN of client ids 5 to 14)",
      "(OK, connection 3)",
      "(CLOSE_CONN, connection 3)",
      "",
      "(delivered to client 7)",
      "",
      "(delivered to client 7)",
    ]);
  });

  test("tells people what is odd about a frame", async () => {
    const cut = await frame("decode", "--ethertype", "0xcafc", "00000001000000020000000300");
    expect(cut.lines[0]).toContain("missing=4  (cut by its sender");
    const padded = await frame("decode", "--ethertype", "0xcafc", "00".repeat(46));
    expect(padded.lines[0]).toContain("padded to 46 bytes");
    const hello = await frame("decode", "--ethertype", "0xcb03", "00000007");
    expect(hello.lines[0]).toBe("learnerHi  (says 7 where its EtherType 51971 belongs)");
    expect((await frame("decode", "--ethertype", "0xcb03", "--json", "00000007")).lines).toEqual([
      '{"message":"learnerHi"}',
    ]);
  });

  test("refuses with exit code 1", async () => {
    const refused = async (...args: string[]): Promise<string> => {
      const json = await frame("decode", "--json", ...args);
      expect(json.code).toBe(1);
      const object: unknown = JSON.parse(json.lines[0]!);
      expect(Object.keys(object as object)).toEqual(["error"]);
      const text = await frame("decode", ...args);
      expect(text).toMatchObject({ code: 1, lines: [] });
      expect(text.errors).toStartWith("refused: ");
      return (object as { error: string }).error;
    };
    expect(await refused("--ethertype", "0xcafa", "000000")).toContain("prepare of 3 bytes");
    expect(await refused("--ethertype", "0xcafa", "")).toContain("prepare of 0 bytes");
    expect(await refused("--ethertype", "0xcafa", "0")).toContain("hex");
    expect(await refused("--ethertype", "0xcafa", "zz")).toEndWith('hex digits is needed, not "zz"');
    expect(await refused("--ethertype", "0xcb02", "0000000201")).toContain("shorter");
    expect(await refused("--udp", "0000000c")).toContain("first word");
    expect(await refused("--ethertype", "0x0800", "00")).toBe(
      "EtherType 0x0800 is of neither wire: 0x88b5 is native, 0xcafa to 0xcb05 are Kernel_Paxos",
    );
    expect(await refused("--wire", "native", "--ethertype", "0xcafa", "00")).toContain("not the native");
    expect(await refused("--wire", "kernel-paxos", "--ethertype", "0x88b5", "00")).toContain("0x88b5");
    expect(await refused("--frame", "0011")).toContain("Ethernet header");
  });

  test("a line at a time from standard input; a refused one does not stop the others", async () => {
    const input = "0000000100000002\r\n\nzz\n0000000300000004";
    const json = await piped(input, "decode", "--ethertype", "0xcaff", "--json", "-");
    expect(json.code).toBe(1);
    expect(json.lines).toHaveLength(4);
    expect(json.lines[0]).toBe('{"message":"repeat","from":1,"to":2}');
    expect(json.lines[3]).toBe('{"message":"repeat","from":3,"to":4}');
    for (const line of json.lines.slice(1, 3)) expect(Object.keys(JSON.parse(line))).toEqual(["error"]);
    const text = await piped(input, "decode", "--ethertype", "0xcaff");
    expect(text.lines).toEqual(["repeat from=1 to=2", "repeat from=3 to=4"]);
    expect(text.errors).toContain("refused: line 2: ");
    expect(text.errors).toContain("refused: line 3: ");
  });

  test("says which flags are needed, and which exclude each other", async () => {
    expect((await usage("decode", "--wire", "kernel-paxos", "00")).hint).toContain("--ethertype");
    await usage("decode", "--ethertype", "cafc", "00");
    await usage("decode", "--ethertype", "0x10000", "00");
    await usage("decode", "--udp", "--ethertype", "0xcafc", "00");
    await usage("decode", "--frame", "--ethertype", "0xcafc", "00");
    expect((await usage("decode", "--ethertpye", "0xcafc", "00")).hint).toContain("--ethertype");
  });
});

describe("frame encode", () => {
  const encode = (...args: string[]) => frame("encode", "--wire", "kernel-paxos", ...args);

  test("makes payloads", async () => {
    const accept = ["accept", "--iid", "1", "--ballot", "10"];
    expect((await encode(...accept, "--value", "6869")).lines).toEqual([
      "00000001000000000000000a000000026869",
    ]);
    expect((await encode(...accept, "--text", "hi", "--json")).lines).toEqual([
      '{"etherType":"0xcafc","payload":"00000001000000000000000a000000026869"}',
    ]);
    expect((await encode(...accept, "--text", "hi", "--cut")).lines).toEqual([
      "00000001000000000000000a0000",
    ]);
    expect((await frame("encode", ...accept, "--text", "hi", "--udp", "--json")).lines).toEqual([
      '{"payload":"00000002000000010000000a000000026869"}',
    ]);
    expect((await encode("learnerHi")).lines).toEqual(["0000cb03"]);
    // Accepted at the ballot it was asked with, unless said otherwise.
    expect((await encode("accepted", "--aid", "1", "--iid", "2", "--ballot", "3")).lines).toEqual([
      "000000010000000200000000000000030000000300000000",
    ]);
  });

  test("makes every vector that fits a frame", async () => {
    const flags = (vector: Vector): string[] => {
      const numbers = Object.entries(vector.fields).flatMap(([field, number]) => [
        `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
        String(number),
      ]);
      return [vector.message, ...numbers, ...(vector.value === undefined ? [] : ["--value", vector.value])];
    };
    for (const vector of ethernetVectors) {
      const whole = await encode(...flags(vector));
      expect(whole.lines).toEqual(vector.packed.length > 3000 ? [] : [vector.packed]);
      if (vector.payload !== vector.packed) {
        expect((await encode(...flags(vector), "--cut")).lines).toEqual([vector.payload]);
      }
    }
    for (const vector of udpVectors)
      expect((await encode("--udp", ...flags(vector))).lines).toEqual([vector.payload]);
  });

  test("refuses what does not fit, with the limit", async () => {
    const accept = ["accept", "--iid", "1", "--ballot", "10", "--value"];
    const largest = await encode(...accept, "ab".repeat(1484));
    expect(largest.code).toBe(0);
    expect(largest.errors).toContain("1460");
    const long = await encode(...accept, "ab".repeat(1485));
    expect(long).toMatchObject({ code: 1, lines: [] });
    expect(long.errors).toContain("1500");
    expect(long.errors).toContain("1484");
    const datagram = await encode("--udp", "--json", ...accept, "ab".repeat(65507));
    expect(JSON.parse(datagram.lines[0]!).error).toContain("65507");
    expect((await encode("trim", "--iid", "4294967296")).errors).toContain("4294967295");
  });

  test("refuses fields that the message lacks, and messages that the wire lacks", async () => {
    expect((await encode("prepare", "--iid", "1")).errors).toContain("prepare needs ballot");
    expect((await encode("prepare", "--iid", "1", "--ballot", "2", "--text", "x")).errors).toContain(
      "prepare has no value: it has iid, ballot",
    );
    expect((await encode("trim", "--iid", "1", "--cut")).errors).toContain("only accept and accepted");
    expect((await encode("accept", "--iid", "1", "--ballot", "2", "--value", "abc")).errors).toContain(
      "hex digits",
    );
    expect((await usage("encode", "--wire", "kernel-paxos", "acept")).hint).toContain("accept");
    await usage("encode", "--wire", "kernel-paxos", "accept", "--text", "a", "--value", "61");
    await usage("encode", "--wire", "kernel-paxos", "-", "--iid", "1");
  });

  test("native frames: numbers, flags and values of every kind there and back, and what does not fit is refused", async () => {
    const chunk = {
      message: "snapshotChunk",
      iid: 2 ** 53 - 1,
      position: 2 ** 32,
      kind: 2 ** 32 - 1,
      value: "00ff",
    };
    const lines = [
      { message: "trim", hasApplications: 1, iid: 7, kind: 3 },
      { message: "standingAsk", standing: 2, nonce: 2 ** 32 + 1, generation: 0 },
      chunk,
    ];
    const frames = await piped(lines.map((one) => JSON.stringify(one)).join("\n"), "encode", "-");
    expect(frames).toMatchObject({ code: 0, errors: "" });
    const shown = await piped(frames.lines.join("\n"), "decode", "--ethertype", "0x88b5", "--json", "-");
    const messages = shown.lines.map((line) => JSON.parse(line) as { message: string });
    expect(messages.filter(({ message }) => message !== "frame")).toEqual(lines);
    const refused = [
      { message: "trim", hasApplications: 256, iid: 7, kind: 0 },
      { message: "standingAsk", standing: "fresh", nonce: 1, generation: 0 },
      { ...chunk, kind: 2 ** 32 },
      { ...chunk, iid: 2 ** 53 },
    ];
    const none = await piped(refused.map((one) => JSON.stringify(one)).join("\n"), "encode", "-");
    expect(none).toMatchObject({ code: 1, lines: [] });
    for (const name of ["hasApplications", "standing", "kind", "iid"])
      expect(none.errors).toContain(`${name} must be a whole number`);
  });

  test("native fields that the message lacks, or that are missing, are told with those there are", async () => {
    const lines = [
      { message: "prepare", iid: 1, balot: 2 },
      { message: "learnerHi", value: "00" },
      { message: "repeat", first: 1 },
      { message: "learnerHi", life: "x" },
      { message: "learnerHi", group: 256 },
      { message: "clientValue", value: "0" },
    ];
    const none = await piped(lines.map((one) => JSON.stringify(one)).join("\n"), "encode", "-");
    expect(none).toMatchObject({ code: 1, lines: [] });
    expect(none.errors.trimEnd().split("\n")).toEqual([
      "refused: line 1: prepare has no balot: it has iid, ballot, and those of the header: from, to, life, cluster, group, generations, mark",
      "refused: line 2: learnerHi has no value: it has no fields, and those of the header: from, to, life, cluster, group, generations, mark",
      'refused: line 3: repeat needs last; as JSON on standard input: {"message":"repeat","first":1,"last":1}',
      "refused: line 4: life must be a whole number from 0 to 9007199254740991",
      "refused: line 5: group must be a whole number from 0 to 255",
      "refused: line 6: value: an even number of hex digits is needed",
    ]);
    expect((await frame("encode", "prepare", "--iid", "1", "--ballot", "65536")).code).toBe(0);
  });

  test("a message that the native wire lacks, and JSON that is no word", async () => {
    expect((await usage("encode", "acceptt")).hint).toBe("did you mean accept?");
    expect((await usage("encode", "nonsense")).hint).toStartWith("messages: prepare, promise, ");
    expect((await usage("encode", '{"message":"learnerHi"}')).hint).toEndWith("| kpaxos frame encode");
  });

  test("decode | encode gives back what was sent", async () => {
    const of = (etherType: number) =>
      ethernetVectors
        .filter((one) => one.etherType === etherType)
        .map((one) => `${one.payload}\n`)
        .join("");
    const accepts = of(0xcafc);
    const decoded = await piped(accepts, "decode", "--ethertype", "0xcafc", "--json", "-");
    expect(decoded.code).toBe(0);
    const encoded = await piped(`${decoded.lines.join("\n")}\n`, "encode", "--wire", "kernel-paxos", "-");
    expect(encoded).toMatchObject({ code: 0, errors: "" });
    expect(`${encoded.lines.join("\n")}\n`).toBe(accepts);
    const broken = await piped(
      '[1]\n{"message":"x"}\nnot\n{"message":"learnerHi"}\n',
      "encode",
      "--udp",
      "-",
    );
    expect(broken).toMatchObject({ code: 1, lines: ["00000009"] });
  });
});

test("nothing is no frame, whichever way it comes", async () => {
  for (const empty of ["", " "]) {
    const { code, errors } = await frame("decode", empty);
    expect([code, errors]).toEqual([
      1,
      "refused: an empty payload: give one in hex, or - to read one a line from standard input\n",
    ]);
  }
  for (const command of ["decode", "encode"]) {
    const { code, errors } = await piped("", command);
    expect([code, errors]).toEqual([
      1,
      "refused: standard input was empty: give an argument, or one a line there\n",
    ]);
  }
});
