import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Port } from "../src/net/link.ts";
import { type Faults, type MemoryLink, MemoryNetwork, NO_FAULTS } from "../src/net/memory.ts";
import { FrameQueue } from "../src/net/memory_queue.ts";
import { mac } from "./support/kernel_paxos_fixture.ts";
import { put, type Received, receive, send } from "./support/link_frames.ts";
import { seededRandom } from "./support/random.ts";

const GROUP = new Uint32Array([0x34504b03, 0x7856, 0, 0, 0, 0]);
const payload = (first: number, length = 60): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);
const firsts = (frames: readonly Received[]): number[] => frames.map((frame) => frame.payload[0]!);

function network(faults: Partial<Faults> = {}, seed = 1): MemoryNetwork {
  return new MemoryNetwork(seededRandom(seed), { ...NO_FAULTS, ...faults });
}

function three(net: MemoryNetwork): [MemoryLink, MemoryLink, MemoryLink] {
  const open = (last: number) => net.open({ address: mac(last), rxSlots: 8, txSlots: 8 });
  return [open(1), open(2), open(3)];
}

test("a frame reaches its address, its source is known, and short ones are padded", () => {
  const [a, b, c] = three(network());
  expect(send(a, mac(2), Port.wire | Port.lo, payload(7, 10), 0x88b5)).toEqual([]);
  const [frame] = receive(b);
  expect(frame).toEqual({
    payload: Uint8Array.from({ length: 46 }, (_, i) => (i < 10 ? 7 + i : 0)),
    protocol: 0x88b5,
    ports: Port.wire,
    from: mac(1),
  });
  expect(receive(c)).toEqual([]);
  expect(b.counters()).toMatchObject({ rxFrames: 1, rxBytes: 46 });
  expect(a.counters()).toMatchObject({ txFrames: 1, txBytes: 10, rxFrames: 0 });
});

test("a group address reaches everyone but the sender; a shared address everyone who has it", () => {
  const net = network();
  const [a, b, c] = three(net);
  const twin = net.open({ address: mac(1) });
  send(a, GROUP, Port.wire, payload(1));
  expect([a, b, c, twin].map((link) => receive(link).length)).toEqual([0, 1, 1, 1]);
  send(a, mac(1), Port.lo, payload(1));
  expect([a, b, c, twin].map((link) => receive(link).length)).toEqual([0, 0, 0, 1]);
});

test("what goes only to the process itself is not sent", () => {
  const [a, b] = three(network());
  send(a, mac(2), Port.self, payload(1));
  expect(receive(b)).toEqual([]);
  expect(a.counters().txFrames).toBe(0);
});

test("frames wait for their time, and for slots", () => {
  const net = network({ leastDelayUs: 50, mostDelayUs: 50 });
  const [a, b] = three(net);
  for (let i = 0; i < 8; i++) put(a, i, mac(2), Port.wire, payload(i));
  a.step(8, 0);
  send(a, mac(2), Port.wire, payload(8));
  send(a, mac(2), Port.wire, payload(9));
  expect(b.step(0, 1_000_000)).toBe(0);
  expect(net.nextDueUs()).toBe(50);
  net.deliver(49);
  expect(b.step(0, 0)).toBe(0);
  net.deliver(50);
  expect(b.step(0, 0)).toBe(8);
  expect(firsts(receive(b))).toEqual([8, 9]);
  expect(net.nextDueUs()).toBe(Number.POSITIVE_INFINITY);
});

test("a full queue drops the newest and counts it; a closed link hears nothing", () => {
  const net = network();
  const [a] = three(net);
  const small = net.open({ address: mac(9), queueFrames: 2 });
  for (let i = 0; i < 3; i++) send(a, mac(9), Port.wire, payload(i));
  expect(firsts(receive(small))).toEqual([0, 1]);
  expect(small.counters().rxDropped).toBe(1);
  small.close();
  send(a, mac(9), Port.wire, payload(3));
  expect(net.nextDueUs()).toBe(Number.POSITIVE_INFINITY);
  expect(() => small.step(0, 0)).toThrow();
});

