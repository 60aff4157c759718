/**
 * Keeps something in a directory, and says so on its standard output once it may be relied on: `WHAT DIRECTORY`.
 */
import { writeSync } from "node:fs";
import { encodeSnapshot } from "../../src/delivery/snapshot.ts";
import { SnapshotFile } from "../../src/delivery/snapshot_file.ts";
import { RoundFile } from "../../src/node/round_file.ts";
import type { Ballot } from "../../src/protocol/types.ts";
import { type Backend, openSmall, StorageModel } from "./storage_model.ts";
import { until } from "./until.ts";

const CLUSTER = 1;
const [what = "", directory = ""] = process.argv.slice(2);

function snapshotFile(): SnapshotFile {
  return new SnapshotFile(directory, "learner-0", (error) => {
    throw error;
  });
}

async function keep(): Promise<void> {
  if (what === "snapshot") {
    const file = snapshotFile();
    const empty = new Uint8Array(0);
    file.write(encodeSnapshot({ kind: 0, iid: 7, logId: 5, table: empty, application: empty }, CLUSTER));
    await until("it is written", () => file.written === 7);
  } else if (what === "snapshot that is there") {
    if (snapshotFile().load(CLUSTER, 0)?.snapshot.iid !== 7) throw new Error("there is none");
  } else if (what === "ballot") {
    const file = new RoundFile(directory, "default", 0);
    file.read();
    file.write(101 as Ballot);
  } else {
    const storage = openSmall(what as Backend, directory, true);
    storage.replay(new StorageModel());
  }
}

await keep();
writeSync(1, "safe\n");
