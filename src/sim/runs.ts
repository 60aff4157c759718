/**
 * Values that come several at once, as real learners take them under load: which of them are taken so is drawn, and each is then
 * looked at like one that came alone.
 */
import { BatchReader } from "../protocol/batch.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import { Violation } from "./violation.ts";

export type Run = Parameters<NonNullable<ValueConsumer["takeRun"]>>;
/** Whether the next run is taken at once; else its values come one after the other. */
export type TakesRuns = () => boolean;

export class RunReader {
  readonly #name: string;
  readonly #consumer: Pick<ValueConsumer, "take">;
  readonly #reader = new BatchReader();

  /** `consumer`: takes every value. */
  constructor(name: string, consumer: Pick<ValueConsumer, "take">) {
    this.#name = name;
    this.#consumer = consumer;
  }

  take(...[iid, index, count, isLast, session, sequence, bytes, offset, length]: Run): void {
    const reader = this.#reader;
    reader.open(bytes, offset, length);
    let taken = 0;
    for (; reader.next(); taken++) {
      const isOfRun = reader.flags === 0 && reader.isShort === taken > 0 && taken < count;
      if (!isOfRun || reader.session !== session || reader.sequence !== sequence + taken) {
        const what = `${this.#name} is given a run of ${count} from ${session}/${sequence} on at ${iid}.${index}`;
        throw new Violation(
          "integrity",
          `${what}, and value ${taken} of it is ${reader.session}/${reader.sequence}`,
        );
      }
      const isEnd = isLast && taken === count - 1;
      const { valueOffset, valueLength } = reader;
      this.#consumer.take(
        iid,
        index + taken,
        isEnd,
        session,
        sequence + taken,
        bytes,
        valueOffset,
        valueLength,
      );
    }
    if (taken === count) return;
    throw new Violation(
      "integrity",
      `${this.#name} is given ${taken} values for a run of ${count} at ${iid}.${index}`,
    );
  }
}
