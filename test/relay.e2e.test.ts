/**
 * The faulty hub itself: each fault happens about as often as asked, and only that fault.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { datagram } from "./support/datagram.ts";
import { BROADCAST, listen, send } from "./support/frames.ts";
import { describeNetns } from "./support/netns.ts";
import { createRelayLab, type RelayLab } from "./support/relay.ts";
import { until } from "./support/until.ts";

const COUNT = 2000;
const inOrder = Array.from({ length: COUNT }, (_, index) => index);

/** Numbers that a larger one came before. */
function overtaken(numbers: readonly number[]): number {
  let largest = -1;
  let late = 0;
  for (const number of numbers) {
    if (number < largest) late++;
    else largest = number;
  }
  return late;
}

describeNetns("relay", () => {
  let made: RelayLab;

  beforeEach(async () => {
    made = await createRelayLab({ hosts: 3, seed: 42 });
  });
  afterEach(() => made.close());

  /** Sends COUNT broadcasts from host 0 and returns what host 1 got, once nothing more can come. */
  async function run(expected: number): Promise<number[]> {
    const { lab, relay } = made;
    const arrivals = await listen(lab, 1, COUNT * 2, 30);
    send(lab, 0, BROADCAST, COUNT);
    await until("the relay has read and passed everything on", async () => {
      const stats = await relay.stats();
      return stats.ports[0]!.rx >= COUNT && stats.held === 0;
    });
    const passedOn = (await relay.stats()).ports[1]!.tx;
    expect(passedOn).toBeGreaterThan(expected * 0.9 - 1);
    expect(passedOn).toBeLessThan(expected * 1.1 + 1);
    await until("the receiver has everything", () => arrivals.numbers.length >= passedOn);
    expect(arrivals.numbers.length).toBe(passedOn);
    return arrivals.numbers;
  }

  test("without faults every frame arrives once and in order, and senders hear nothing back", async () => {
    const own = await listen(made.lab, 0, 1, 1);
    expect(await run(COUNT)).toEqual(inOrder);
    expect(await own.finished).toEqual([]);
    const stats = await made.relay.stats();
    expect(stats.rx).toBe(COUNT);
    expect(stats.tx).toBe(2 * COUNT);
    expect(stats.kernelDropped + stats.txFailed + stats.overflowed).toBe(0);
  });

  test("loses about as many as asked, each receiver its own, the rest in order", async () => {
    await made.relay.set({ loss: 20 });
    const other = await listen(made.lab, 2, COUNT, 30);
    const numbers = await run(COUNT * 0.8);
    const expected = (await made.relay.stats()).ports[2]!.tx;
    await until("the other receiver has everything", () => other.numbers.length >= expected);
    expect(overtaken(numbers)).toBe(0);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(other.numbers).not.toEqual(numbers);
  });

  test("doubles about as many as asked", async () => {
    await made.relay.set({ dup: 20 });
    const numbers = await run(COUNT * 1.2);
    expect([...new Set(numbers)]).toEqual(inOrder);
  });

  test("reorders about as many as asked and loses none", async () => {
    await made.relay.set({ reorder: 20 });
    const numbers = await run(COUNT);
    expect([...numbers].sort((a, b) => a - b)).toEqual(inOrder);
    expect(overtaken(numbers)).toBeGreaterThan(COUNT * 0.1);
    expect(overtaken(numbers)).toBeLessThan(COUNT * 0.3);
  });

  test("a reordered frame is not held for ever when nothing follows", async () => {
    await made.relay.set({ reorder: 100 });
    const arrivals = await listen(made.lab, 1, 1, 5);
    send(made.lab, 0, BROADCAST, 1, 5);
    expect(await arrivals.finished).toEqual([5]);
  });

  test("delays keep the order and lose none", async () => {
    await made.relay.set({ delayMs: [5, 20] });
    expect(await run(COUNT)).toEqual(inOrder);
    expect((await made.relay.stats()).delayed).toBe(2 * COUNT);
  });

  test("damages payloads, never headers", async () => {
    await made.relay.set({ corrupt: 100 });
    const arrivals = await listen(made.lab, 1, 200, 10);
    send(made.lab, 0, BROADCAST, 200);
    await arrivals.finished;
    expect(arrivals.numbers.length).toBe(200);
    // One bit of 64 bytes is flipped; the first 4 bytes are the number.
    expect(arrivals.damaged).toBeGreaterThan(150);
  });

  test("partitions cut both ways, oneway one way, heal ends both", async () => {
    const { lab, relay } = made;
    await relay.partition(0, 1);
    await relay.oneway(0, 2);
    const heard = [await listen(lab, 0, 3), await listen(lab, 1, 3), await listen(lab, 2, 3)];
    for (const [index, first] of [10, 20, 30].entries()) send(lab, index, BROADCAST, 1, first);
    await until("the relay has read all", async () => (await relay.stats()).rx === 3);
    await relay.heal();
    for (const [index, first] of [11, 21, 31].entries()) send(lab, index, BROADCAST, 1, first);
    expect(await heard[0]!.finished).toEqual([30, 21, 31]);
    expect((await heard[1]!.finished).toSorted()).toEqual([11, 30, 31]);
    expect(await heard[2]!.finished).toEqual([20, 11, 21]);
    expect((await relay.stats()).partitioned).toBe(3);
  });

  test("the same seed makes the same decisions, another one others", async () => {
    const faults = { loss: 30, dup: 10 };
    await made.relay.set(faults);
    const first = await run(COUNT * 0.77);
    for (const seed of [42, 43]) {
      made.close();
      made = await createRelayLab({ hosts: 3, seed, faults });
      const again = await run(COUNT * 0.77);
      if (seed === 42) expect(again).toEqual(first);
      else expect(again).not.toEqual(first);
    }
  });

  test("UDP passes, though its checksum is left to hardware that is not there", async () => {
    made.close();
    made = await createRelayLab({ hosts: 2, ip: true });
    for (const family of ["ip", "ip6"] as const) {
      expect(await datagram(made.lab, 0, 1, family)).toStartWith("hello");
    }
  });

  test("refuses what it does not understand and goes on", async () => {
    const wrong = [
      "loss",
      "loss 101",
      "loss -1",
      "loss 1 2",
      "partition 0 9",
      "partition 1 1",
      "delay 3 2",
      "x",
    ];
    for (const command of wrong) await expect(made.relay.command(command)).rejects.toThrow("not understood");
    await made.relay.command("loss 12.5");
  });

  test("ends cleanly on SIGTERM and at the end of its input", async () => {
    expect(await made.relay.stop("SIGTERM")).toBe(0);
    made.close();
    made = await createRelayLab({ hosts: 2 });
    expect(await made.relay.stop("EOF")).toBe(0);
  });
});
