/**
 * Raw Ethernet links on two hosts (network namespaces joined by a cable), all in this process.
 */
import { beforeAll, expect, test } from "bun:test";
import { NATIVE_ETHERTYPE } from "../src/net/ethertypes.ts";
import { KERNEL_PAXOS_ALL, kernelPaxosFilter, nativeFilter } from "../src/net/filter.ts";
import { bringUp, findInterface } from "../src/net/interfaces.ts";
import { Port } from "../src/net/link.ts";
import { NativeType } from "../src/wire/native_layout.ts";
import {
  type EthernetHost,
  ethernetHosts,
  GROUP,
  MULTICAST,
  native,
  ROLE,
  run,
} from "./support/ethernet_hosts.ts";
import { put, receive, send } from "./support/link_frames.ts";
import { describeNetns } from "./support/netns.ts";
import { inNamespace } from "./support/setns.ts";

const FOREIGN = new Uint32Array([0x01000002, 0x9999, 0, 0, 0, 0]);

describeNetns("raw Ethernet link", () => {
  const hosts = ethernetHosts();
  const { open } = hosts;
  let a: EthernetHost;
  let b: EthernetHost;

  beforeAll(() => {
    ({ a, b } = hosts);
  });

  for (const mode of ["recvmmsg", "ring"] as const) {
    test(`${mode}: a frame reaches the host it is for, with its sender's address`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode });
      expect([...from.address]).toEqual([...a.target.words]);
      expect(to.rings).toBe(mode === "ring" ? 1 : 0);
      for (let length = 46; length <= 1500; length += 200) {
        expect(send(from, b.target.words, Port.wire, native(1, length), NATIVE_ETHERTYPE)).toEqual([]);
        const frames = receive(to);
        expect(frames.length).toBe(1);
        expect(frames[0]!.payload).toEqual(native(1, length));
        expect(frames[0]!.protocol).toBe(NATIVE_ETHERTYPE);
        expect(frames[0]!.ports).toBe(Port.wire);
        expect([...frames[0]!.from]).toEqual([...a.target.words]);
      }
      expect(receive(from)).toEqual([]);
    });

    test(`${mode}: many turns, nothing lost, nothing out of order`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode });
      for (let turn = 0; turn < 200; turn++) {
        for (let slot = 0; slot < 50; slot++) {
          const payload = native(1, 64);
          payload[30] = turn;
          payload[31] = slot;
          put(from, slot, b.target.words, Port.wire, payload, NATIVE_ETHERTYPE);
        }
        from.step(50, 0);
        const frames = receive(to, 0);
        expect(frames.map(({ payload }) => payload[31])).toEqual(Array.from({ length: 50 }, (_, i) => i));
        expect(frames.every(({ payload }) => payload[30] === turn)).toBe(true);
      }
    });

    test(`${mode}: a multicast reaches the other host, and this one through lo, each once`, () => {
      const from = open(a, { mode });
      const neighbour = open({ ...a, life: 7 }, { mode });
      const to = open(b, { mode });
      send(from, MULTICAST, Port.wire | Port.lo, native(1), NATIVE_ETHERTYPE);
      expect(receive(to).map(({ ports }) => ports)).toEqual([Port.wire]);
      expect(receive(neighbour).map(({ ports }) => ports)).toEqual([Port.lo]);
      expect(receive(from)).toEqual([]);
      expect(from.counters().txFrames).toBe(2);
    });

    test(`${mode}: frames that do not fit a slot are dropped and counted`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode, maxPayload: 200 });
      send(from, b.target.words, Port.wire, native(1, 201), NATIVE_ETHERTYPE);
      send(from, b.target.words, Port.wire, native(1, 1500), NATIVE_ETHERTYPE);
      send(from, b.target.words, Port.wire, native(1, 200), NATIVE_ETHERTYPE);
      expect(receive(to).map(({ payload }) => payload.length)).toEqual([200]);
      expect(to.counters().rxTruncated).toBe(2);
    });

    test(`${mode}: a full receive queue is counted`, () => {
      const from = open(a, { mode });
      const to = open(b, { mode, rxSlots: 16, receiveBufferBytes: 16_384 });
      const sent = 64 * 20;
      for (let slot = 0; slot < 64; slot++) {
        put(from, slot, b.target.words, Port.wire, native(1, 1400), NATIVE_ETHERTYPE);
      }
      for (let turn = 0; turn < 20; turn++) from.step(64, 0);
      const frames = receive(to).length;
      const { rxDropped } = to.counters();
      expect(frames).toBeLessThan(sent);
      expect(frames + rxDropped).toBe(sent);
      expect(to.counters().rxDropped).toBe(rxDropped);
    });

    test(`${mode}: a flood of client values leaves all else its receive queue, and is read last`, () => {
      const from = open(a, { mode });
      const all = {
        ...{ ifindex: b.target.index, loIndex: b.target.index, mac: b.target.words, multicastMac: MULTICAST },
        ...{ rolesMask: ROLE, group: GROUP, life: b.life },
      };
      const options = { mode, rxSlots: 16, receiveBufferBytes: 16_384 };
      const to = open(b, {
        ...options,
        filter: nativeFilter({ ...all, share: "protocol" }),
        secondFilter: nativeFilter({ ...all, share: "values" }),
      });
      const one = open(b, options);
      const value = native(1, 1400);
      value[28] = NativeType.clientValue;
      const accepted = native(1, 60);
      accepted[28] = NativeType.accepted;
      for (let slot = 0; slot < 64; slot++)
        put(from, slot, b.target.words, Port.wire, value, NATIVE_ETHERTYPE);
      for (let turn = 0; turn < 20; turn++) from.step(64, 0);
      for (let slot = 0; slot < 4; slot++)
        put(from, slot, b.target.words, Port.wire, accepted, NATIVE_ETHERTYPE);
      from.step(4, 0);
      const first = receive(to, 0).map(({ payload }) => payload[28]!);
      expect(first.slice(0, 4)).toEqual(Array(4).fill(NativeType.accepted));
      const rest = [...first.slice(4), ...receive(to).map(({ payload }) => payload[28]!)];
      expect(new Set(rest)).toEqual(new Set([NativeType.clientValue]));
      const { rxDropped, rxDroppedValues } = to.counters();
      expect(rxDropped).toBe(64 * 20 - rest.length);
      expect(rxDroppedValues).toBe(rxDropped);
      // With one queue for all they came too late.
      expect(new Set(receive(one).map(({ payload }) => payload[28]!))).toEqual(
        new Set([NativeType.clientValue]),
      );
      expect(one.counters().rxDroppedValues).toBe(0);
    });

    test(`${mode}: a link that watches another one wakes for both of its receive queues`, () => {
      const from = open(a, { mode });
      const places = { ifindex: b.target.index, loIndex: b.target.index, mac: b.target.words };
      const all = { ...places, multicastMac: MULTICAST, rolesMask: ROLE, group: GROUP, life: b.life };
      const to = open(b, {
        mode,
        filter: nativeFilter({ ...all, share: "protocol" }),
        secondFilter: nativeFilter({ ...all, share: "values" }),
      });
      const sleeper = open({ ...b, life: 9 }, { mode, filter: nativeFilter({ ...all, group: GROUP + 1 }) });
      sleeper.watchLink(to);
      for (const type of [NativeType.accepted, NativeType.clientValue]) {
        const frame = native(1);
        frame[28] = type;
        send(from, b.target.words, Port.wire, frame, NATIVE_ETHERTYPE);
        const fromMs = performance.now();
        expect(sleeper.step(0, 20_000_000)).toBe(0);
        expect(performance.now() - fromMs).toBeLessThan(10_000);
        expect(receive(to).map(({ payload }) => payload[28]!)).toEqual([type]);
      }
    });

    test(`${mode}: the checksum guards the main EtherType only`, () => {
      const options = {
        mode,
        etherType: null,
        checksum: { lengthOffset: 10 },
        mainEtherType: NATIVE_ETHERTYPE,
      };
      const sealed = open(a, options);
      const plain = open(b, { mode, etherType: null });
      send(sealed, b.target.words, Port.wire, native(1), NATIVE_ETHERTYPE);
      const frame = receive(plain)[0]!.payload;
      expect(frame.length).toBe(64);
      frame[16] = 2;
      send(plain, a.target.words, Port.wire, frame, NATIVE_ETHERTYPE);
      send(plain, a.target.words, Port.wire, new Uint8Array(8), 0xcafa);
      expect(receive(sealed).map(({ protocol }) => protocol)).toEqual([0xcafa]);
      expect(sealed.counters().rxBadChecksum).toBe(1);
      frame[16] = 1;
      const stranger = open({ ...a, life: 9 }, options);
      send(plain, a.target.words, Port.wire, frame, NATIVE_ETHERTYPE);
      expect(receive(stranger).length).toBe(1);
    });
  }

  test("frames for others stay out", () => {
    const from = open(a);
    const to = open(b, { etherType: null });
    send(from, FOREIGN, Port.wire, native(1), NATIVE_ETHERTYPE);
    send(from, b.target.words, Port.wire, native(b.life), NATIVE_ETHERTYPE);
    send(from, b.target.words, Port.wire, native(1), 0x0800);
    expect(receive(to)).toEqual([]);
    expect(to.counters().rxFrames).toBe(0);
    send(from, b.target.words, Port.wire, new Uint8Array(50), 0xcafa);
    expect(receive(to).map(({ protocol }) => protocol)).toEqual([0xcafa]);
  });

  test("a frame that bears a priority is one without a VLAN, and no other VLAN's", () => {
    const from = open(a);
    const to = open(b, { etherType: null });
    const tagged = (tag: number): Uint8Array =>
      Uint8Array.of(tag >> 8, tag & 0xff, NATIVE_ETHERTYPE >> 8, NATIVE_ETHERTYPE & 0xff, ...native(1));
    for (const tag of [0xe000, 0xe005, 0x0000]) send(from, b.target.words, Port.wire, tagged(tag), 0x8100);
    const frames = receive(to);
    expect(frames.map(({ protocol }) => protocol)).toEqual([NATIVE_ETHERTYPE, NATIVE_ETHERTYPE]);
    for (const { payload } of frames) expect(payload).toEqual(native(1));
  });

  test("frames of another interface of the host stay out", () => {
    run(
      "ip",
      "-n",
      b.name,
      "link",
      "add",
      "side",
      "address",
      b.target.mac,
      "type",
      "veth",
      "peer",
      "name",
      "out",
    );
    try {
      const [, out] = inNamespace(b.name, () => {
        bringUp("side");
        bringUp("out");
        return [0, findInterface({ flag: "out" })] as const;
      });
      const to = open(b);
      const from = open({ name: b.name, life: 5, target: out });
      send(from, b.target.words, Port.wire, native(5), NATIVE_ETHERTYPE);
      expect(receive(to)).toEqual([]);
    } finally {
      run("ip", "-n", b.name, "link", "del", "side");
    }
  });

  test("what is neither for wire nor for lo is not sent; what is too long for the cable is counted", () => {
    const from = open(a, { maxPayload: 2000 });
    const to = open(b);
    send(from, b.target.words, Port.self, native(1), NATIVE_ETHERTYPE);
    send(from, b.target.words, Port.wire, native(1, 1501), NATIVE_ETHERTYPE);
    expect(receive(to)).toEqual([]);
    expect(from.counters().txDropped).toBe(1);
    expect(from.counters().txFrames).toBe(0);
  });

  test("a cable that is out costs frames, nothing else", () => {
    const from = open(a);
    run("ip", "-n", a.name, "link", "set", "wire", "down");
    try {
      expect(send(from, b.target.words, Port.wire, native(1), NATIVE_ETHERTYPE)).toEqual([]);
      expect(from.step(0, 1000)).toBe(0);
      expect(from.counters().txDropped).toBe(1);
    } finally {
      run("ip", "-n", a.name, "link", "set", "wire", "up");
    }
    const to = open(b);
    send(from, b.target.words, Port.wire, native(1), NATIVE_ETHERTYPE);
    expect(receive(to).length).toBe(1);
  });

  test("Kernel_Paxos frames: by EtherType, to one's own address, on lo too", () => {
    const options = (host: EthernetHost) => ({
      etherType: null,
      filter: kernelPaxosFilter({
        ifindex: host.target.index,
        loIndex: 1,
        mac: host.target.words,
        etherTypes: 1 << 2,
      }),
    });
    const from = open(a, options(a));
    const neighbour = open(a, options(a));
    const to = open(b, options(b));
    for (let type = 0xcafa; type <= 0xcb05; type++) {
      send(from, b.target.words, Port.wire, new Uint8Array(20), type);
      send(from, a.target.words, Port.lo, new Uint8Array(20), type);
    }
    expect(receive(to).map(({ protocol }) => protocol)).toEqual([0xcafc]);
    expect(receive(neighbour).map(({ protocol, ports }) => [protocol, ports])).toEqual([[0xcafc, Port.lo]]);
    expect(KERNEL_PAXOS_ALL).toBe(0xfff);
  });

  test("on lo itself the two ports are one, and any address will do", () => {
    const lo = inNamespace(a.name, () => findInterface({ flag: "lo", mac: "02:00:00:00:00:01" }));
    const from = open({ name: a.name, life: 1, target: lo });
    const to = open({ name: a.name, life: 2, target: lo });
    send(from, FOREIGN, Port.wire | Port.lo, native(1), NATIVE_ETHERTYPE);
    expect(receive(to).map(({ ports }) => ports)).toEqual([Port.wire]);
    expect(to.maxPayload).toBe(9000);
  });

  test("an interface that is missing or down is an error that says so", () => {
    expect(() => open({ ...a, target: { ...a.target, name: "none" } })).toThrow(
      "there is no network interface none",
    );
    run("ip", "-n", a.name, "link", "set", "wire", "down");
    try {
      expect(() => inNamespace(a.name, () => findInterface({ mac: a.target.mac }))).toThrow(/wire is down/);
    } finally {
      run("ip", "-n", a.name, "link", "set", "wire", "up");
    }
  });
});