describe("checksum", () => {
  const sealed = { checksum: { lengthOffset: 10 }, mainEtherType: 0x88b5 };
  /** Says its own length at byte 10. */
  const frame = (length: number): Uint8Array => {
    const bytes = payload(1, length);
    bytes[10] = length & 0xff;
    bytes[11] = length >> 8;
    return bytes;
  };

  test("is appended and verified, on the main EtherType only", () => {
    const net = network();
    const a = net.open({ address: mac(1), ...sealed });
    const b = net.open({ address: mac(2), ...sealed });
    const naked = net.open({ address: mac(2) });
    send(a, mac(2), Port.wire, frame(100), 0x88b5);
    expect(receive(b).map((got) => got.payload.length)).toEqual([104]);
    expect(receive(naked)[0]?.payload.subarray(0, 100)).toEqual(frame(100));
    send(a, mac(2), Port.wire, payload(1), 0xcafa);
    expect(receive(b)[0]?.payload).toEqual(payload(1));
  });

  test("a frame that lies about its length is not sent; one that came broken is dropped and counted", () => {
    const net = network({ corruption: 1 });
    const a = net.open({ address: mac(1), ...sealed });
    const b = net.open({ address: mac(2), ...sealed });
    send(a, mac(2), Port.wire, payload(1), 0x88b5);
    expect(a.counters()).toMatchObject({ txFrames: 0, txDropped: 1 });
    for (let i = 0; i < 200; i++) send(a, mac(2), Port.wire, frame(48 + i), 0x88b5);
    expect(receive(b)).toEqual([]);
    expect(b.counters()).toMatchObject({ rxFrames: 0, rxBadChecksum: 200 });
    expect(net.counters.corrupted).toBe(200);
  });

  test("a frame with its checksum fits exactly or is refused", () => {
    const net = network();
    const a = net.open({ address: mac(1), maxPayload: 200, ...sealed });
    const b = net.open({ address: mac(2), maxPayload: 200, ...sealed });
    const tight = net.open({ address: mac(2), maxPayload: 100, ...sealed });
    send(a, mac(2), Port.wire, frame(196), 0x88b5);
    send(a, mac(2), Port.wire, frame(197), 0x88b5);
    expect(receive(b).length).toBe(1);
    expect(a.counters().txDropped).toBe(1);
    expect(receive(tight).length).toBe(0);
    expect(tight.counters().rxTruncated).toBe(1);
  });
});

describe("faults", () => {
  const numbers = (faults: Partial<Faults>, count: number, seed = 7): number[] => {
    const net = network(faults, seed);
    const [a, b] = three(net);
    const got: number[] = [];
    for (let i = 0; i < count; i++) {
      send(a, mac(2), Port.wire, payload(i));
      net.deliver(i);
      got.push(...firsts(receive(b)));
    }
    net.deliver(1e6);
    return [...got, ...firsts(receive(b))];
  };

  test("loss and duplication come about as often as asked", () => {
    expect(numbers({ loss: 0.2 }, 250).length).toBeWithin(170, 230);
    expect(numbers({ duplication: 0.2 }, 250).length).toBeWithin(270, 330);
    expect(numbers({ loss: 1 }, 50)).toEqual([]);
  });

  test("late copies are overtaken, and none is lost", () => {
    const got = numbers({ reordering: 0.3, lateUs: 40 }, 250);
    const sorted = [...got].sort((x, y) => x - y);
    expect(sorted).toEqual(Array.from({ length: 250 }, (_, i) => i));
    expect(got).not.toEqual(sorted);
  });

  test("one seed is one run, another seed another", () => {
    const faults = { loss: 0.2, duplication: 0.2, reordering: 0.2, lateUs: 30, mostDelayUs: 20 };
    expect(numbers(faults, 250, 3)).toEqual(numbers(faults, 250, 3));
    expect(numbers(faults, 250, 3)).not.toEqual(numbers(faults, 250, 4));
  });

  test("cuts: one way, both ways, healed", () => {
    const net = network();
    const [a, b, c] = three(net);
    const reaches = (from: MemoryLink): boolean[] => {
      send(from, GROUP, Port.wire, payload(1));
      return [a, b, c].map((link) => receive(link).length > 0);
    };
    net.cut(a, b);
    expect(reaches(a)).toEqual([false, false, true]);
    expect(reaches(b)).toEqual([true, false, true]);
    net.heal();
    net.isolate([a, b]);
    expect(reaches(a)).toEqual([false, true, false]);
    expect(reaches(c)).toEqual([false, false, false]);
    net.heal();
    expect(reaches(c)).toEqual([true, true, false]);
    expect(net.counters.cut).toBe(4);
  });
});

