/**
 * Writes turns drawn from a seed into a storage, and says after each commit that it has returned: BACKEND DIRECTORY SEED COMMITS
 * SYNC.
 * Half way it closes the storage and opens it again.
 */
import { writeSync } from "node:fs";
import { seededRandom } from "./random.ts";
import { BACKENDS, MOST_BYTES, openSmall, StorageModel, Turns } from "./storage_model.ts";

const [name, directory, seed, commits, sync] = process.argv.slice(2);
const backend = BACKENDS.find((one) => one === name)!;
const open = () => openSmall(backend, directory!, sync === "yes");
let storage = open();
storage.replay(new StorageModel());
const turns = new Turns(
  seededRandom(Number(seed)),
  [
    {
      promised: (...all) => storage.promised(...all),
      promisedAt: (...all) => storage.promisedAt(...all),
      accepted: (...all) => storage.accepted(...all),
      trimmed: (...all) => storage.trimmed(...all),
      standing: (...all) => storage.standing(...all),
    },
  ],
  MOST_BYTES,
);
for (let i = 1; i <= Number(commits); i++) {
  turns.turn();
  storage.commit();
  writeSync(1, `committed ${i}\n`);
  if (i !== Math.floor(Number(commits) / 2)) continue;
  storage.close();
  storage = open();
  storage.replay(new StorageModel());
}
storage.close();
