/**
 * Fills the storage (BACKEND DIRECTORY COMMITS), commit by commit, until one fails or it has made so many; says how
 * many have returned, and with which error it ended.
 */
import { writeSync } from "node:fs";
import type { Ballot } from "../../src/protocol/types.ts";
import { openLog } from "../../src/storage/log_open.ts";
import { openSqlite } from "../../src/storage/sqlite_open.ts";
import { logOptionsIn, optionsIn, StorageModel } from "./storage_model.ts";

const [backend, directory, most] = process.argv.slice(2);
const say = (what: object): number => writeSync(1, `${JSON.stringify(what)}\n`);
const warn = (warned: string): number => say({ warned });
const storage =
  backend === "log"
    ? openLog(logOptionsIn(directory!, { mostRegions: 1000, warn }))
    : openSqlite(optionsIn(directory!, { checkpointPages: 16, warn }));
storage.replay(new StorageModel());
const value = new Uint8Array(1000);
let commits = 0;
try {
  while (commits < Number(most)) {
    storage.accepted(commits + 1, 65536 as Ballot, 9, 0, value, 0, value.length);
    storage.commit();
    commits++;
  }
  say({ commits });
} catch (error) {
  say({ commits, error: error instanceof Error ? error.message : error });
}
storage.close();
