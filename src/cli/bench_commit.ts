/**
 * `kpaxos bench commit`: what a synced commit takes on a disk, alone and where all acceptors of a cluster share it.
 */
import { DISK_BACKENDS, type DiskBackend } from "../bench/committer.ts";
import type { SyncPrice } from "../bench/sync_price.ts";
import { ExitCode } from "../error.ts";
import { usageError } from "./args.ts";
import { oneOf } from "./bench_lists.ts";
import { type ArgsDef, type ArgValues, defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { stoppable } from "./stoppable.ts";

const commitArgs = {
  storage: {
    type: "string",
    valueHint: "LIST",
    listOf: DISK_BACKENDS,
    default: DISK_BACKENDS.join(","),
    description: DISK_BACKENDS.join(", "),
  },
  "storage-path": {
    type: "string",
    valueHint: "DIR",
    description: "a directory on the disk that is meant (default: $TMPDIR)",
  },
  acceptors: {
    type: "integer",
    alias: "a",
    min: 1,
    max: 250,
    default: 3,
    description: "processes that commit at once",
  },
  commits: {
    type: "integer",
    min: 1,
    max: 100_000,
    default: 500,
    description: "so many alone, of a quorum, and appends",
  },
  "when-told": {
    type: "boolean",
    description: "be one of those processes: in --storage-path, a record for each byte on standard input",
  },
  json: { type: "boolean", description: "print the figures as one JSON object" },
} as const satisfies ArgsDef;
type CommitArgs = ArgValues<typeof commitArgs>;
/** Flags that say nothing to a process that commits when it is told. */
const NOT_WHEN_TOLD = /^(--acceptors|-a|--commits|--json)(=|$)/;

export const commitCommand = defineKpaxosCommand({
  meta: {
    name: "commit",
    description: "what a synced commit takes on a disk, alone and beside others",
    examples: [
      { command: "kpaxos bench commit", what: "both backends, in $TMPDIR" },
      { command: "kpaxos bench commit --storage-path /var/lib/kpaxos", what: "on the disk that is meant" },
      { command: "kpaxos bench commit --acceptors 5 --storage log", what: "with five acceptors on it" },
    ],
    notes: [
      "Alone: one process commits a record of 100 bytes, again and again, with nobody else on the disk. A quorum at once: as many " +
        "processes as there are acceptors are told together, each with a storage of its own; from then until a majority is done; " +
        "the pipes they are told through are in it. Who is not done by then goes on, and begins its next commit afterwards. " +
        "Append: 100 bytes to the end of a file, and fdatasync. They take turns; all figures are medians.",
    ],
  },
  args: commitArgs,
  run: async ({ args, rawArgs }) => {
    const backends = oneOf("--storage", args.storage, DISK_BACKENDS);
    if (args["when-told"] === true) return await commitWhenTold(args, rawArgs, backends);
    const { syncPrice } = await import("../bench/sync_price.ts");
    const { acceptors, commits, "storage-path": storagePath } = args;
    const prices: (SyncPrice & { readonly storage: string })[] = [];
    await stoppable(async (stop) => {
      for (const backend of backends) {
        const price = await syncPrice({ backend, storagePath, acceptors, commits, stop });
        prices.push({ storage: backend, ...price });
      }
    });
    if (args.json === true) printJson({ acceptors, commits, prices });
    else await printPrices(acceptors, prices);
    return ExitCode.ok;
  },
});

async function commitWhenTold(
  args: CommitArgs,
  rawArgs: readonly string[],
  backends: readonly DiskBackend[],
): Promise<ExitCode> {
  const useless = rawArgs.find((arg) => NOT_WHEN_TOLD.test(arg));
  if (useless !== undefined)
    throw usageError(`${useless} says nothing to one process that is told when to commit`, "leave it out");
  const [backend, ...more] = backends;
  const directory = args["storage-path"];
  if (directory === undefined || more.length > 0)
    throw usageError("--when-told needs --storage-path DIR, and one backend: --storage log");
  const { commitWhenTold } = await import("../bench/commit_when_told.ts");
  await commitWhenTold(backend!, directory);
  return ExitCode.ok;
}

async function printPrices(
  acceptors: number,
  prices: readonly (SyncPrice & { readonly storage: string })[],
): Promise<void> {
  const { aligned } = await import("../bench/table.ts");
  const titles = ["p50 µs", "alone", `a quorum of ${acceptors} at once`, "append"];
  const rows = prices.map(({ storage, aloneUs, quorumUs, appendUs }) => [
    storage,
    ...[aloneUs, quorumUs, appendUs].map((us) => us.toFixed(0)),
  ]);
  for (const line of aligned([titles, ...rows])) print(line);
}
