/**
 * A replica of a key-value store in a simulated cluster, built as a program's is.
 */
import { buildReplica, type ReplicaParts, type ReplicaPlan } from "../../src/api/build_replica.ts";
import { MachineHost } from "../../src/api/machine_host.ts";
import { encodeCommand, put } from "../../src/kv/command.ts";
import { KvStore } from "../../src/kv/store.ts";
import { Role } from "../../src/protocol/types.ts";
import { collectingLog, type Line } from "./collecting_log.ts";
import type { Host, MemoryCluster } from "./memory_cluster.ts";

const TIMEOUT_MS = 10_000;

export interface StoreReplica {
  readonly host: Host;
  readonly store: KvStore;
  readonly parts: ReplicaParts;
  readonly lines: Line[];
  /** Puts a key; returns what became of it, as it is now. */
  put(key: string, value: string): { done: boolean; failed: Error | undefined };
}

/** As learner `id`. */
export function storeReplica(
  cluster: MemoryCluster,
  id: number,
  plan: Partial<ReplicaPlan> = {},
): StoreReplica {
  const { log, lines } = collectingLog();
  const store = new KvStore();
  const nowMs = (): number => cluster.nowUs / 1000;
  const machine = new MachineHost({ machine: store, tag: 1000 + id, timeoutMs: TIMEOUT_MS, nowMs });
  let parts: ReplicaParts | undefined;
  const host = cluster.start(`store ${id}`, id, Role.learner | Role.client, Role.learner, (context) => {
    const fixed = { host: machine, machine: store, votes: false, timeoutMs: TIMEOUT_MS };
    parts = buildReplica({ ...context, log }, { ...fixed, ...plan });
    return parts;
  });
  return {
    host,
    store,
    parts: parts!,
    lines,
    put: (key, value) => {
      const outcome = { done: false, failed: undefined as Error | undefined };
      machine.begin(
        encodeCommand(put(key, new TextEncoder().encode(value))),
        (sealed) => parts!.submit(sealed),
        {
          resolve: () => {
            outcome.done = true;
          },
          reject: (error) => {
            outcome.failed = error;
          },
        },
      );
      return outcome;
    },
  };
}

export function storedValue(store: KvStore, key: string): string | undefined {
  const entry = store.get(key);
  return entry === undefined ? undefined : new TextDecoder().decode(entry.value);
}
