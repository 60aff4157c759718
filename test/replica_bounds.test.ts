/**
 * What waits in a replica is bounded, also when the cluster does not answer and nobody waits for results any more.
 */
import { expect, test } from "bun:test";
import { buildReplica, type ReplicaParts, WAITING_BYTES } from "../src/api/build_replica.ts";
import { MachineHost, PENDING_LIMIT } from "../src/api/machine_host.ts";
import type { StateMachine } from "../src/api/state_machine.ts";
import { Role } from "../src/protocol/types.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";

const NOTHING = new Uint8Array(0);
const machine: StateMachine = {
  name: "nothing",
  apply: () => NOTHING,
  snapshot: () => NOTHING,
  restore: () => undefined,
};

/** A replica that nobody answers; `submit` says how a command was refused, or that its result never came. */
function lonely(): { submit(bytes: number): Promise<string>; expire(): void } {
  const cluster = new MemoryCluster({ seed: 1, wire: "native", settings: ["max-value-size 4MiB"] });
  let nowMs = 0;
  const host = new MachineHost({ machine, tag: 1, timeoutMs: 1000, nowMs: () => nowMs });
  let parts: ReplicaParts | undefined;
  cluster.start("kv", 5, Role.learner | Role.client, Role.learner, (context) => {
    parts = buildReplica(context, { host, machine, votes: false, timeoutMs: 1000 });
    return parts;
  });
  return {
    submit: (bytes) =>
      host
        .submit(new Uint8Array(bytes), (value) => parts!.submit(value))
        .then(
          () => "applied",
          (error: Error) => error.message,
        ),
    expire: () => {
      nowMs += 1001;
      host.expire();
    },
  };
}

test("commands: those given up count, for they are sent all the same", async () => {
  const replica = lonely();
  const given = Array.from({ length: PENDING_LIMIT }, () => replica.submit(1));
  expect(await replica.submit(1)).toContain("commands wait already; this one was not submitted");
  replica.expire();
  expect(new Set(await Promise.all(given))).toEqual(
    new Set(["no result within 1000 ms; the command may still be chosen"]),
  );
  expect(await replica.submit(1)).toContain("too many commands wait for the cluster already");
});

test("bytes", async () => {
  const replica = lonely();
  const size = 3 << 20;
  const fit = Math.floor(WAITING_BYTES / size);
  const given = Array.from({ length: fit }, () => replica.submit(size));
  expect(await replica.submit(size)).toContain("too many commands wait for the cluster already");
  replica.expire();
  expect((await Promise.all(given)).every((text) => text.startsWith("no result"))).toBe(true);
});
