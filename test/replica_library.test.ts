/**
 * `Replica`, the library's way to have a state replicated: what it refuses before it opens anything, and what it says before it runs,
 * and before anybody can have answered it. That it works is shown by `docs_library.e2e.test.ts`.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Replica, type ReplicaOptions } from "../src/api/replica.ts";
import type { ReadMode, StateMachine } from "../src/api/state_machine.ts";
import { parseConfig } from "../src/config/parse.ts";
import { Deliveries } from "../src/delivery/deliveries.ts";
import { KvClient } from "../src/kv/client.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { failure } from "./support/refusal.ts";
import { until } from "./support/until.ts";

const MEMBERS = "acceptor 0 127.0.0.1 1\nproposer 0 127.0.0.1 2\n";
const { config } = parseConfig(MEMBERS, "paxos.conf");
const NOTHING = new Uint8Array(0);

function machine(name: string): StateMachine {
  return { name, apply: () => NOTHING, snapshot: () => NOTHING, restore: () => undefined };
}

function newReplica(options: Partial<ReplicaOptions> = {}): Replica {
  const { log } = collectingLog();
  return new Replica({ config: config!, id: 3, machine: machine("nothing"), log, ...options });
}

test("an id, a patience or a name that makes no sense is refused at once", () => {
  for (const id of [-1, 1.5, 65_535, 70_000, Number.NaN, undefined as unknown as number])
    expect(() => newReplica({ id })).toThrow(
      new RangeError(`id ${id}: a replica's is a whole number from 0 to 65534`),
    );
  for (const timeoutMs of [0, -1, Number.NaN]) {
    expect(() => newReplica({ timeoutMs })).toThrow(/timeoutMs .* milliseconds above 0/);
    expect(() => new KvClient({ socket: "none" }, timeoutMs)).toThrow(RangeError);
  }
  for (const name of ["", "../../evil/x", "a b", "x".repeat(65)])
    expect(() => newReplica({ machine: machine(name) })).toThrow(/machine\.name .*: 1 to 64 letters/);
  for (const learner of [-1, 0.5, Number.NaN])
    expect(() => new Deliveries({ config: config!, learner })).toThrow(/learner .* from 0 to 65534/);
});

test("what is asked before it runs is refused at once, and a way to read that there is not at any time", async () => {
  const replica = newReplica();
  const submitted = await failure(replica.submit(new Uint8Array(1)));
  expect(submitted.message).toBe("the replica does not run: call run first; the command was not submitted");
  for (const mode of ["confirmed", "log"] as const)
    expect((await failure(replica.read(mode))).message).toContain("call run first; nothing was read");
  const weird = await failure(replica.read("weird" as ReadMode));
  expect(weird).toBeInstanceOf(TypeError);
  expect(weird.message).toBe("read mode weird: one of log, confirmed, local");
  await replica.close();
});

test("nobody is said to be silent who had no time to answer", async () => {
  const replica = newReplica();
  const ended = replica.run();
  expect(replica.status().reasons).toEqual([]);
  await Bun.sleep(20);
  expect(replica.status().reasons).toEqual([]);
  await until("the silence is noticed", () => replica.reasons().length > 0);
  expect(replica.reasons()[0]).toBe("acceptor 0 (127.0.0.1:1) does not answer, and 0 of 1 are no quorum");
  await replica.close();
  await ended;
});

test("two of one id cannot keep their snapshots in one file, and the next can when one has ended", async () => {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-replica-"));
  try {
    const { config: durable } = parseConfig(`${MEMBERS}snapshot-path ${directory}\n`, "paxos.conf");
    const one = newReplica({ config: durable! });
    expect(() => newReplica({ config: durable! })).toThrow(
      /nothing-3\.snapshot is in use by another process/,
    );
    const other = newReplica({ config: durable!, id: 4 });
    await Promise.all([one.close(), other.close()]);
    await newReplica({ config: durable! }).close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
