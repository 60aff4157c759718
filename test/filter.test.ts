import { describe, expect, test } from "bun:test";
import { parseMac } from "../src/net/address.ts";
import { NATIVE_ETHERTYPE } from "../src/net/ethertypes.ts";
import {
  FIRST_TYPE_AT,
  KERNEL_PAXOS_ALL,
  KERNEL_PAXOS_CLIENT_VALUE,
  kernelPaxosFilter,
  NATIVE_CLIENT_VALUE,
  nativeFilter,
  type Program,
  packProgram,
  type Share,
} from "../src/net/filter.ts";
import { MessageType } from "../src/wire/kernel_paxos_message.ts";
import { HEADER_BYTES, NativeType } from "../src/wire/native_layout.ts";
import { type Arrival, runFilter } from "./support/bpf.ts";

const IF = 7;
const LO = 1;
const OWN = "02:aa:bb:cc:dd:ee";
const GROUP = "03:4b:50:12:34:56";
const LIFE = 0x1a2b3c4d5e6f7;
const ROLES = 1 | 4;

function words(mac: string): Uint32Array {
  return parseMac(mac)!.words;
}

interface FrameOptions {
  to?: string;
  type?: number;
  roles?: number;
  group?: number;
  life?: number;
  payload?: number;
  /** Of the first message. */
  first?: number;
}

function frame(options: FrameOptions = {}): Uint8Array {
  const { to = OWN, type = NATIVE_ETHERTYPE, roles = 1, group = 9, life = LIFE + 1, payload = 46 } = options;
  const bytes = new Uint8Array(14 + payload);
  bytes.set(to.split(":").map((byte) => Number.parseInt(byte, 16)));
  const view = new DataView(bytes.buffer);
  view.setUint16(12, type);
  if (payload < 24) return bytes;
  bytes[14 + 3] = group;
  bytes[14 + 9] = roles;
  view.setUint32(14 + 16, life >>> 0, true);
  view.setUint32(14 + 20, Math.floor(life / 2 ** 32), true);
  if (payload > HEADER_BYTES) bytes[14 + HEADER_BYTES] = options.first ?? NativeType.accepted;
  return bytes;
}

function passes(program: Program, bytes: Uint8Array, at: Omit<Arrival, "bytes"> = { ifindex: IF }): boolean {
  return runFilter(program, { ...at, bytes }) >= bytes.length;
}

const base = { ifindex: IF, loIndex: LO, mac: words(OWN) };
const nativeShare = (share?: Share, bundles?: boolean): Program =>
  nativeFilter({
    ...base,
    multicastMac: words(GROUP),
    rolesMask: ROLES,
    group: 9,
    life: LIFE,
    ...(share === undefined ? {} : { share }),
    ...(bundles === undefined ? {} : { bundles }),
  });
const native = nativeShare();

