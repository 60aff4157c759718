/**
 * Writes turns drawn from a seed into a storage, and says after each commit that it has returned: DIRECTORY SEED COMMITS SYNC.
 * Half way it closes the storage and opens it again.
 */
import { writeSync } from "node:fs";
import { openSqlite } from "../../src/storage/sqlite_open.ts";
import { seededRandom } from "./random.ts";
import { MOST_BYTES, optionsIn, StorageModel, Turns } from "./storage_model.ts";

const [directory, seed, commits, sync] = process.argv.slice(2);
const options = optionsIn(directory!, { checkpointPages: 12, sync: sync === "yes" });
let storage = openSqlite(options);
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
  storage = openSqlite(options);
  storage.replay(new StorageModel());
}
storage.close();
