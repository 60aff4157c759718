/**
 * What a key costs a frame: a UDP link that sends to itself over the kernel's loopback, without a checksum, with
 * CRC-32C and with HMAC-SHA-256, all in one run and in turns, as a Markdown table; and the two alone. Each frame is sealed
 * once and checked once. What a key costs a cluster is `kpaxos bench --settings cluster-key=FILE`.
 *
 *     bun bench/auth.ts [--quick] [--json]
 *
 * `--quick` runs for milliseconds, to see that it runs; its figures mean nothing.
 */
import { median } from "../src/bench/statistics.ts";
import { library } from "../src/native/library.ts";
import {
  ADDRESS,
  ADDRESS_WORDS,
  type ChecksumOptions,
  DESCRIPTOR_WORDS,
  LENGTH,
  OFFSET,
  PORTS,
  Port,
} from "../src/net/link.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { openUdp } from "../src/net/udp.ts";
import { flags, printRow, script, write } from "./support/script.ts";

/** Bytes of a frame, with its checksum. */
const SIZES = [64, 512, 1500];
const LENGTH_OFFSET = 10;
const BATCH = 64;
const WAIT_US = 100_000;
const KEY = new Uint8Array(32).fill(0x5a);
const LOOPBACK = new Uint32Array([0, 0, 0xffff0000, 0x0100007f]);

interface Row {
  readonly bytes: number;
  /** Nanoseconds a frame, sent and received. */
  readonly noneNs: number;
  readonly crcNs: number;
  readonly hmacNs: number;
  /** Of the checksum alone, once. */
  readonly crcAloneNs: number;
  readonly hmacAloneNs: number;
}

function openLink(checksum: ChecksumOptions | undefined): SystemLink {
  return openUdp({
    rxSlots: BATCH,
    txSlots: BATCH,
    maxPayload: 1500,
    receiveBufferBytes: 1 << 20,
    checksum,
  });
}

function fill(link: SystemLink, frameBytes: number): void {
  const { bytes, words } = link.area;
  const length = frameBytes - link.trailerBytes;
  for (let slot = 0; slot < BATCH; slot++) {
    const at = link.txBase + slot * DESCRIPTOR_WORDS;
    const payload = words[at + OFFSET]!;
    bytes.fill(slot, payload, payload + length);
    bytes[payload + LENGTH_OFFSET] = length & 0xff;
    bytes[payload + LENGTH_OFFSET + 1] = length >> 8;
    words[at + LENGTH] = length;
    words[at + PORTS] = Port.wire;
    for (let i = 0; i < ADDRESS_WORDS; i++) words[at + ADDRESS + i] = link.address[i]!;
    words.set(LOOPBACK, at + ADDRESS);
  }
}

/** Nanoseconds of one frame to oneself. */
function measureLink(link: SystemLink, batches: number): number {
  let frames = 0;
  const from = Bun.nanoseconds();
  for (let i = 0; i < batches; i++) frames += link.step(BATCH, WAIT_US);
  const ns = Bun.nanoseconds() - from;
  if (frames < (batches * BATCH) / 2)
    throw new Error(`only ${frames} of ${batches * BATCH} frames came back`);
  return ns / frames;
}

function measureAlone(run: () => void, calls: number): number {
  const from = Bun.nanoseconds();
  for (let i = 0; i < calls; i++) run();
  return (Bun.nanoseconds() - from) / calls;
}

function measure(bytes: number, rounds: number, batches: number): Row {
  const c = library();
  const words = new Uint32Array(16);
  const frame = new Uint8Array(bytes).fill(1);
  const digest = new Uint8Array(32);
  c.kpx_hmac_prepare(KEY, KEY.length, words);
  const links = [
    openLink(undefined),
    openLink({ lengthOffset: LENGTH_OFFSET }),
    openLink({ lengthOffset: LENGTH_OFFSET, keys: [KEY] }),
  ];
  for (const link of links) fill(link, bytes);
  const times: number[][] = [[], [], [], [], []];
  const calls = batches * BATCH;
  for (let round = 0; round < rounds; round++) {
    // In turns, so that what else the machine does meets all of them alike.
    links.forEach((link, i) => {
      times[i]!.push(measureLink(link, batches));
    });
    times[3]!.push(measureAlone(() => c.kpx_crc32c(frame, bytes - 4), calls));
    times[4]!.push(measureAlone(() => c.kpx_hmac_sha256(words, frame, bytes - 16, digest), calls));
  }
  for (const link of links) link.close();
  const [noneNs, crcNs, hmacNs, crcAloneNs, hmacAloneNs] = times.map(median) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { bytes, noneNs, crcNs, hmacNs, crcAloneNs, hmacAloneNs };
}

function print(rows: readonly Row[]): void {
  printRow(["frame", "no checksum", "CRC-32C", "HMAC", "HMAC / CRC", "CRC alone", "HMAC alone"]);
  printRow(Array.from({ length: 7 }, () => "---:"));
  for (const { bytes, noneNs, crcNs, hmacNs, crcAloneNs, hmacAloneNs } of rows) {
    const [none, crc, hmac, ...alone] = [noneNs, crcNs, hmacNs, crcAloneNs, hmacAloneNs].map(
      (ns) => `${Math.round(ns)} ns`,
    );
    printRow([`${bytes} B`, none!, crc!, hmac!, (hmacNs / crcNs).toFixed(2), ...alone]);
  }
}

function main(): void {
  const { quick, json } = flags({
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  });
  const rows = SIZES.map((bytes) => (quick ? measure(bytes, 1, 4) : measure(bytes, 31, 400)));
  if (json) write(`${JSON.stringify(rows)}\n`);
  else print(rows);
}

await script(main);
