/**
 * Fetching a snapshot from real servers over a network that loses, doubles, delays and damages: it comes whole or not at all,
 * from whoever has it, and what is under way stays bounded.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Encoded, encodeSnapshot } from "../../src/delivery/snapshot.ts";
import { SnapshotServer } from "../../src/delivery/snapshot_server.ts";
import { SnapshotShelf } from "../../src/delivery/snapshot_shelf.ts";
import { SnapshotFetch } from "../../src/protocol/learner/snapshot_transfer.ts";
import type { Outbox } from "../../src/protocol/outbox.ts";
import type { Peer } from "../../src/protocol/types.ts";
import { seededRandom } from "../support/random.ts";
import { Recorder } from "../support/recorder.ts";

const CLUSTER = 4711;
const STEP_US = 100;

function snapshot(iid: number, size: number, seed = 1): Encoded {
  const application = Uint8Array.from({ length: size }, (_, i) => (i * seed * 31 + (i >> 8)) & 0xff);
  return encodeSnapshot({ kind: 0, iid, logId: 0, table: new Uint8Array(0), application }, CLUSTER);
}

interface Faults {
  readonly loss: number;
  readonly duplication: number;
  /** Of chunks. */
  readonly damage: number;
}
const NONE: Faults = { loss: 0, duplication: 0, damage: 0 };

class Net {
  nowUs = 1_000_000;
  readonly fetch: SnapshotFetch;
  readonly servers: { readonly shelf: SnapshotShelf; readonly server: SnapshotServer; isUp: boolean }[] = [];
  readonly asked: number[] = [];
  /** Bytes asked for and not come yet. */
  mostUnderWay = 0;
  #underWay = 0;
  faults: Faults;
  readonly #random: () => number;
  #events: { readonly dueUs: number; readonly act: () => void }[] = [];

  constructor(seed: number, faults: Faults = NONE) {
    this.#random = seededRandom(seed);
    this.faults = faults;
    const outbox: Outbox = Object.assign(new Recorder(), {
      snapshotAsk: (kind: number, above: number) => this.#ask(kind, above),
      snapshotFetch: (to: Peer, kind: number, iid: number, position: number, size: number) => {
        this.asked[to] = (this.asked[to] ?? 0) + 1;
        this.#underWay += size;
        this.mostUnderWay = Math.max(this.mostUnderWay, this.#underWay);
        this.#send(() => {
          const { server, shelf, isUp } = this.servers[to]!;
          if (isUp) server.onFetch(0 as Peer, shelf, iid, position, size);
        });
        expect(kind).toBe(0);
      },
    });
    this.fetch = new SnapshotFetch(outbox);
  }

  /** Adds a server of this snapshot. */
  serve(encoded: Encoded | null): SnapshotShelf {
    const shelf = new SnapshotShelf(0);
    if (encoded !== null) shelf.put(encoded, this.nowUs);
    const peer = this.servers.length as Peer;
    const outbox: Outbox = Object.assign(new Recorder({ maxValue: 1332 }), {
      snapshotInfo: (_to: Peer, kind: number, iid: number, size: number, checksum: number) =>
        this.#send(() => this.fetch.onInfo(peer, kind, iid, size, checksum)),
      snapshotChunk: (
        _to: Peer,
        kind: number,
        iid: number,
        position: number,
        bytes: Uint8Array,
        offset: number,
        length: number,
      ) => {
        const chunk = bytes.slice(offset, offset + length);
        if (this.#random() < this.faults.damage) chunk[0] = chunk[0]! ^ 1;
        this.#send(() => {
          this.#underWay -= length;
          this.fetch.onChunk(peer, kind, iid, position, chunk, 0, length);
        });
      },
    });
    this.servers.push({ shelf, server: new SnapshotServer(outbox, shelf), isUp: true });
    return shelf;
  }

  #ask(kind: number, above: number): void {
    for (const one of this.servers) {
      this.#send(() => {
        if (one.isUp && one.shelf.kind === kind) one.server.offer(0 as Peer, one.shelf, above, this.nowUs);
      });
    }
  }

  #send(act: () => void): void {
    if (this.#random() < this.faults.loss) return;
    const copies = this.#random() < this.faults.duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.#events.push({ dueUs: this.nowUs + 50 + Math.floor(this.#random() * 300), act });
    }
  }

  run(until: () => boolean, limitUs = 30_000_000): void {
    const end = this.nowUs + limitUs;
    while (!until()) {
      if (this.nowUs >= end) throw new Error(`still ${this.fetch.stage}`);
      this.nowUs += STEP_US;
      const due = this.#events.filter(({ dueUs }) => dueUs <= this.nowUs);
      this.#events = this.#events.filter(({ dueUs }) => dueUs > this.nowUs);
      for (const { act } of due) act();
      this.fetch.tick(this.nowUs);
      for (const one of this.servers) {
        one.shelf.tick(this.nowUs);
        if (one.isUp) one.server.pump(this.nowUs);
      }
    }
  }

  complete(limitUs?: number): Uint8Array {
    this.run(() => this.fetch.stage === "complete", limitUs);
    return this.fetch.bytes;
  }
}

