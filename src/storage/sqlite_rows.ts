/**
 * The rows of one table, keyed by instance: how many there are and the sum of their checksums, so that a row that is
 * missing is seen as surely as one that has changed; and trimming, a bounded number of instances at a time.
 */
import type { Database, Statement } from "bun:sqlite";
import { assert } from "../protocol/assert.ts";

export class Rows {
  count = 0;
  /** Of the rows' checksums, modulo 2^32. */
  sum = 0;
  /** No row is below this one … */
  #lowest = 1;
  /** … or above that one. */
  #highest = 0;
  readonly #at: Statement<{ crc: number }, [number]>;
  readonly #upTo: Statement<{ count: number; sum: number }, [number]>;
  readonly #delete: Statement<unknown, [number]>;

  constructor(database: Database, table: "promise" | "record") {
    this.#at = database.prepare(`SELECT crc FROM ${table} WHERE iid = ?`);
    this.#upTo = database.prepare(`SELECT count(*) AS count, total(crc) AS sum FROM ${table} WHERE iid <= ?`);
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE iid <= ?`);
  }

  /** A row that is there. */
  found(iid: number, crc: number): void {
    if (this.count === 0 || iid < this.#lowest) this.#lowest = iid;
    if (iid > this.#highest) this.#highest = iid;
    this.count++;
    this.sum = (this.sum + crc) >>> 0;
  }

  /** To be called before a row is written; true: it takes another's place. */
  put(iid: number, crc: number): boolean {
    const former = iid <= this.#highest && this.count > 0 ? this.#at.get(iid) : null;
    if (former !== null) {
      this.count--;
      this.sum = (this.sum - former.crc) >>> 0;
    }
    this.found(iid, crc);
    return former !== null;
  }

  /** Deletes rows ≤ `last`, of the lowest `limit` instances only: a later call goes on. Returns their number. */
  trim(last: number, limit: number): number {
    if (this.count === 0 || this.#lowest > last) return 0;
    const end = Math.min(last, this.#lowest + limit - 1);
    const gone = this.#upTo.get(end)!;
    this.#delete.run(end);
    this.count -= gone.count;
    this.sum = (this.sum - gone.sum) >>> 0;
    this.#lowest = end + 1;
    assert(this.count >= 0, "no more rows are deleted than were written");
    return gone.count;
  }
}
