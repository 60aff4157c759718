/**
 * Opens the storage of a backend in a directory, its arguments, commits a record, says so, and waits to be killed.
 */
import { writeSync } from "node:fs";
import type { Ballot } from "../../src/protocol/types.ts";
import { type Backend, openSmall, StorageModel } from "./storage_model.ts";

const [, , backend, directory] = process.argv;
const storage = openSmall(backend as Backend, directory!);
storage.replay(new StorageModel());
storage.accepted(6, 65536 as Ballot, 9, 0, new Uint8Array(5), 0, 5);
storage.commit();
writeSync(1, "held\n");
// What nobody refers to any more would be collected, and its lock with it.
setInterval(() => storage.durable(), 1000);
