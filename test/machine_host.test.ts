/**
 * What applies a state machine: values in order, results to whoever submitted them here, and what is told when a result cannot
 * be known.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Envelope, seal } from "../src/api/envelope.ts";
import { MachineHost, PENDING_LIMIT } from "../src/api/machine_host.ts";
import { OutcomeUnknownError, type StateMachine } from "../src/api/state_machine.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

test("an envelope gives back what was put into it; other values have none", () => {
  const envelope = new Envelope();
  fc.assert(
    fc.property(
      fc.nat().map((n) => n * 65_536 + 7),
      fc.nat(),
      fc.uint8Array({ maxLength: 20 }),
      (tag, number, command) => {
        const value = seal(tag, number, command);
        const at = envelope.open(value);
        expect([envelope.tag, envelope.number, value.subarray(at)]).toEqual([tag, number, command]);
        expect(envelope.open(command)).toBe(0);
        expect(envelope.tag).toBe(-1);
      },
    ),
  );
});

/** Its state is all commands, its results say where they were. */
class Tape implements StateMachine {
  readonly name = "tape";
  text = "";
  apply(command: Uint8Array, { iid, index }: { iid: number; index: number }): Uint8Array {
    this.text += textOf(command);
    return bytesOf(`${textOf(command)}@${iid}.${index}`);
  }
  snapshot(): Uint8Array {
    return bytesOf(this.text);
  }
  restore(bytes: Uint8Array): void {
    this.text = textOf(bytes);
  }
}

function bench(): {
  host: MachineHost;
  tape: Tape;
  sent: Uint8Array[];
  clock: { ms: number };
  log: string[];
  submit: (text: string) => void;
  deliver: (iid: number, value: Uint8Array) => void;
} {
  const tape = new Tape();
  const clock = { ms: 0 };
  const host = new MachineHost({ machine: tape, tag: 5, timeoutMs: 100, nowMs: () => clock.ms });
  const sent: Uint8Array[] = [];
  const log: string[] = [];
  const submit = (text: string): void => {
    host
      .submit(bytesOf(text), (value) => sent.push(value))
      .then(
        (result) => log.push(textOf(result)),
        (error: Error) =>
          log.push(`${text}: ${error instanceof OutcomeUnknownError ? "unknown: " : ""}${error.message}`),
      );
  };
  const deliver = (iid: number, value: Uint8Array): void => {
    host.take(iid, 0, true, 9, iid, value, 0, value.length);
    host.finished(iid);
  };
  return { host, tape, sent, clock, log, submit, deliver };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a machine's host", () => {
  test("applies in order, and tells results to whoever submitted here", async () => {
    const { host, tape, sent, log, submit, deliver } = bench();
    const delivered: number[] = [];
    host.onDelivered = (_session, sequence) => delivered.push(sequence);
    submit("a");
    submit("b");
    deliver(1, sent[0]!);
    deliver(2, seal(6, 0, bytesOf("other")));
    deliver(3, bytesOf("bare"));
    deliver(4, sent[1]!);
    await settle();
    expect(log).toEqual(["a@1.0", "b@4.0"]);
    expect(tape.text).toBe("aotherbareb");
    expect([host.applied, host.pending, delivered]).toEqual([4, 0, [1, 2, 3, 4]]);
  });

  test("a result that does not come in time is unknown, and the command is applied all the same", async () => {
    const { host, tape, sent, clock, log, submit, deliver } = bench();
    submit("a");
    clock.ms = 60;
    submit("b");
    clock.ms = 100;
    host.expire();
    await settle();
    expect(log).toEqual(["a: unknown: no result within 100 ms; the command may still be chosen"]);
    deliver(1, sent[0]!);
    deliver(2, sent[1]!);
    await settle();
    expect(log[1]).toBe("b@2.0");
    expect(tape.text).toBe("ab");
  });

  test("late results come with the reason, which is looked for once for all of them", async () => {
    const { host, clock, log, submit } = bench();
    let asked = 0;
    host.reason = () => `reason ${++asked}`;
    submit("a");
    submit("b");
    host.expire();
    expect(asked).toBe(0);
    clock.ms = 100;
    host.expire();
    await settle();
    const late = "no result within 100 ms; the command may still be chosen: reason 1";
    expect(log).toEqual([`a: unknown: ${late}`, `b: unknown: ${late}`]);
  });

  test("a read through the log that gets no answer has read nothing, and no command is in doubt", async () => {
    const { host, clock, log } = bench();
    host.reason = () => "nobody answers";
    const read = (): void => {
      host
        .read(() => undefined)
        .catch((error: Error) => log.push(`${error instanceof OutcomeUnknownError}: ${error.message}`));
    };
    read();
    clock.ms = 100;
    host.expire();
    read();
    host.uncertain(1);
    await settle();
    expect(log).toEqual([
      "false: nothing could be read within 100 ms: nobody answers",
      "false: the cluster has forgotten the session of this replica; nothing was read",
    ]);
    expect([host.pending, host.counters.unknown]).toEqual([0, 0]);
  });

  test("a snapshot, a lost session, an end: whoever waits is told that the outcome is unknown", async () => {
    const { host, log, submit } = bench();
    submit("a");
    submit("b");
    host.uncertain(0);
    host.uncertain(0);
    await settle();
    expect(log).toHaveLength(1);
    submit("c");
    // "c" waits here still: no snapshot can have it.
    host.restored(17, 2);
    expect(host.applied).toBe(17);
    await settle();
    expect(log).toHaveLength(2);
    host.close();
    await settle();
    expect(log.map((line) => line.slice(0, 10))).toEqual(["a: unknown", "b: unknown", "c: unknown"]);
    expect(host.counters).toEqual({ applied: 0, submitted: 3, unknown: 3 });
  });

  test("too many at once: one more is refused, and was not sent", async () => {
    const { sent, log, submit } = bench();
    for (let i = 0; i < PENDING_LIMIT; i++) submit("x");
    submit("y");
    await settle();
    expect(log).toEqual([`y: ${PENDING_LIMIT} commands wait already; this one was not submitted`]);
    expect(sent).toHaveLength(PENDING_LIMIT);
  });

  test("leaves nothing out", () => {
    expect(() => bench().host.skipped(1, 2)).toThrow("leaves nothing out");
  });
});

test("an empty command takes its place in the log and nothing else", async () => {
  const { host, tape, sent, deliver } = bench();
  const read = host.submit(new Uint8Array(0), (value) => sent.push(value));
  deliver(1, sent[0]!);
  expect(await read).toEqual(new Uint8Array(0));
  expect(tape.text).toBe("");
});
