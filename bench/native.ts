/**
 * What crosses into C: a step of the link, with a datagram to oneself through the kernel's loopback, and the checksum,
 * next to the same checksum in TypeScript.
 */
import { library } from "../src/native/library.ts";
import { parseUdp } from "../src/net/address.ts";
import { crc32c } from "../src/net/crc32c.ts";
import { ADDRESS, ADDRESS_WORDS, LENGTH, PORTS, Port } from "../src/net/link.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { openUdp } from "../src/net/udp.ts";
import type { Add } from "./support/task.ts";

const DATAGRAM_BYTES = 100;
const WAIT_US = 100_000;
const SIZES = [64, 1460];
const CALLS = 64;
const FIRST_PORT = 20_000;
const PORTS_TRIED = 64;
/** What was computed must count, or the compiler drops the computing. */
const sink = new Uint32Array(1);

/** Adds the tasks; returns what ends them. */
export function nativeBench(add: Add): () => void {
  for (const size of SIZES) {
    const bytes = new Uint8Array(size).fill(0x5a);
    add(`crc32c of ${size} B in C`, CALLS, () => {
      const c = library();
      return () => {
        for (let i = 0; i < CALLS; i++) sink[0]! += c.kpx_crc32c(bytes, size);
      };
    });
    add(`crc32c of ${size} B in TypeScript`, CALLS, () => () => {
      for (let i = 0; i < CALLS; i++) sink[0]! += crc32c(bytes, 0, size);
    });
  }
  const links: SystemLink[] = [];
  add("link: a step without frames", CALLS, () => {
    const link = openLoopback();
    links.push(link);
    return () => {
      for (let i = 0; i < CALLS; i++) sink[0]! += link.step(0, 0);
    };
  });
  add("link: a datagram to oneself over UDP", 1, () => {
    const link = openLoopback();
    links.push(link);
    return () => {
      if (link.step(1, WAIT_US) === 0 && link.step(0, WAIT_US) === 0)
        throw new Error("the datagram did not come");
    };
  });
  return () => {
    for (const link of links) link.close();
  };
}

/** With a datagram to itself in its first transmit slot. */
function openLoopback(): SystemLink {
  const link = openAnyPort();
  const { words } = link.area;
  words[link.txBase + LENGTH] = DATAGRAM_BYTES;
  words[link.txBase + PORTS] = Port.wire;
  for (let i = 0; i < ADDRESS_WORDS; i++) words[link.txBase + ADDRESS + i] = link.address[i]!;
  return link;
}

function openAnyPort(): SystemLink {
  let failure: unknown;
  for (let i = 0; i < PORTS_TRIED; i++) {
    const port = FIRST_PORT + ((process.pid * 7 + i) % FIRST_PORT);
    try {
      return openUdp({ address: parseUdp("127.0.0.1", port), rxSlots: 16, txSlots: 16, maxPayload: 1472 });
    } catch (error) {
      // Taken by somebody else: the next one then.
      failure = error;
    }
  }
  throw failure;
}
