/**
 * Frames that leave a raw Ethernet link ahead of the turn's step (`Link.send`): once each, in order, refused and counted
 * like those of the step.
 */
import { beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { NATIVE_ETHERTYPE } from "../src/net/ethertypes.ts";
import { bringUp, findInterface } from "../src/net/interfaces.ts";
import { DESCRIPTOR_WORDS, PORTS, Port } from "../src/net/link.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { CABLE, type EthernetHost, ethernetHosts, MULTICAST, native, run } from "./support/ethernet_hosts.ts";
import { frames, put, type Received, receive } from "./support/link_frames.ts";
import { describeNetns } from "./support/netns.ts";
import { inNamespace } from "./support/setns.ts";
import { describeUnless } from "./support/skip.ts";

const NUMBER = 30;

function numbered(life: number, number: number, length = 64): Uint8Array {
  const payload = native(life, length);
  new DataView(payload.buffer).setUint32(NUMBER, number);
  return payload;
}

function numbers(received: readonly Received[]): number[] {
  return received.map(({ payload }) => new DataView(payload.buffer).getUint32(NUMBER));
}

function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

/** What of the link's first slots is still to be sent, and where. */
function ports({ area, txBase }: SystemLink, slots: number): number[] {
  return upTo(slots).map((slot) => area.words[txBase + slot * DESCRIPTOR_WORDS + PORTS]!);
}

/** Collects so many frames, which may take the kernel a moment, and whatever comes besides. */
function receiveAll(link: SystemLink, count: number): number[] {
  const all: number[] = [];
  for (let got = 1; got > 0 && all.length < count; ) {
    got = link.step(0, 1_000_000);
    all.push(...numbers(frames(link, got)));
  }
  return [...all, ...numbers(frames(link, link.step(0, 0)))];
}

/** Why the queueing discipline that holds frames back cannot be had. */
function holdTrouble(): string | undefined {
  const limits = ["rate", "1gbit", "burst", "100000", "limit", "100000"];
  const { status, stderr } = spawnSync(
    "unshare",
    ["-n", "tc", "qdisc", "add", "dev", "lo", "root", "tbf", ...limits],
    { encoding: "utf8" },
  );
  return status === 0 ? undefined : `tc cannot hold frames back: ${stderr?.trim() || "no tc or unshare"}`;
}

describeNetns("raw Ethernet link: frames sent ahead", () => {
  const hosts = ethernetHosts();
  const { open } = hosts;
  let a: EthernetHost;
  let b: EthernetHost;

  beforeAll(() => {
    ({ a, b } = hosts);
  });

  for (const mode of ["recvmmsg", "ring"] as const) {
    test(`${mode}: they arrive before those of the step, each once; the process itself still finds them`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode });
      const where = Port.wire | Port.self;
      for (let slot = 0; slot < 5; slot++) {
        put(from, slot, b.target.words, where, numbered(1, slot), NATIVE_ETHERTYPE);
      }
      from.send(3);
      expect(ports(from, 5)).toEqual([Port.self, Port.self, Port.self, where, where]);
      expect(numbers(receive(to))).toEqual([0, 1, 2]);
      put(to, 0, a.target.words, Port.wire, numbered(2, 7), NATIVE_ETHERTYPE);
      to.step(1, 0);
      expect(numbers(frames(from, from.step(5, 1_000_000)))).toEqual([7]);
      expect(numbers(receive(to))).toEqual([3, 4]);
      expect(from.counters()).toMatchObject({ txFrames: 5, txDropped: 0 });
    });

    test(`${mode}: in many turns nothing is lost, twice or out of order, and slots are filled again`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode });
      for (let turn = 0; turn < 300; turn++) {
        const total = 1 + (turn % 50);
        const ahead = (turn * 7) % (total + 1);
        for (let slot = 0; slot < total; slot++) {
          // What left is not touched before the step is over: a sending ahead covers the first slots only.
          if (slot === ahead && ahead > 0) from.send(ahead);
          put(from, slot, b.target.words, Port.wire, numbered(1, 100 * turn + slot), NATIVE_ETHERTYPE);
        }
        if (ahead === total) from.send(ahead);
        from.step(total, 0);
        expect(receiveAll(to, total)).toEqual(upTo(total, 100 * turn));
      }
      expect(receive(to)).toEqual([]);
      expect(from.counters().txDropped).toBe(0);
    });

    test(`${mode}: with a checksum, which is not appended a second time; to other processes of the host, too`, () => {
      const options = { mode, checksum: { lengthOffset: 10 }, mainEtherType: NATIVE_ETHERTYPE };
      const from = open(a, options);
      const neighbour = open({ ...a, life: 7 }, options);
      const to = open(b, options);
      put(from, 0, MULTICAST, Port.wire | Port.lo | Port.self, numbered(1, 1), NATIVE_ETHERTYPE);
      from.send(1);
      put(from, 1, MULTICAST, Port.wire | Port.lo, numbered(1, 2), NATIVE_ETHERTYPE);
      from.step(2, 0);
      for (const [link, port] of [
        [to, Port.wire],
        [neighbour, Port.lo],
      ] as const) {
        const received = receive(link);
        expect(numbers(received)).toEqual([1, 2]);
        expect(received.map((frame) => frame.ports)).toEqual([port, port]);
        expect(link.counters().rxBadChecksum).toBe(0);
      }
      expect(from.counters().txFrames).toBe(4);
    });

    test(`${mode}: what waits to be received is neither lost nor received by sending`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode });
      for (let slot = 0; slot < 40; slot++) {
        put(from, slot, b.target.words, Port.wire, numbered(1, slot), NATIVE_ETHERTYPE);
      }
      from.step(40, 0);
      const received: number[] = [];
      for (let slot = 0; slot < 40; slot++) {
        put(to, 0, a.target.words, Port.wire, numbered(2, slot), NATIVE_ETHERTYPE);
        to.send(1);
        expect(to.counters().rxFrames).toBe(received.length);
        if (slot % 10 === 9) received.push(...numbers(frames(to, to.step(1, 0))));
      }
      expect([...received, ...receiveAll(to, 40 - received.length)]).toEqual(upTo(40));
      expect(numbers(receive(from))).toEqual(upTo(40));
    });

    test(`${mode}: refused frames are counted once, and not kept for the step`, () => {
      const from = open(a, { mode, maxPayload: 2000 });
      const to = open(b, { mode });
      put(from, 0, b.target.words, Port.wire, numbered(1, 0), NATIVE_ETHERTYPE);
      put(from, 1, b.target.words, Port.wire, numbered(1, 1, 1501), NATIVE_ETHERTYPE);
      put(from, 2, b.target.words, Port.wire, numbered(1, 2), NATIVE_ETHERTYPE);
      from.send(3);
      from.step(3, 0);
      expect(from.counters()).toMatchObject({ txFrames: 2, txDropped: 1 });
      run("ip", "-n", a.name, "link", "set", CABLE, "down");
      try {
        for (let slot = 0; slot < 3; slot++) {
          put(from, slot, b.target.words, Port.wire, numbered(1, 10 + slot), NATIVE_ETHERTYPE);
        }
        from.send(2);
        expect(from.counters()).toMatchObject({ txFrames: 2, txDropped: 3 });
        from.step(3, 0);
        expect(from.counters()).toMatchObject({ txFrames: 2, txDropped: 4 });
      } finally {
        run("ip", "-n", a.name, "link", "set", CABLE, "up");
      }
      put(from, 0, b.target.words, Port.wire, numbered(1, 20), NATIVE_ETHERTYPE);
      from.send(1);
      put(from, 1, b.target.words, Port.wire, numbered(1, 21), NATIVE_ETHERTYPE);
      from.step(2, 0);
      expect(numbers(receive(to))).toEqual([0, 2, 20, 21]);
      expect(from.counters()).toMatchObject({ txFrames: 4, txDropped: 4 });
    });
  }

  describeUnless(holdTrouble(), "a full send buffer", () => {
    for (const mode of ["recvmmsg", "ring"] as const) {
      test(`${mode}: refuses frames once, and takes some again when it has room`, () => {
        // A bridge hands frames on with their sender's account of them open, and this queue keeps them.
        const queue = (verb: string, ...limits: string[]) =>
          run("tc", "-n", a.name, "qdisc", verb, "dev", CABLE, "root", "tbf", ...limits, "limit", "1000000");
        run("ip", "-n", a.name, "link", "add", "name", "slow", "type", "bridge");
        try {
          run("ip", "-n", a.name, "link", "set", CABLE, "master", "slow");
          queue("add", "rate", "8kbit", "burst", "1600");
          const target = inNamespace(a.name, () => {
            bringUp("slow");
            return findInterface({ flag: "slow" });
          });
          const from = open({ ...a, target }, { mode, sendBufferBytes: 16_384 });
          const to = open(b, { mode });
          const fill = (first: number) => {
            for (let slot = 0; slot < 64; slot++) {
              const payload = numbered(1, first + slot, 1400);
              put(from, slot, b.target.words, Port.wire, payload, NATIVE_ETHERTYPE);
            }
          };
          fill(0);
          from.send(32);
          const ahead = from.counters();
          expect(ahead.txDropped).toBeGreaterThan(0);
          expect(ahead.txFrames + ahead.txDropped).toBe(32);
          // Those that were refused are not tried again by the step.
          from.step(32, 0);
          expect(from.counters()).toMatchObject({ txFrames: ahead.txFrames, txDropped: ahead.txDropped });
          from.step(64, 0);
          const { txFrames, txDropped } = from.counters();
          expect(txFrames + txDropped).toBe(64);

          queue("change", "rate", "10gbit", "burst", "1000000");
          const received: number[] = [];
          // A queue that was slow looks at its new rate when the next frame comes.
          const giveUpAt = performance.now() + 20_000;
          for (let first = 1000; !received.includes(first - 1000); first += 1000) {
            if (performance.now() > giveUpAt)
              throw new Error(`the queue keeps what it has: ${received.length} came`);
            fill(first);
            from.send(1);
            from.step(1, 0);
            received.push(...numbers(receive(to)));
          }
          expect(received).toEqual([...received].sort((x, y) => x - y));
          expect(new Set(received).size).toBe(received.length);
          expect(received.length).toBe(from.counters().txFrames);
        } finally {
          run("ip", "-n", a.name, "link", "set", CABLE, "nomaster");
          spawnSync("tc", ["-n", a.name, "qdisc", "del", "dev", CABLE, "root"]);
          run("ip", "-n", a.name, "link", "del", "slow");
        }
      });
    }
  });
});
