/**
 * Opens the storage in the directory of its argument, commits a record, says so, and waits to be killed.
 */
import { writeSync } from "node:fs";
import type { Ballot } from "../../src/protocol/types.ts";
import { openSqlite } from "../../src/storage/sqlite_open.ts";
import { optionsIn, StorageModel } from "./storage_model.ts";

const storage = openSqlite(optionsIn(process.argv[2]!));
storage.replay(new StorageModel());
storage.accepted(6, 65536 as Ballot, 9, 0, new Uint8Array(5), 0, 5);
storage.commit();
writeSync(1, "held\n");
// What nobody refers to any more would be collected, and its lock with it.
setInterval(() => storage.durable(), 1000);
