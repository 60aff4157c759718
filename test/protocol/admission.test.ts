/**
 * What a proposer takes from clients, and what it tells them, by example.
 */
import { describe, expect, test } from "bun:test";
import { EntryFlag } from "../../src/protocol/batch.ts";
import { Judging } from "../../src/protocol/proposer/admission.ts";
import { AckKind } from "../../src/protocol/types.ts";
import { AdmissionBench, C0, C1, P1, values } from "../support/admission_bench.ts";
import { batchOf, open } from "../support/entries.ts";

/** A bench at which c0 has opened session 1. */
function opened(): AdmissionBench {
  const bench = new AdmissionBench();
  expect(bench.admit([open(70)])).toEqual(["70/0"]);
  bench.deliver(open(70));
  expect(bench.said()).toEqual(["acknowledge to=c0 opened session=1 sequence=70 iid=1"]);
  return bench;
}

describe("openings", () => {
  test("each begins a run, and is taken once while it is under way", () => {
    const bench = new AdmissionBench();
    expect(bench.admit([open(70), open(71)])).toEqual(["70/0", "71/0"]);
    expect(bench.admit([open(70)])).toEqual([]);
    bench.admission.begin();
    expect(bench.admit([open(70)])).toEqual(["70/0"]);
    expect(bench.said()).toEqual([]);
  });

  test("one that is known is answered at once", () => {
    const bench = opened();
    expect(bench.admit([open(70)], Judging.strict, C1)).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=c1 opened session=1 sequence=70 iid=1"]);
  });

  test("delivered twice: the second tells the first's session", () => {
    const bench = new AdmissionBench();
    bench.admit([open(70)], Judging.pass);
    bench.deliver(open(70));
    bench.admit([open(70)], Judging.pass, C1);
    expect(bench.said()).toEqual([
      "acknowledge to=c0 opened session=1 sequence=70 iid=1",
      "acknowledge to=c1 opened session=1 sequence=70 iid=1",
    ]);
    bench.deliver(open(70));
    expect(bench.said()).toEqual([]);
  });

  test("of a forwarded one nobody is told here", () => {
    const bench = new AdmissionBench();
    bench.admit([open(70)], Judging.strict, P1, true);
    bench.deliver(open(70));
    expect(bench.said()).toEqual([]);
  });
});

test("an opening without a nonce is not taken, whoever asks and however it is judged", () => {
  const bench = new AdmissionBench();
  for (const judging of [Judging.pass, Judging.lenient, Judging.strict])
    expect(bench.admit([open(0), open(70 + judging)], judging)).toEqual([`${70 + judging}/0`]);
  expect(bench.admission.counters.forbidden).toBe(3);
});

test("what could not be said in its turn is not said of who has the place next, and has no client here", () => {
  const bench = opened();
  bench.admit(values(1, 1));
  bench.deliver(...values(1, 1));
  // Too many others are told in this turn.
  const { frames } = bench.outbox;
  bench.outbox.frames = 0;
  expect(bench.admission.flush()).toBe(true);
  bench.deliver({ session: 1, sequence: 2, flags: EntryFlag.close });
  bench.deliver(open(80));
  const session = bench.iid;
  expect(bench.admit(values(session, 1), Judging.strict, P1, true)).toEqual([`${session}/1`]);
  bench.outbox.frames = frames;
  expect(bench.said()).toEqual([]);
});

