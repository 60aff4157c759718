/**
 * An acceptor that knows an instance to be chosen and has no record of it: how it says so, byte by byte, and what is refused
 * that says nearly the same.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { MAX_IID, NO_BALLOT, RepeatFlag } from "../src/protocol/types.ts";
import { type FrameFields, formatHex } from "../src/wire/frame_fields.ts";
import { HEADER_BYTES } from "../src/wire/native_layout.ts";
import { encodeNativeText } from "../src/wire/native_text.ts";
import { addressOf, CLUSTER, Endpoint, GROUP, memoryNetwork } from "./support/native_fixture.ts";
import { HELLO, HELLO_HEX } from "./support/native_stage.ts";

let acceptor: Endpoint;
let learner: Endpoint;

beforeEach(() => {
  const network = memoryNetwork();
  acceptor = new Endpoint(network, { role: "acceptor", id: 1 });
  learner = new Endpoint(network, { role: "learner", id: 0 });
});

const say = (iid: number): void =>
  acceptor.outbox.repeated(acceptor.peer("learner", 0), iid, NO_BALLOT, 0, RepeatFlag.known, HELLO, 0, 0);

test.each([1, 2 ** 32, MAX_IID])("of instance %d it is heard", (iid) => {
  say(iid);
  acceptor.send();
  expect(learner.hear()).toEqual([["onRepeated", "acceptor 1", 1, iid, 0, 0, RepeatFlag.known, ""]]);
  expect(learner.wire.counters).toMatchObject({ badField: 0, malformed: 0 });
});

test("its bytes: type 6, flag known, 32 bytes; the instance, ballot 0, life 0, a value of 0 bytes", () => {
  say(0x1_0000_0203);
  const [payload] = acceptor.sealed();
  expect(formatHex(payload!.subarray(HEADER_BYTES))).toBe(
    "06012000" + "0302000001000000" + "0000000000000000" + "0000000000000000" + "00000000",
  );
});

test("as many as a repeat is answered with take two frames", () => {
  for (let iid = 1; iid <= 64; iid++) say(iid);
  expect(acceptor.send()).toBe(2);
  expect(learner.hear()).toHaveLength(64);
});

describe("refused", () => {
  const none = { message: "acceptedValue", iid: 1, ballot: 0, life: 0, repeat: RepeatFlag.known, value: "" };

  function take(fields: FrameFields): string {
    const header = { from: "acceptor 1", to: "learner 0", life: 1, cluster: CLUSTER, group: GROUP };
    const made = encodeNativeText({ ...fields, ...header });
    if ("error" in made) throw new Error(made.error);
    const { badField } = learner.wire.counters;
    const calls = learner.take(made.payload.slice(0, -4), addressOf("acceptor", 1));
    return learner.wire.counters.badField > badField && calls.length === 0 ? "refused" : "taken";
  }

  for (let repeat = 0; repeat < 8; repeat++) {
    const result = repeat === RepeatFlag.known ? "taken" : "refused";
    test(`with flags ${repeat}: ${result}`, () => {
      expect(take({ ...none, repeat })).toBe(result);
    });
  }

  test("with a value", () => {
    expect(take({ ...none, value: HELLO_HEX })).toBe("refused");
  });

  test("of no instance", () => {
    expect(take({ ...none, iid: 0 })).toBe("refused");
  });
});