describe("fetching a snapshot", () => {
  test("the newest one that is offered is taken", () => {
    const net = new Net(1);
    const newest = snapshot(900, 100_000);
    net.serve(snapshot(700, 50_000));
    net.serve(newest);
    net.serve(null);
    net.fetch.want(0, 0, net.nowUs);
    expect(net.complete()).toEqual(newest.bytes);
    expect(net.fetch.iid).toBe(900);
    expect(net.fetch.counters.again).toBe(0);
  });

  test("nobody has one above what is wanted: it goes on asking, less and less often", () => {
    const net = new Net(2);
    net.serve(snapshot(700, 1000));
    net.fetch.want(0, 700, net.nowUs);
    net.run(() => net.nowUs > 4_000_000, 10_000_000);
    expect(net.fetch.stage).toBe("asking");
    expect(net.fetch.counters.asked).toBeLessThan(12);
    net.servers[0]!.shelf.put(snapshot(701, 1000), net.nowUs);
    net.complete();
  });

  test("a server that falls silent is left for another one, and what has come is kept", () => {
    const net = new Net(3);
    const both = snapshot(900, 2_000_000);
    net.serve(both);
    net.serve(both);
    net.fetch.want(0, 0, net.nowUs);
    net.run(() => net.fetch.counters.bytes > 1_000_000);
    net.servers[net.fetch.from]!.isUp = false;
    expect(net.complete()).toEqual(both.bytes);
    expect(net.fetch.counters.bytes).toBeLessThan(both.bytes.length + 262_144);
    expect(net.fetch.counters.serversLeft).toBe(1);
  });

  test("a snapshot that is being fetched stays while newer ones come; after a while it is gone, and the next one is taken", () => {
    const net = new Net(4);
    const old = snapshot(900, 1_000_000);
    const shelf = net.serve(old);
    net.fetch.want(0, 0, net.nowUs);
    net.run(() => net.fetch.counters.bytes > 100_000);
    const next = snapshot(1000, 1_000_000, 3);
    shelf.put(next, net.nowUs);
    expect(net.complete()).toEqual(old.bytes);

    net.fetch.cancel();
    net.fetch.want(0, 0, net.nowUs);
    net.run(() => net.fetch.counters.bytes > 1_100_000);
    net.faults = { ...NONE, loss: 1 };
    net.run(() => net.fetch.stage === "asking");
    shelf.put(snapshot(1100, 1_000_000, 5), net.nowUs);
    net.run(() => net.nowUs > 30_000_000, 60_000_000);
    net.faults = NONE;
    expect(net.complete()[100]).toBe(snapshot(1100, 1_000_000, 5).bytes[100]!);
  });

  test("damaged bytes are never taken: the server is left, all is fetched again", () => {
    const net = new Net(5, { ...NONE, damage: 0.02 });
    const one = snapshot(900, 300_000);
    net.serve(one);
    net.fetch.want(0, 0, net.nowUs);
    net.run(() => net.fetch.counters.damaged > 0);
    net.faults = NONE;
    expect(net.complete()).toEqual(one.bytes);
  });

  test("what somebody claims to have costs no memory beyond the limit", () => {
    const net = new Net(6);
    net.fetch.want(0, 0, net.nowUs);
    net.fetch.onInfo(1 as Peer, 0, 900, 2 ** 40, 1);
    net.run(() => net.nowUs > 2_000_000);
    expect(net.fetch.stage).toBe("asking");
    expect(net.fetch.counters.refused).toBe(1);
  });

  test("chunks nobody asked for change nothing", () => {
    const net = new Net(7);
    const one = snapshot(900, 100_000);
    net.serve(one);
    net.fetch.want(0, 0, net.nowUs);
    net.run(() => net.fetch.stage === "fetching");
    for (const [from, kind, iid, position, length] of [
      [5, 0, 900, 0, 100],
      [0, 1, 900, 0, 100],
      [0, 0, 901, 0, 100],
      [0, 0, 900, 1, 100],
      [0, 0, 900, 2 ** 50, 100],
      [0, 0, 900, 0, 20_000],
      [0, 0, 900, 0, 0],
    ] as const) {
      net.fetch.onChunk(from as Peer, kind, iid, position, new Uint8Array(20_000), 0, length);
    }
    expect(net.complete()).toEqual(one.bytes);
  });

  test("whatever the network does, it comes whole; little is under way", () => {
    const world = fc.record({
      size: fc.integer({ min: 0, max: 400_000 }),
      loss: fc.constantFrom(0, 0.02, 0.2),
      duplication: fc.constantFrom(0, 0.2),
      servers: fc.integer({ min: 1, max: 3 }),
      seed: fc.integer({ min: 1, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(world, ({ size, loss, duplication, servers, seed }) => {
        const net = new Net(seed, { loss, duplication, damage: 0 });
        const one = snapshot(900, size);
        for (let i = 0; i < servers; i++) net.serve(one);
        net.fetch.want(0, 0, net.nowUs);
        expect(net.complete(120_000_000)).toEqual(one.bytes);
        if (loss === 0) expect(net.mostUnderWay).toBeLessThanOrEqual(262_144);
      }),
      { numRuns: 60 },
    );
  });
});