describe("values in sequence", () => {
  test("are taken; acknowledged together when they are delivered here", () => {
    const bench = opened();
    expect(bench.admit(values(1, 1, 3))).toEqual(["1/1 1/2 1/3"]);
    bench.deliver(...values(1, 1, 2));
    bench.deliver(...values(1, 3));
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=3 iid=3"]);
    expect(bench.said()).toEqual([]);
  });

  test("what a client sent another way, since it went on, is not acknowledged here; what it sends again is", () => {
    const bench = opened();
    bench.admit(values(1, 1));
    bench.deliver(...values(1, 1));
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=1 iid=2"]);
    bench.deliver(...values(1, 2, 3));
    expect(bench.said()).toEqual([]);
    bench.admit(values(1, 3));
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=3 iid=3"]);
    bench.admit(values(1, 4));
    bench.deliver(...values(1, 4));
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=4 iid=4"]);
  });

  test("whoever used the session last is told", () => {
    const bench = opened();
    bench.admit(values(1, 1));
    bench.admit(values(1, 2), Judging.strict, C1);
    bench.deliver(...values(1, 1));
    expect(bench.said()).toEqual(["acknowledge to=c1 delivered session=1 sequence=1 iid=2"]);
  });

  test("a gap is told once a turn, and nothing beyond it is taken", () => {
    const bench = opened();
    expect(bench.admit(values(1, 1))).toEqual(["1/1"]);
    expect(bench.admit(values(1, 3, 5))).toEqual([]);
    expect(bench.admit(values(1, 6))).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=1 sequence=1 iid=1"]);
    expect(bench.admit(values(1, 2, 6))).toEqual(["1/2 1/3 1/4 1/5 1/6"]);
  });

  test("what is under way is not taken again, what is delivered is acknowledged again", () => {
    const bench = opened();
    bench.admit(values(1, 1, 3));
    bench.deliver(...values(1, 1));
    bench.said();
    expect(bench.admit(values(1, 1, 4))).toEqual(["1/4"]);
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=1 iid=2"]);
  });

  test("what may have been lost is taken again", () => {
    const bench = opened();
    bench.admit(values(1, 1, 3));
    bench.admission.begin();
    expect(bench.admit(values(1, 1, 3))).toEqual(["1/1 1/2 1/3"]);
  });

  test("refused: the session wants it again, and its client is told from where", () => {
    const bench = opened();
    bench.refuse(values(1, 1, 2));
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=1 sequence=0 iid=1"]);
    expect(bench.admit(values(1, 2))).toEqual([]);
    expect(bench.admit(values(1, 1, 2))).toEqual(["1/1 1/2"]);
    bench.said();
    bench.refuse(values(1, 3, 5));
    bench.refuse(values(1, 3, 4), Judging.strict, P1, true);
    expect(bench.said().toSorted()).toEqual([
      "acknowledge to=c0 gap session=1 sequence=2 iid=1",
      "acknowledge to=p1 gap session=1 sequence=2 iid=0",
    ]);
    expect(bench.admit(values(1, 4))).toEqual([]);
    expect(bench.admit(values(1, 3, 4))).toEqual(["1/3 1/4"]);
  });

  test("discarded at delivery: wanted again from there", () => {
    const bench = opened();
    bench.admit(values(1, 1, 3));
    bench.deliver(...values(1, 2));
    bench.deliver(...values(1, 3));
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=1 sequence=0 iid=1"]);
    expect(bench.admit(values(1, 1, 3))).toEqual(["1/1 1/2 1/3"]);
  });

  test("runs of a message around what is not taken", () => {
    const bench = opened();
    bench.deliver(open(71));
    const mixed = [...values(1, 1), ...values(2, 2), ...values(1, 2), open(72), ...values(2, 1)];
    expect(bench.admit(mixed)).toEqual(["1/1", "1/2", "72/0 2/1"]);
  });

  test("a run behind what is not taken has all of its header, and its values", () => {
    const bench = opened();
    bench.deliver({ session: 1, sequence: 1, value: "one" });
    const message = batchOf(
      ["one", "two", "", "three!"].map((value, i) => ({ session: 1, sequence: i + 1, value })),
    );
    bench.admission.open(C0, message, 0, message.length, false, Judging.strict);
    expect(bench.admission.next()).toBe(true);
    const { bytes, offset, length } = bench.admission;
    const rest = batchOf(["two", "", "three!"].map((value, i) => ({ session: 1, sequence: i + 2, value })));
    expect([...bytes.subarray(offset, offset + length)]).toEqual([...rest]);
    expect(bench.admission.next()).toBe(false);
  });

  test("pieces are acknowledged as they come", () => {
    const bench = opened();
    const piece = { session: 1, sequence: 1, value: "v", flags: EntryFlag.more };
    bench.admit([piece]);
    bench.deliver(piece);
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=1 iid=2"]);
  });
});

