/**
 * Bugs to be found: each is planted from outside, by changing what goes into a core or a storage when it is made.
 */
import type { Roles } from "../node/roles.ts";
import type { Receiver } from "../protocol/receiver.ts";
import type { Storage } from "../storage/storage.ts";

export interface Plant {
  readonly name: string;
  readonly storage?: (storage: Storage) => Storage;
  readonly receiver?: (roles: Roles) => Receiver;
}