test("the queue is a queue: earliest first, equal times in order of sending", () => {
  const step = fc.oneof(fc.nat(20), fc.constant("pop" as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new FrameQueue(8, 4);
      const model: { dueUs: number; order: number }[] = [];
      steps.forEach((dueUs, order) => {
        if (dueUs === "pop") {
          if (model.length === 0) return;
          model.sort((x, y) => x.dueUs - y.dueUs || x.order - y.order);
          expect(queue.dueUs()).toBe(model[0]!.dueUs);
          expect(queue.bytes[queue.pop() * 4]).toBe(model.shift()!.order);
        } else {
          const slot = queue.push(dueUs, order, Uint8Array.of(order), 0, 1);
          expect(slot >= 0).toBe(model.length < 8);
          if (slot >= 0) model.push({ dueUs, order });
        }
        expect(queue.count).toBe(model.length);
      });
    }),
  );
});

describe("places", () => {
  test("what is under way to a place reaches the link that is opened there next; what came meanwhile is lost", () => {
    const net = network({ leastDelayUs: 100, mostDelayUs: 100 });
    const a = net.open({ address: mac(1), place: 1 });
    const first = net.open({ address: mac(2), place: 2 });
    send(a, mac(2), Port.wire, payload(1));
    net.deliver(60);
    send(a, mac(2), Port.wire, payload(2));
    first.close();
    net.deliver(120);
    const second = net.open({ address: mac(2), place: 2 });
    net.deliver(1000);
    expect(firsts(receive(second))).toEqual([2]);
  });

  test("a second link at a place is a twin: both hear all that comes, and what is under way waits for the last", () => {
    const net = network({ leastDelayUs: 100, mostDelayUs: 100 });
    const a = net.open({ address: mac(1), place: 1 });
    const twins = [1, 2].map(() => net.open({ address: mac(2), place: 2 }));
    send(a, mac(2), Port.wire, payload(1));
    net.deliver(100);
    expect(twins.map((link) => firsts(receive(link)))).toEqual([[1], [1]]);
    send(a, mac(2), Port.wire, payload(2));
    for (const link of twins) link.close();
    const next = net.open({ address: mac(2), place: 2 });
    net.deliver(200);
    expect(firsts(receive(next))).toEqual([2]);
  });

  test("cuts and worse ways hold for places, whoever is there", () => {
    const net = network();
    const a = net.open({ address: mac(1), place: 1 });
    net.cutPlaces(1, 2);
    const b = net.open({ address: mac(2), place: 2 });
    const c = net.open({ address: mac(3), place: 3 });
    send(a, GROUP, Port.wire, payload(1));
    expect([b, c].map((link) => receive(link).length)).toEqual([0, 1]);
    net.heal();
    net.worsen(1, 3, { ...NO_FAULTS, loss: 1 });
    send(a, GROUP, Port.wire, payload(1));
    expect([b, c].map((link) => receive(link).length)).toEqual([1, 0]);
    net.worsen(1, 3);
    send(a, GROUP, Port.wire, payload(1));
    expect([b, c].map((link) => receive(link).length)).toEqual([1, 1]);
  });

  test("stale frames come, much later", () => {
    const net = network({ stale: 1, staleUs: 5_000_000 });
    const [a, b] = three(net);
    for (let i = 0; i < 20; i++) send(a, mac(2), Port.wire, payload(i));
    net.deliver(100_000);
    expect(receive(b).length).toBeLessThan(5);
    net.deliver(5_000_001);
    expect(net.counters.stale).toBe(20);
  });

  test("the digest follows from what was sent", () => {
    const digest = (byte: number): number => {
      const net = network();
      const [a] = three(net);
      send(a, mac(2), Port.wire, payload(byte));
      return net.digest;
    };
    expect(digest(1)).toBe(digest(1));
    expect(digest(1)).not.toBe(digest(2));
  });
});
