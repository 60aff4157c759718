/**
 * The client of the native wire before proposers that lose, repeat, reorder, refuse and forget: every value is delivered once,
 * whole, in its session's order, and told once; what cannot be known is told uncertain.
 */
import { describe, expect, test } from "bun:test";
import type { SessionClientOptions } from "../../src/protocol/client/client.ts";
import { OwnLog } from "../../src/protocol/client/own_log.ts";
import { SessionClient } from "../../src/protocol/client/session_client.ts";
import { GivenValues, PatternValues, type ValueSource } from "../../src/protocol/client/value_source.ts";
import { SessionFilter, type ValueConsumer } from "../../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../../src/protocol/learner/session_table.ts";
import type { Outbox } from "../../src/protocol/outbox.ts";
import { Admission, Judging } from "../../src/protocol/proposer/admission.ts";
import { type AckKind, Busy, MAX_IID, type Peer } from "../../src/protocol/types.ts";
import { batchOf, open } from "../support/entries.ts";
import { seededRandom } from "../support/random.ts";
import { Recorder } from "../support/recorder.ts";

const CLIENT = 32 as Peer;
const STEP_US = 1_000;

interface Faults {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}
const NONE: Faults = { loss: 0, duplication: 0, reordering: 0 };

interface Plan extends Partial<SessionClientOptions> {
  readonly seed?: number;
  readonly faults?: Faults;
  readonly sessionLimit?: number;
  readonly source?: ValueSource;
  readonly ownLearner?: boolean;
}

/** Two proposers with one log between them, as if the first led and the second forwarded, and a client on a bad network. */
class World {
  readonly random: () => number;
  readonly client: SessionClient;
  readonly told: string[] = [];
  readonly uncertain: string[] = [];
  /** As every learner delivers it: client/number, and the value's length. */
  readonly delivered: { session: number; sequence: number; length: number }[] = [];
  readonly filter: SessionFilter;
  readonly ownLog: OwnLog | undefined;
  faults: Faults;
  nowUs = 1_000_000;
  /** Proposers that answer. */
  alive = [true, true];
  busy: Busy | 0 = 0;
  /** Messages that the proposers have room for; what there is of them becomes instances each step. */
  capacity = Number.POSITIVE_INFINITY;
  /** Instances up to which the client's own learner is. */
  readonly log: Uint8Array[] = [];
  sentTo: number[] = [];
  readonly #admission: Admission;
  readonly #queue: Uint8Array[] = [];
  #network: { dueUs: number; act: () => void }[] = [];

  constructor(plan: Plan = {}) {
    this.random = seededRandom(plan.seed ?? 1);
    this.faults = plan.faults ?? NONE;
    const limits = { sessions: plan.sessionLimit ?? 64, maxValueBytes: 100_000 };
    const consumer: ValueConsumer = {
      take: (_iid, _index, _isLast, session, sequence, _bytes, _offset, length) => {
        this.delivered.push({ session, sequence, length });
        return true;
      },
      finished: () => undefined,
      skipped: () => undefined,
      acknowledged: () => MAX_IID,
    };
    this.filter = new SessionFilter(new SessionTable(limits), consumer);
    const answers = new Recorder();
    answers.acknowledge = (_to: Peer, kind: AckKind, session: number, sequence: number, iid: number) =>
      this.#post(() => this.client.onAcknowledge(kind, session, sequence, iid));
    this.#admission = new Admission(this.filter, answers);
    const outbox = new Recorder({ maxValue: 200 });
    const send: Outbox["clientValue"] = (proposerId, bytes, offset, length) => {
      const copy = bytes.slice(offset, offset + length);
      this.sentTo.push(proposerId);
      this.#post(() => this.#receive(proposerId, copy));
    };
    outbox.clientValue = send;
    const options = {
      clients: 1,
      outstanding: 8,
      proposerId: 0,
      proposers: 2,
      batching: true,
      timeoutMs: 500,
      queueDelayMs: 5,
      values: 20,
      random: this.random,
      ...plan,
    };
    const source = plan.source ?? new PatternValues(0, 50, this.random);
    this.client = new SessionClient(options, source, outbox, {
      delivered: (_latencyUs, bytes, client, first, count) => {
        for (let number = first; number < first + count; number++)
          this.told.push(`${client}/${number} ${bytes}`);
      },
      uncertain: (client, number) => this.uncertain.push(`${client}/${number}`),
    });
    if (plan.ownLearner === true) this.ownLog = new OwnLog(this.client, limits.sessions, () => undefined);
    this.client.ready = true;
  }

  /** The session table of the proposers is lost, and what they have queued. */
  forget(): void {
    this.#queue.length = 0;
    this.#admission.begin();
  }

  /** Evicts the client's session, as others opening theirs would. */
  evict(count: number): void {
    for (let i = 0; i < count; i++) this.#deliver(openingOf(1_000_000 + this.log.length));
  }

