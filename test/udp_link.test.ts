import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { CliError } from "../src/error.ts";
import { type Address, formatAddress, parseUdp } from "../src/net/address.ts";
import { DESCRIPTOR_WORDS, PORTS, Port } from "../src/net/link.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { MAX_DATAGRAM, openUdp, type UdpOptions } from "../src/net/udp.ts";
import { put, receive, send } from "./support/link_frames.ts";

const links: SystemLink[] = [];

function open(options: UdpOptions = {}): SystemLink {
  const link = openUdp({ rxSlots: 16, txSlots: 16, ...options });
  links.push(link);
  return link;
}

function freePort(host: string): Address {
  const link = openUdp({ rxSlots: 1, txSlots: 1 });
  const port = link.address[4]!;
  link.close();
  return parseUdp(host, port)!;
}

afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

function at(host: string, link: SystemLink): Uint32Array {
  return parseUdp(host, link.address[4]!)!.words;
}

describe("UDP link", () => {
  const hosts = existsSync("/proc/net/if_inet6") ? ["127.0.0.1", "::1"] : ["127.0.0.1"];
  test.each(hosts)("frames reach %s and answers come back", (host) => {
    const server = open({ address: freePort(host) });
    const client = open();
    expect(send(client, server.address, Port.wire, new Uint8Array([1, 2, 3]))).toEqual([]);
    const [request, ...none] = receive(server);
    expect(none).toEqual([]);
    expect([...request!.payload]).toEqual([1, 2, 3]);
    expect(formatAddress("udp", request!.from)).toBe(formatAddress("udp", at(host, client)));
    expect(request!.ports).toBe(Port.wire);
    send(server, request!.from, Port.wire, new Uint8Array([4]));
    const [answer] = receive(client);
    expect([...answer!.payload]).toEqual([4]);
    expect([...answer!.from]).toEqual([...server.address]);
  });

  test.each(hosts.flatMap((host) => [true, false].map((offload) => [host, offload] as const)))(
    "a turn's datagrams arrive in order: %s, in bundles: %p",
    (host, offload) => {
      const slots = { rxSlots: 64, txSlots: 64, offload };
      const server = open({ address: freePort(host), ...slots });
      const client = open(slots);
      const lengths = Array.from({ length: 60 }, (_, i) => (i % 7 === 6 ? 33 : 1450 - (i % 3)));
      lengths.forEach((length, slot) => {
        put(client, slot, server.address, Port.wire, new Uint8Array(length).fill(slot));
      });
      client.send(lengths.length);
      const heard = receive(server);
      expect(heard.map(({ payload }) => [payload.length, payload[0], payload.at(-1)])).toEqual(
        lengths.map((length, slot) => [length, slot, slot]),
      );
      expect(formatAddress("udp", heard[59]!.from)).toBe(formatAddress("udp", at(host, client)));
    },
  );

  test("what was sent ahead of a step is not sent by it again, and the process itself still finds it", () => {
    const server = open({ address: freePort("127.0.0.1") });
    const client = open();
    for (let slot = 0; slot < 3; slot++) {
      put(client, slot, server.address, Port.wire | Port.self, new Uint8Array([slot]));
    }
    client.send(2);
    const { words } = client.area;
    const ports = [0, 1, 2].map((slot) => words[client.txBase + slot * DESCRIPTOR_WORDS + PORTS]);
    expect(ports).toEqual([Port.self, Port.self, Port.wire | Port.self]);
    expect(receive(server).map(({ payload }) => payload[0])).toEqual([0, 1]);
    send(server, at("127.0.0.1", client), Port.wire, new Uint8Array([7]));
    // The step sends the third, and receives as ever.
    expect(client.step(3, 1_000_000)).toBe(1);
    expect(receive(server).map(({ payload }) => payload[0])).toEqual([2]);
    expect(client.counters().txFrames).toBe(3);
  });

  test.each([false, true])("every size up to the largest datagram, no more; bundles: %p", (offload) => {
    const a = open({ offload });
    const to = at("127.0.0.1", a);
    for (const size of [0, 1, 1472, 1473, MAX_DATAGRAM]) {
      const payload = new Uint8Array(size).fill(size & 255);
      send(a, to, Port.wire, payload);
      receive(a);
      expect(a.counters().rxBytes).toBeGreaterThanOrEqual(size);
    }
    expect(a.counters().rxFrames).toBe(5);
    put(a, 0, to, Port.wire, new Uint8Array(10));
    a.area.words[a.txBase + 1] = MAX_DATAGRAM + 1;
    expect(a.step(1, 0)).toBe(0);
    expect(a.counters().txDropped).toBe(1);
  });

  test("the checksum is appended, and verified", () => {
    const sealed = open({ checksum: { lengthOffset: 10 }, maxPayload: 1500 });
    const plain = open();
    const payload = new Uint8Array(30);
    payload[10] = 30;
    send(sealed, at("127.0.0.1", plain), Port.wire, payload);
    const [frame] = receive(plain);
    expect(frame!.payload.length).toBe(34);
    send(plain, at("127.0.0.1", sealed), Port.wire, frame!.payload);
    frame!.payload[0] = 1;
    send(plain, at("127.0.0.1", sealed), Port.wire, frame!.payload);
    expect(receive(sealed).length).toBe(1);
    expect(sealed.counters().rxBadChecksum).toBe(1);
  });

  test("an address in use, and one of another host, are errors that say so", () => {
    const first = open({ address: freePort("127.0.0.1") });
    const errorOf = (address: Address) => {
      try {
        open({ address });
      } catch (error) {
        if (error instanceof CliError) return error;
        throw error;
      }
      throw new Error("a CliError was expected");
    };
    const used = errorOf(parseUdp("127.0.0.1", first.address[4]!)!);
    expect(used.message).toMatch(/127\.0\.0\.1:\d+ is in use/);
    expect(used.hint).toMatch(/ss -lunp/);
    const foreign = errorOf(parseUdp("192.0.2.7", 4000)!);
    expect(foreign.message).toBe("UDP address 192.0.2.7:4000 is not on this host");
    expect(foreign.exitCode as number).toBe(69);
  });

  test("a sleeping step returns for a wake and for the event loop", async () => {
    const link = open();
    link.wake();
    const from = performance.now();
    expect(link.step(0, 5_000_000)).toBe(0);
    expect(link.watchEventLoop()).toBe(true);
    // A request to this very process: only the event loop can answer it.
    const server = Bun.serve({ port: 0, fetch: () => new Response("here") });
    let text = "";
    const request = fetch(server.url).then(async (response) => {
      text = await response.text();
    });
    while (text === "") {
      link.step(0, 5_000_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await request;
    await server.stop(true);
    expect(performance.now() - from).toBeLessThan(4000);
  });

  test("a closed link can be closed and read again, not used", () => {
    const link = open();
    send(link, at("127.0.0.1", link), Port.wire, new Uint8Array(3));
    link.close();
    link.close();
    expect(link.counters().txFrames).toBe(1);
    expect(link.area.words[0]).toBe(0);
    link.area.bytes[link.area.bytes.length - 1] = 1;
    expect(() => link.step(0, 0)).toThrow(/EBADF/);
  });
});