describe("lenient: who leads and has not delivered all there is", () => {
  test("believes the first of a session, and then wants the next", () => {
    const bench = opened();
    expect(bench.admit(values(1, 7), Judging.lenient)).toEqual(["1/7"]);
    expect(bench.admit(values(1, 7), Judging.lenient)).toEqual([]);
    expect(bench.admit(values(1, 9), Judging.lenient)).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=1 sequence=7 iid=1"]);
    expect(bench.admit(values(1, 8), Judging.strict)).toEqual(["1/8"]);
  });

  test("what was believed and refused proves nothing: whatever the session begins with is taken", () => {
    for (const session of [1, 3]) {
      const bench = opened();
      bench.refuse(values(session, 5, 7), Judging.lenient);
      // Up to where all is on its way is not known.
      expect(bench.said()).toEqual([]);
      expect(bench.admit(values(session, 1), Judging.lenient)).toEqual([`${session}/1`]);
      expect(bench.admit(values(session, 2), Judging.lenient)).toEqual([`${session}/2`]);
      bench.refuse(values(session, 3, 4), Judging.lenient);
      expect(bench.said()).toEqual([expect.stringContaining(`gap session=${session} sequence=2`)]);
      expect(bench.admit(values(session, 3), Judging.lenient)).toEqual([`${session}/3`]);
    }
  });

  test("of a session from further up in the log the first is believed, also by a strict one", () => {
    const bench = opened();
    expect(bench.admit(values(3, 1, 4), Judging.strict)).toEqual(["3/1 3/2 3/3 3/4"]);
    expect(bench.admit(values(3, 3, 5), Judging.strict)).toEqual(["3/5"]);
    expect(bench.admit(values(3, 7), Judging.strict)).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=3 sequence=5 iid=0"]);
    bench.deliver();
    bench.deliver(open(73));
    // Now it is known, and goes on where it was, whoever judges.
    expect(bench.admit(values(3, 7), Judging.lenient)).toEqual([]);
    expect(bench.admit(values(3, 6, 7), Judging.strict)).toEqual(["3/6 3/7"]);
    bench.admission.begin();
    expect(bench.admit(values(3, 1), Judging.strict)).toEqual(["3/1"]);
  });

  test("of more such sessions than are kept each is believed again", () => {
    const bench = opened();
    for (let session = 3; session < 3 + 2 * 256; session++)
      expect(bench.admit(values(session, 1, 2))).toEqual([`${session}/1 ${session}/2`]);
    expect(bench.admit(values(514, 4))).toEqual([]);
    expect(bench.admit(values(3, 4))).toEqual(["3/4"]);
  });

  test("where that was discarded, the next is wanted", () => {
    const bench = opened();
    expect(bench.admit(values(2, 5, 6), Judging.lenient, P1, true)).toEqual(["2/5 2/6"]);
    bench.deliver(open(73));
    bench.deliver(...values(2, 5, 6));
    expect(bench.admit(values(2, 1, 2), Judging.strict, P1, true)).toEqual(["2/1 2/2"]);
  });
});