  step(): void {
    this.nowUs += STEP_US;
    const due = this.#network.filter(({ dueUs }) => dueUs <= this.nowUs);
    this.#network = this.#network.filter(({ dueUs }) => dueUs > this.nowUs);
    for (const { act } of due) act();
    // Some of what is queued becomes an instance.
    while (this.#queue.length > 0 && this.random() < 0.7) this.#deliver(this.#queue.shift()!);
    this.#admission.flush();
    this.client.tick(this.nowUs);
    this.client.pump(this.nowUs);
  }

  run(until: () => boolean, limitMs = 60_000): void {
    for (let ms = 0; !until(); ms++) {
      if (ms > limitMs) throw new Error(`not done: ${JSON.stringify(this.client.counters)}`);
      this.step();
    }
  }

  finish(): void {
    this.run(() => this.client.isDone);
  }

  #deliver(batch: Uint8Array): void {
    this.log.push(batch);
    this.filter.deliver(this.log.length, batch, 0, batch.length);
    const iid = this.log.length;
    if (this.ownLog !== undefined) this.#later(() => this.ownLog!.deliver(iid, batch, 0, batch.length));
  }

  #receive(proposerId: number, bytes: Uint8Array): void {
    if (!this.alive[proposerId]) return;
    if (this.busy !== 0) {
      const { busy } = this;
      return this.#post(() => this.client.onBusy(busy));
    }
    // The second forwards to the first: a hop more, which can be lost as well.
    const judging = proposerId === 0 ? Judging.strict : Judging.pass;
    if (proposerId !== 0 && this.random() < this.faults.loss) return;
    const admission = this.#admission;
    admission.open(CLIENT, bytes, 0, bytes.length, false, judging);
    while (admission.next()) {
      if (this.#queue.length >= this.capacity) {
        admission.refused();
        return this.#post(() => this.client.onBusy(Busy.queueFull));
      }
      this.#queue.push(bytes.slice(admission.offset, admission.offset + admission.length));
    }
  }

  #post(act: () => void): void {
    const { loss, duplication } = this.faults;
    if (this.random() < loss) return;
    this.#later(act);
    if (this.random() < duplication) this.#later(act);
  }

  /** In order, unless the network reorders. */
  #later(act: () => void): void {
    const lateUs = this.random() < this.faults.reordering ? this.random() * 20_000 : 0;
    const dueUs = this.nowUs + STEP_US + lateUs;
    this.#network.push({ dueUs, act });
  }
}

function openingOf(nonce: number): Uint8Array {
  return batchOf([open(nonce)]);
}

/** Every value was told once in order, and delivered once in order. */
function check(world: World, values: number): void {
  const { client, told, delivered, uncertain } = world;
  expect(told.length + uncertain.length).toBe(values);
  expect(client.counters.duplicates).toBe(0);
  expect(delivered.length).toBeGreaterThanOrEqual(told.length);
  const last = new Map<string, number>();
  for (const line of told) {
    const [who, number] = line.split(" ")[0]!.split("/");
    expect(Number(number)).toBeGreaterThan(last.get(who!) ?? -1);
    last.set(who!, Number(number));
  }
}

test("in a quiet world nothing is sent twice", () => {
  const world = new World({ values: 200, clients: 3 });
  world.finish();
  check(world, 200);
  expect(world.client.counters).toMatchObject({ resent: 0, delivered: 200, opened: 3, expired: 0 });
  expect(world.filter.counters).toMatchObject({ duplicates: 0, gaps: 0, values: 200 });
});

describe("loss, duplication, reordering", () => {
  const storm = { loss: 0.2, duplication: 0.2, reordering: 0.2 };
  for (const ownLearner of [false, true]) {
    test(`${ownLearner ? "with" : "without"} an own learner (60 seeds)`, () => {
      for (let seed = 1; seed <= 60; seed++) {
        const world = new World({ seed, faults: storm, values: 60, clients: 1 + (seed % 3), ownLearner });
        world.finish();
        check(world, 60);
        expect(world.uncertain).toEqual([]);
        expect(world.delivered.length).toBe(60);
      }
    });
  }

  test("values in pieces come whole (30 seeds)", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const given = new GivenValues();
      const sizes = [0, 184, 185, 5_000, 1, 40_000, 184 * 3];
      for (const size of sizes) given.give(new Uint8Array(size).fill(size & 0xff));
      const world = new World({ seed, faults: storm, values: sizes.length, source: given });
      world.finish();
      check(world, sizes.length);
      expect(world.delivered.map(({ length }) => length)).toEqual(sizes);
      expect(given.bytes).toBe(0);
    }
  });

  test("proposers that come and go, and forget what they queued (40 seeds)", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const faults = { ...storm, loss: 0.05 };
      const world = new World({ seed, faults, values: 150, clients: 2, ownLearner: seed % 2 === 0 });
      for (let round = 0; round < 6; round++) {
        const dead = Math.floor(world.random() * 2);
        world.alive = [dead !== 0, dead !== 1];
        world.forget();
        for (let ms = 0; ms < 300; ms++) world.step();
      }
      world.alive = [true, true];
      world.finish();
      check(world, 150);
      expect(world.delivered.length).toBe(150);
    }
  });
});