describe("native filter", () => {
  const cases: [string, boolean, FrameOptions][] = [
    ["own address", true, {}],
    ["the multicast address", true, { to: GROUP }],
    ["another host", false, { to: "02:aa:bb:cc:dd:ef" }],
    ["another host, same last bytes", false, { to: "02:aa:bb:cd:dd:ee" }],
    ["another group address", false, { to: "03:4b:50:12:34:57" }],
    ["broadcast", false, { to: "ff:ff:ff:ff:ff:ff" }],
    ["a role that is not here", false, { roles: 2 }],
    ["several roles, one of them here", true, { roles: 2 | 4 }],
    ["no role", false, { roles: 0 }],
    ["another group", false, { group: 8 }],
    ["own life", false, { life: LIFE }],
    ["own life by multicast", false, { life: LIFE, to: GROUP }],
    ["own life in its low word only", true, { life: LIFE % 2 ** 32 }],
    ["own life in its high word only", true, { life: LIFE - 1 }],
    ["life 0", true, { life: 0 }],
    ["IPv4", false, { type: 0x0800 }],
    ["below the EtherTypes of Kernel_Paxos", false, { type: 0xcaf9 }],
    ["first EtherType of Kernel_Paxos", true, { type: 0xcafa }],
    ["last EtherType of Kernel_Paxos", true, { type: 0xcb05 }],
    ["above the EtherTypes of Kernel_Paxos", false, { type: 0xcb06 }],
    ["Kernel_Paxos to another host", false, { type: 0xcafc, to: GROUP }],
    ["Kernel_Paxos, very short", true, { type: 0xcb00, payload: 4 }],
    ["too short for a header", false, { payload: 20 }],
    ["no payload", false, { payload: 0 }],
  ];
  test.each(cases)("%s: %p", (_, expected, options) => {
    expect(passes(native, frame(options))).toBe(expected);
    // What one queue takes is taken by exactly one of two; the other wire's frames lie with the client values.
    for (const first of [NativeType.accepted, NativeType.clientValue]) {
      const isOther = (options.type ?? NATIVE_ETHERTYPE) !== NATIVE_ETHERTYPE;
      const isValue = isOther || first === NativeType.clientValue;
      const bytes = frame({ ...options, first });
      expect(passes(nativeShare("protocol"), bytes)).toBe(expected && !isValue);
      expect(passes(nativeShare("values"), bytes)).toBe(expected && isValue);
    }
  });

  test("a client value is told by the type of the first message", () => {
    expect([FIRST_TYPE_AT, NATIVE_CLIENT_VALUE]).toEqual([HEADER_BYTES, NativeType.clientValue]);
    for (let first = 0; first < 256; first++) {
      const isValue = first === NativeType.clientValue;
      expect(passes(nativeShare("values"), frame({ first }))).toBe(isValue);
      expect(passes(nativeShare("protocol"), frame({ first }))).toBe(!isValue);
      expect(passes(nativeShare("all"), frame({ first }))).toBe(true);
    }
  });

  describe("with bundles", () => {
    const taking = (share: Share): Program => nativeShare(share, true);
    /** As `ffi/ethernet_bundles.c` makes them. */
    const bundled = (options: FrameOptions = {}): Uint8Array => {
      const inner = frame(options);
      const bytes = new Uint8Array(inner.length + 28);
      bytes.set(inner.subarray(0, 14));
      bytes.set([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 224, 0, 0, 254], 12);
      bytes.set([NATIVE_ETHERTYPE >> 8, NATIVE_ETHERTYPE & 0xff], 34);
      bytes.set([NATIVE_ETHERTYPE >> 8, NATIVE_ETHERTYPE & 0xff], 36);
      bytes.set(inner.subarray(14), 42);
      return bytes;
    };

    test.each(cases)("%s: single frames as without", (_, expected, options) => {
      expect(passes(taking("all"), frame(options))).toBe(expected);
    });

    test.each(cases.filter(([, , options]) => options.type === undefined))(
      "%s: a bundle as its first frame: %p",
      (_, expected, options) => {
        for (const first of [NativeType.accepted, NativeType.clientValue]) {
          const bytes = bundled({ ...options, first });
          const isValue = first === NativeType.clientValue;
          expect(passes(taking("all"), bytes)).toBe(expected);
          expect(passes(taking("protocol"), bytes)).toBe(expected && !isValue);
          expect(passes(taking("values"), bytes)).toBe(expected && isValue);
          expect(passes(native, bytes)).toBe(false);
        }
      },
    );

    test.each([
      ["IP options", 14, 0x46],
      ["another protocol than UDP", 23, 6],
      ["another address", 33, 1],
      ["another port", 37, 0xb6],
      ["IPv6", 13, 0xdd],
    ])("%s: no bundle", (_, at, byte) => {
      expect(passes(taking("all"), bundled())).toBe(true);
      const bytes = bundled();
      bytes[at] = byte;
      expect(passes(taking("all"), bytes)).toBe(false);
    });

    test("cut short anywhere is dropped, and harms nobody", () => {
      const bytes = bundled();
      for (let length = 0; length < 42 + 20; length++)
        expect(runFilter(taking("all"), { ifindex: IF, bytes: bytes.subarray(0, length) })).toBe(0);
    });
  });

  test("frames through lo count like those of the interface, other interfaces and VLANs do not", () => {
    expect(passes(native, frame(), { ifindex: LO })).toBe(true);
    expect(passes(native, frame({ to: "02:00:00:00:00:01" }), { ifindex: LO })).toBe(false);
    expect(passes(native, frame(), { ifindex: 2 })).toBe(false);
    expect(passes(native, frame(), { ifindex: IF, vlan: 5 })).toBe(false);
  });

  test("a tag with a priority and no VLAN does not matter", () => {
    for (const priority of [0, 0xe000, 0x1000]) {
      expect(passes(native, frame(), { ifindex: IF, vlan: priority })).toBe(true);
      expect(passes(native, frame(), { ifindex: IF, vlan: priority | 0xfff })).toBe(false);
      expect(passes(native, frame(), { ifindex: 2, vlan: priority })).toBe(false);
    }
  });

  test("on lo the address does not matter, all else does", () => {
    const program = nativeFilter({
      ifindex: LO,
      loIndex: LO,
      mac: words("00:00:00:00:00:00"),
      multicastMac: words(GROUP),
      rolesMask: ROLES,
      group: 9,
      life: LIFE,
    });
    expect(passes(program, frame({ to: "02:01:01:01:01:01" }), { ifindex: LO })).toBe(true);
    expect(passes(program, frame({ type: 0xcafa, to: "02:01:01:01:01:01" }), { ifindex: LO })).toBe(true);
    expect(passes(program, frame({ roles: 2 }), { ifindex: LO })).toBe(false);
    expect(passes(program, frame({ life: LIFE }), { ifindex: LO })).toBe(false);
    expect(passes(program, frame(), { ifindex: IF })).toBe(false);
  });

  test("without a multicast address only one's own counts", () => {
    const program = nativeFilter({ ...base, multicastMac: undefined, rolesMask: 1, group: 9, life: LIFE });
    expect(passes(program, frame())).toBe(true);
    expect(passes(program, frame({ to: GROUP }))).toBe(false);
  });

  test("the EtherType can be another", () => {
    const program = nativeFilter({
      ...base,
      multicastMac: undefined,
      rolesMask: 1,
      group: 9,
      life: LIFE,
      etherType: 0x88b6,
    });
    expect(passes(program, frame({ type: 0x88b6 }))).toBe(true);
    expect(passes(program, frame())).toBe(false);
  });
});