describe("who forwards", () => {
  test("lets pass what it cannot judge, and answers what it knows", () => {
    const bench = opened();
    bench.deliver(...values(1, 1));
    bench.said();
    expect(bench.admit([...values(1, 1), ...values(1, 5), ...values(1, 3)], Judging.pass)).toEqual([
      "1/5 1/3",
    ]);
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=1 iid=2"]);
  });

  test("passes on what the leader says to whoever uses the session here", () => {
    const bench = opened();
    bench.admission.passOn(AckKind.gap, 1, 4, 0);
    bench.admission.passOn(AckKind.opened, 1, 4, 0);
    bench.admission.passOn(AckKind.gap, 5, 4, 0);
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=1 sequence=4 iid=0"]);
  });

  test("when another leads, whoever waits for something is told from where to send again", () => {
    const bench = opened();
    bench.admit(values(1, 1, 5), Judging.pass);
    bench.deliver(...values(1, 1, 2));
    expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=2 iid=2"]);
    bench.admission.wantAgain();
    expect(bench.said()).toEqual(["acknowledge to=c0 gap session=1 sequence=2 iid=2"]);
    // Whoever has everything back, and whose values came by another proposer, is told nothing.
    bench.deliver(...values(1, 3, 5));
    bench.said();
    bench.admit(values(1, 6), Judging.pass, P1, true);
    bench.admission.wantAgain();
    expect(bench.said()).toEqual([]);
  });

  test("the leader answers it, of each session once a message", () => {
    const bench = opened();
    expect(bench.admit(values(1, 2, 4), Judging.strict, P1, true)).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=p1 gap session=1 sequence=0 iid=0"]);
    expect(bench.admit(values(1, 1), Judging.strict, P1, true)).toEqual(["1/1"]);
    bench.deliver(...values(1, 1));
    // The client is told by the proposer it speaks to, which is P1.
    expect(bench.said()).toEqual([]);
  });
});

describe("sessions that are gone", () => {
  test("are told expired, once a message", () => {
    const bench = opened();
    bench.deliver();
    bench.deliver();
    expect(bench.admit(values(2, 1, 3))).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=c0 expired session=2 sequence=0 iid=0"]);
  });

  test("evicted while their values are under way: told when they are sent again", () => {
    const bench = new AdmissionBench(1);
    bench.admit([open(70)]);
    bench.deliver(open(70));
    bench.admit(values(1, 1, 2));
    bench.deliver(open(71));
    bench.deliver(...values(1, 1));
    bench.outbox.take();
    expect(bench.admit(values(1, 1, 2))).toEqual([]);
    expect(bench.said()).toEqual(["acknowledge to=c0 expired session=1 sequence=0 iid=0"]);
  });

  test("ended by a value that is too large: told at once", () => {
    const bench = opened();
    bench.admit(values(1, 1));
    bench.deliver({ session: 1, sequence: 1, value: "x".repeat(1025) });
    expect(bench.said()).toEqual(["acknowledge to=c0 expired session=1 sequence=1 iid=2"]);
  });

  test("not known because the log was not read from its beginning: not judged", () => {
    const bench = new AdmissionBench();
    bench.iid = 100;
    bench.deliver();
    expect(bench.admit(values(2, 1))).toEqual(["2/1"]);
    expect(bench.said()).toEqual([]);
  });

  test("a place that another session has taken over is that one's", () => {
    const bench = new AdmissionBench(1);
    bench.admit([open(70)]);
    bench.deliver(open(70));
    bench.admit(values(1, 1));
    bench.deliver(...values(1, 1));
    bench.deliver(open(71));
    bench.deliver(...values(3, 1));
    // Nobody has used session 3 here.
    expect(bench.said()).toEqual(["acknowledge to=c0 opened session=1 sequence=70 iid=1"]);
  });
});

test("what frames have no room for is said in the next turn", () => {
  const bench = opened();
  bench.admit(values(1, 1));
  bench.deliver(...values(1, 1));
  bench.outbox.frames = 0;
  expect(bench.admission.flush()).toBe(true);
  bench.outbox.frames = 100;
  expect(bench.said()).toEqual(["acknowledge to=c0 delivered session=1 sequence=1 iid=2"]);
});
