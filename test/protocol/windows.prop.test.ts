/**
 * The windows of instances, sets of acceptors, ballots and the trim rule against models that are too simple to be wrong.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { AcceptorLog } from "../../src/protocol/acceptor/acceptor_log.ts";
import { ballotAbove, ballotOwner, KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { LearnerWindow } from "../../src/protocol/learner/learner_window.ts";
import { ProposerWindow, Status } from "../../src/protocol/proposer/proposer_window.ts";
import { AcceptorSets, quorumOf } from "../../src/protocol/quorum.ts";
import type { Ballot } from "../../src/protocol/types.ts";

/** Where the instances of a run lie: small, and beyond 32 bits. */
const base = fc.constantFrom(0, 1000, 2 ** 32 - 3, 2 ** 45);
const ballot = fc.integer({ min: 1, max: 4 });

function bytesOf(value: string): Uint8Array {
  return Buffer.from(value, "latin1");
}
function textAt(bytes: Uint8Array, offset: number, length: number): string {
  return Buffer.from(bytes.subarray(offset, offset + length)).toString("latin1");
}

test("AcceptorLog is a map of records above a trim point", () => {
  const at = fc.integer({ min: 1, max: 24 });
  const op = fc.oneof(
    { weight: 2, arbitrary: fc.record({ promise: at, ballot }) },
    { weight: 5, arbitrary: fc.record({ accept: at, ballot, size: fc.nat(3000) }) },
    { weight: 1, arbitrary: fc.record({ trim: at }) },
  );
  interface Record {
    promised: number;
    ballot: number;
    life: number;
    value: string;
  }
  fc.assert(
    fc.property(base, fc.array(op, { maxLength: 80, size: "max" }), (low, ops) => {
      const log = new AcceptorLog({ instances: 8, bytes: 65536 });
      const model = new Map<number, Record>();
      log.trim(low);
      let [trimmed, highest, life] = [low, 0, 0];
      for (const o of ops) {
        const iid = low + ("promise" in o ? o.promise : "accept" in o ? o.accept : o.trim);
        expect(log.covers(iid)).toBe(iid > trimmed && iid <= trimmed + 8);
        if ("trim" in o) {
          log.trim(iid);
          trimmed = Math.max(trimmed, iid);
          for (const key of model.keys()) if (key <= trimmed) model.delete(key);
        } else if (log.covers(iid)) {
          const before = model.get(iid) ?? { promised: 0, ballot: 0, life: 0, value: "" };
          if ("promise" in o) {
            log.promise(iid, o.ballot as Ballot);
            model.set(iid, { ...before, promised: o.ballot });
          } else {
            const value = `${++life}`.padEnd(o.size, "x").slice(0, o.size);
            if (log.accept(iid, o.ballot as Ballot, life, 0, bytesOf(value), 0, o.size)) {
              model.set(iid, { promised: o.ballot, ballot: o.ballot, life, value });
              highest = Math.max(highest, iid);
            }
          }
        }
        for (let i = low + 1; i <= low + 26; i++) {
          const record = model.get(i);
          expect([log.promisedAt(i), log.ballotAt(i)]).toEqual([
            (record?.promised ?? 0) as Ballot,
            (record?.ballot ?? 0) as Ballot,
          ]);
          if (record === undefined || record.ballot === 0) continue;
          expect(log.lifeAt(i)).toBe(record.life);
          expect(textAt(log.arena.bytes, log.offsetAt(i), log.lengthAt(i))).toBe(record.value);
        }
        expect([log.trimIid, log.highestIid]).toEqual([trimmed, highest]);
      }
      log.trim(low + 100);
      expect(log.arena.used).toBe(0);
    }),
    { numRuns: 150 },
  );
});

interface Proposal {
  readonly ballot: number;
  readonly life: number;
  readonly value: string;
}