describe("Kernel_Paxos filter", () => {
  test.each([KERNEL_PAXOS_ALL, 1, 1 << 11, 0b0000_1010_0101, 0])(
    "mask %p admits exactly its EtherTypes",
    (mask) => {
      const program = kernelPaxosFilter({ ...base, etherTypes: mask });
      for (let type = 0xcaf0; type < 0xcb10; type++) {
        const bit = type - 0xcafa;
        const expected = bit >= 0 && bit < 12 && ((mask >> bit) & 1) === 1;
        expect(passes(program, frame({ type }))).toBe(expected);
      }
      expect(passes(program, frame({ type: 0 }))).toBe(false);
      expect(passes(program, frame({ type: 0xffff }))).toBe(false);
    },
  );

  test("client values are told by their EtherType; native frames lie with them", () => {
    expect(KERNEL_PAXOS_CLIENT_VALUE).toBe(1 << MessageType.clientValue);
    for (const etherTypes of [KERNEL_PAXOS_ALL, KERNEL_PAXOS_ALL & ~KERNEL_PAXOS_CLIENT_VALUE, 1, 0]) {
      const program = (share: Share): Program => kernelPaxosFilter({ ...base, etherTypes, share });
      for (const type of [NATIVE_ETHERTYPE, 0x0800, ...Array.from({ length: 16 }, (_, i) => 0xcaf8 + i)]) {
        const isTaken = passes(program("all"), frame({ type }));
        const isValue = type === NATIVE_ETHERTYPE || type === 0xcafa + MessageType.clientValue;
        expect(passes(program("values"), frame({ type }))).toBe(isTaken && isValue);
        expect(passes(program("protocol"), frame({ type }))).toBe(isTaken && !isValue);
      }
    }
  });

  test("only one's own address counts, on lo too; native frames to it are told of", () => {
    const program = kernelPaxosFilter({ ...base, etherTypes: KERNEL_PAXOS_ALL });
    for (const type of [0xcafa, NATIVE_ETHERTYPE]) {
      expect(passes(program, frame({ type }), { ifindex: LO })).toBe(true);
      expect(passes(program, frame({ type }), { ifindex: IF })).toBe(true);
      expect(passes(program, frame({ type }), { ifindex: 3 })).toBe(false);
      expect(passes(program, frame({ type, to: GROUP }))).toBe(false);
      expect(passes(program, frame({ type, to: "02:aa:bb:cc:dd:ef" }), { ifindex: LO })).toBe(false);
      expect(passes(program, frame({ type }), { ifindex: IF, vlan: 1 })).toBe(false);
    }
    expect(passes(program, frame({ type: 0xcb00, payload: 4 }))).toBe(true);
  });

  test("on lo itself any address counts", () => {
    const program = kernelPaxosFilter({
      ifindex: LO,
      loIndex: LO,
      mac: words("00:00:00:00:00:00"),
      etherTypes: 1,
    });
    expect(passes(program, frame({ type: 0xcafa }), { ifindex: LO })).toBe(true);
    expect(passes(program, frame({ type: 0xcafb }), { ifindex: LO })).toBe(false);
    expect(passes(program, frame({ type: 0xcafa }), { ifindex: IF })).toBe(false);
  });
});

test("a packed instruction is code, both jumps, then the number", () => {
  const words = packProgram([{ code: 0x15, jt: 2, jf: 200, k: 0x88b5 }]);
  expect([...new Uint8Array(words.buffer)]).toEqual([0x15, 0, 2, 200, 0xb5, 0x88, 0, 0]);
});