test("a silent proposer is left for the next one, within three retries", () => {
  const world = new World({ values: 5 });
  world.alive = [false, true];
  const beganUs = world.nowUs;
  world.finish();
  check(world, 5);
  expect(world.client.proposerId).toBe(1);
  expect(world.nowUs - beganUs).toBeLessThan(500_000);
});

test("one that is silent only for lack of anything to do is not", () => {
  const given = new GivenValues();
  const world = new World({ values: 0, source: given });
  world.run(() => world.client.counters.opened === 1);
  for (let i = 0; i < 5_000; i++) world.step();
  given.give(new Uint8Array(3));
  world.client.limit = 1;
  world.finish();
  expect([world.client.proposerId, world.client.switches, world.client.counters.resent]).toEqual([0, 0, 0]);
});

describe("busy", () => {
  test("values wait, more and more patiently, and none is lost", () => {
    const world = new World({ values: 50 });
    world.run(() => world.told.length > 5);
    world.busy = Busy.queueFull;
    const before = world.sentTo.length;
    for (let ms = 0; ms < 2_000; ms++) world.step();
    // A pause of up to 100 ms after each refusal; with every one the window is tried once.
    expect(world.sentTo.length - before).toBeLessThan(120);
    expect(world.client.switches).toBe(0);
    world.busy = 0;
    world.finish();
    check(world, 50);
    expect(world.delivered.length).toBe(50);
  });

  for (const { clients, outstanding, capacity } of [
    { clients: 1, outstanding: 400, capacity: 10 },
    { clients: 100, outstanding: 1, capacity: 6 },
    { clients: 60, outstanding: 20, capacity: 3 },
  ]) {
    test(`${clients} sessions, ${outstanding} values each, room for ${capacity} messages: each gets its share`, () => {
      const world = new World({ clients, outstanding, values: Number.POSITIVE_INFINITY, sessionLimit: 100 });
      world.capacity = capacity;
      for (let ms = 0; ms < 3_000; ms++) world.step();
      const shares = new Float64Array(clients);
      for (const one of world.told) shares[Number(one.split("/")[0])]!++;
      shares.sort();
      expect(shares[0]).toBeGreaterThan(0.5 * (world.told.length / clients));
    });
  }

  for (const { name, size, most } of [
    { name: "values", size: 20, most: 400 },
    // Two or three of them are an instance each millisecond.
    { name: "pieces", size: 40_000, most: 100 },
  ]) {
    test(`what may be under way is back some tens of round trips later: ${name}`, () => {
      const source = new PatternValues(size, size, () => 0);
      const values = Number.POSITIVE_INFINITY;
      const world = new World({ outstanding: 400, values, source, queueDelayMs: 0 });
      const { sessions } = world.client;
      world.run(() => sessions.done[0]! > 1_000);
      world.busy = Busy.queueFull;
      for (let ms = 0; ms < 2_000; ms++) world.step();
      world.busy = 0;
      const before = sessions.done[0]!;
      const beganUs = world.nowUs;
      world.run(() => sessions.inFlight(0) >= most, 1_000);
      expect(world.nowUs - beganUs).toBeLessThan(600_000);
      expect(sessions.done[0]! - before).toBeGreaterThan(most);
    });
  }

  test("one that has nobody to lead it is left for the next one", () => {
    const world = new World({ values: 50 });
    world.busy = Busy.notLeader;
    for (let ms = 0; ms < 2_000; ms++) world.step();
    expect(world.client.switches).toBeGreaterThan(1);
    world.busy = 0;
    world.finish();
    check(world, 50);
  });
});

describe("a session that is evicted", () => {
  test("what was sent is uncertain, what was not goes on in the next session", () => {
    const world = new World({ values: 40, sessionLimit: 4 });
    world.run(() => world.told.length > 10);
    world.evict(4);
    world.finish();
    check(world, 40);
    const { expired, opened, uncertain } = world.client.counters;
    expect([expired, opened]).toEqual([1, 2]);
    expect(uncertain).toBeGreaterThan(0);
    expect(uncertain).toBeLessThanOrEqual(8);
    // Each was delivered once or not at all.
    expect(world.delivered.length).toBeLessThanOrEqual(40);
    expect(new Set(world.delivered.map(({ session, sequence }) => `${session}/${sequence}`)).size).toBe(
      world.delivered.length,
    );
  });

  test("an own learner that has seen too many entries of others does not claim to know", () => {
    const world = new World({ values: 1, sessionLimit: 4, ownLearner: true, outstanding: 1 });
    world.finish();
    // Others use the table up while this client is idle; then its next value is not delivered to anybody.
    world.evict(4);
    for (let ms = 0; ms < 50; ms++) world.step();
    const before = world.delivered.length;
    world.client.limit = 2;
    world.run(() => world.client.counters.expired === 1);
    expect(world.delivered.length).toBe(before);
    expect(world.uncertain).toEqual(["0/1"]);
    expect(world.client.isDone).toBe(true);
  });
});

test("the last word of a client that is done ends its sessions", () => {
  const world = new World({ values: 10, clients: 3 });
  world.finish();
  world.client.close();
  for (let ms = 0; ms < 100; ms++) world.step();
  expect(world.filter.table.count).toBe(0);
});