/** What a learner knows of one instance, kept as lists. */
class DumbInstance {
  readonly votes = new Map<number, { ballot: number; life: number }>();
  chosen: { ballot: number; life: number } | undefined;
  candidate: Proposal | undefined;

  vote(aid: number, at: number, life: number, acceptors: number): void {
    if ((this.votes.get(aid)?.ballot ?? 0) > at) return;
    this.votes.set(aid, { ballot: at, life });
    const same = [...this.votes.values()].filter((v) => v.ballot === at && v.life === life).length;
    if (same > acceptors / 2) this.chosen ??= { ballot: at, life };
  }

  get ready(): boolean {
    return this.candidate !== undefined && this.proves(this.candidate);
  }

  /** Proposed at the chosen ballot and life, or at a higher ballot. */
  proves(p: Proposal): boolean {
    const { chosen } = this;
    return (
      chosen !== undefined &&
      (p.ballot > chosen.ballot || (p.ballot === chosen.ballot && p.life === chosen.life))
    );
  }

  offer(p: Proposal): void {
    const has = this.candidate;
    if (this.ready || (has?.ballot === p.ballot && has.life === p.life)) return;
    if (this.chosen === undefined ? (has?.ballot ?? 0) <= p.ballot : this.proves(p)) this.candidate = p;
  }
}

test("LearnerWindow: chosen by a quorum of equal ballot and life, ready with a value that this proves", () => {
  const acceptors = fc.constantFrom(1, 2, 3, 4, 5, 33);
  const at = fc.oneof(fc.nat(7), fc.nat(1));
  const life = fc.integer({ min: 1, max: 2 });
  const op = fc.oneof(
    { weight: 5, arbitrary: fc.record({ vote: at, aid: fc.nat(32), ballot, life }) },
    { weight: 3, arbitrary: fc.record({ offer: at, ballot, life }) },
    { weight: 1, arbitrary: fc.record({ release: fc.constant(1) }) },
  );
  fc.assert(
    fc.property(base, acceptors, fc.array(op, { maxLength: 120, size: "max" }), (start, n, ops) => {
      const window = new LearnerWindow(8, 1 << 18, n);
      const model = new Map<number, DumbInstance>();
      let low = start + 1;
      const of = (iid: number): DumbInstance => {
        if (!model.has(iid)) model.set(iid, new DumbInstance());
        return model.get(iid)!;
      };
      for (const o of ops) {
        if ("release" in o) {
          window.release(low);
          model.delete(low++);
        } else if ("vote" in o) {
          const iid = low + o.vote;
          const was = of(iid).chosen;
          of(iid).vote(o.aid % n, o.ballot, o.life, n);
          const isNew = was === undefined && of(iid).chosen !== undefined;
          expect(window.vote(iid, o.aid % n, o.ballot as Ballot, o.life)).toBe(isNew);
        } else {
          const iid = low + o.offer;
          const value = `${iid}@${o.ballot}/${o.life}`.padEnd(o.ballot * 40, ".");
          window.offer(iid, o.ballot as Ballot, o.life, bytesOf(value), 0, value.length);
          of(iid).offer({ ballot: o.ballot, life: o.life, value });
        }
        for (let iid = low; iid < low + 8; iid++) {
          const known = of(iid);
          expect([window.isChosen(iid), window.isReady(iid)]).toEqual([
            known.chosen !== undefined,
            known.ready,
          ]);
          if (!known.ready) continue;
          expect(textAt(window.arena.bytes, window.offset(iid), window.length(iid))).toBe(
            known.candidate!.value,
          );
          const chosen = { ballot: window.chosenBallot(iid) as number, life: window.chosenLife(iid) };
          expect(chosen).toEqual(known.chosen!);
        }
      }
      for (let iid = low; iid < low + 8; iid++) window.release(iid);
      expect(window.arena.used).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("LearnerWindow: when the store is full, later instances make room for earlier ones", () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8], { minLength: 8 }),
      fc.nat(7),
      (order, doubled) => {
        const window = new LearnerWindow(8, 1, 1);
        const value = (iid: number, at: number): Uint8Array =>
          new Uint8Array(iid * 5000 + at * 300).fill(iid);
        for (const iid of order) {
          window.offer(iid, 1 as Ballot, 1, value(iid, 1), 0, value(iid, 1).length);
          // A candidate that gives way to one of another size, too.
          if (iid !== doubled) continue;
          window.offer(iid, 2 as Ballot, 1, value(iid, 2), 0, value(iid, 2).length);
        }
        // Whatever came, the next instance to deliver can always be had.
        for (let iid = 1; iid <= 8; iid++) {
          window.vote(iid, 0, 3 as Ballot, 1);
          if (!window.isReady(iid)) window.offer(iid, 3 as Ballot, 1, value(iid, 3), 0, value(iid, 3).length);
          expect(window.isReady(iid)).toBe(true);
          expect(window.arena.bytes[window.offset(iid)]).toBe(iid);
          window.release(iid);
        }
        expect(window.arena.used).toBe(0);
      },
    ),
    { numRuns: 100 },
  );
});

interface DumbSlot {
  own?: string;
  adopted?: { ballot: number; value: string };
  closed?: boolean;
}

test("ProposerWindow: an own value is in its instance, waits for another, won, or was given up; none is lost", () => {
  const at = fc.nat(7);
  const op = fc.oneof(
    fc.record({ own: at }),
    fc.record({ adopt: at, ballot }),
    fc.record({ close: at, how: fc.constantFrom("ours", "same", "other") }),
    fc.record({ requeued: fc.constant(1) }),
    fc.record({ jump: fc.integer({ min: 1, max: 40 }) }),
  );
  fc.assert(
    fc.property(base, fc.array(op, { maxLength: 100, size: "max" }), (start, ops) => {
      const window = new ProposerWindow(8, 1 << 18, 3);
      window.advance(start + 1);
      const slots = new Map<number, DumbSlot>();
      const queue: string[] = [];
      let [low, marks, dropped] = [start + 1, 0, 0];
      const of = (iid: number): DumbSlot => {
        if (!slots.has(iid)) slots.set(iid, {});
        return slots.get(iid)!;
      };
      const advance = (floor: number): void => {
        window.advance(floor);
        for (; low < floor || slots.get(low)?.closed === true; low++) {
          if (slots.get(low)?.own !== undefined) dropped++;
          slots.delete(low);
        }
      };
      const requeue = (value: string): void => {
        if (queue.length === 8) dropped++;
        else queue.push(value);
      };
      for (const o of ops) {
        if ("own" in o) {
          const slot = of(low + o.own);
          if (slot.closed === true || slot.own !== undefined) continue;
          slot.own = `own ${++marks}`;
          const block = window.arena.store(bytesOf(slot.own), 0, slot.own.length);
          window.own(low + o.own, block, slot.own.length);
        } else if ("adopt" in o) {
          const slot = of(low + o.adopt);
          if (slot.closed === true) continue;
          const value = `adopted ${++marks} at ${o.ballot}`;
          window.adopt(low + o.adopt, o.ballot as Ballot, bytesOf(value), 0, value.length, 9 as Ballot);
          if ((slot.adopted?.ballot ?? 0) < o.ballot) slot.adopted = { ballot: o.ballot, value };
        } else if ("close" in o) {
          const iid = low + o.close;
          const slot = of(iid);
          if (slot.closed === true) continue;
          // What can be chosen: what we proposed, our own value at another's ballot, or something else.
          const ours = o.how === "ours";
          const value = ours ? (slot.adopted?.value ?? slot.own) : o.how === "same" ? slot.own : "another";
          if (value === undefined) continue;
          window.enter(iid, Status.accepting, 1 as Ballot);
          window.close(iid, ours, bytesOf(value), 0, value.length);
          if (slot.own !== undefined && slot.own !== value) requeue(slot.own);
          slots.set(iid, { closed: true });
          advance(0);
        } else if ("requeued" in o && queue.length > 0) {
          const value = textAt(window.arena.bytes, window.requeuedOffset(), window.requeuedLength());
          expect(value).toBe(queue.shift()!);
          const [block, size] = [window.requeuedOffset(), window.requeuedLength()];
          window.takeRequeued();
          window.arena.free(block, size);
        } else if ("jump" in o) advance(low + o.jump);
        expect([window.low, window.requeued, window.dropped]).toEqual([low, queue.length, dropped]);
        for (let iid = low; iid < low + 8; iid++) {
          const slot = slots.get(iid) ?? {};
          expect(window.status(iid) === Status.closed).toBe(slot.closed === true);
          expect([window.hasOwn(iid), window.hasAdopted(iid)]).toEqual([
            slot.own !== undefined,
            slot.adopted !== undefined,
          ]);
          const value = slot.adopted?.value ?? slot.own;
          if (value === undefined) continue;
          expect(textAt(window.arena.bytes, window.valueOffset(iid), window.valueLength(iid))).toBe(value);
        }
      }
      while (window.requeued > 0) {
        window.arena.free(window.requeuedOffset(), window.requeuedLength());
        window.takeRequeued();
      }
      advance(low + 8);
      expect(window.arena.used).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("ProposerWindow: promises count for one ballot", () => {
  const window = new ProposerWindow(8, 1, 3);
  window.enter(3, Status.preparing, 10 as Ballot);
  window.promises.add(window.slot(3), 1);
  window.enter(3, Status.prepared, 10 as Ballot);
  expect(window.promises.count(window.slot(3))).toBe(1);
  window.enter(3, Status.preparing, 20 as Ballot);
  expect(window.promises.count(window.slot(3))).toBe(0);
});

test("AcceptorSets are sets", () => {
  const op = fc.record({ slot: fc.nat(3), aid: fc.nat(99), clear: fc.nat(15).map((n) => n === 0) });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.array(op, { maxLength: 200, size: "max" }),
      (acceptors, ops) => {
        const sets = new AcceptorSets(4, acceptors);
        const model = Array.from({ length: 4 }, () => new Set<number>());
        for (const { slot, aid, clear } of ops) {
          const id = aid % acceptors;
          if (clear) {
            sets.clear(slot);
            model[slot]!.clear();
          } else {
            expect(sets.add(slot, id)).toBe(!model[slot]!.has(id));
            model[slot]!.add(id);
          }
          for (let s = 0; s < 4; s++) {
            expect(sets.count(s)).toBe(model[s]!.size);
            expect(sets.has(s, id)).toBe(model[s]!.has(id));
          }
        }
      },
    ),
  );
});

test("any two quorums share an acceptor, and no smaller set is one", () => {
  for (let n = 1; n <= 100; n++) {
    expect(2 * quorumOf(n)).toBeGreaterThan(n);
    expect(2 * (quorumOf(n) - 1)).toBeLessThanOrEqual(n);
  }
});

test("ballotAbove is the lowest ballot of its owner above the one seen, or none", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(NATIVE_BALLOTS, KERNEL_PAXOS_BALLOTS),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(9),
      (s, r, id) => {
        const seen = Math.floor(r * s.max);
        const next: number = ballotAbove(s, seen, id);
        if (next === 0) {
          expect(seen + s.stride).toBeGreaterThan(s.max);
          return;
        }
        expect(next).toBeGreaterThan(seen);
        expect(next).toBeLessThanOrEqual(s.max);
        expect(ballotOwner(s, next as Ballot)).toBe(id);
        // The one before it is not above, or is of round 0, which nobody uses.
        if (next - s.stride >= s.stride) expect(next - s.stride).toBeLessThanOrEqual(seen);
      },
    ),
    { numRuns: 1000 },
  );
});
