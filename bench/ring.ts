/**
 * The ring between two views in one thread, so without the price of moving cache lines between cores; and what a call
 * into C costs, which the ring avoids per record.
 */
import { library } from "../src/native/library.ts";
import { Ring } from "../src/native/ring.ts";
import type { Add } from "./support/task.ts";

const CAPACITY = 1 << 16;
const RECORD_BYTES = 64;
const BATCH = 32;
const CALLS = 1000;
/** What was read must count, or the compiler drops the reading. */
const sink = new Int32Array(1);

/** Fills a record's payload word by word, as a producer of real values would touch it. */
function fill(words: Int32Array, offset: number, value: number): void {
  for (let word = offset >> 2, end = word + RECORD_BYTES / 4; word < end; word++) words[word] = value;
}

function sum(words: Int32Array, offset: number): number {
  let total = 0;
  for (let word = offset >> 2, end = word + RECORD_BYTES / 4; word < end; word++) total += words[word]!;
  return total;
}

function twoViews(): { words: Int32Array; producer: Ring; consumer: Ring } {
  const buffer = new ArrayBuffer(Ring.bytesFor(CAPACITY));
  const memory = { bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
  const producer = Ring.create(memory, 0, CAPACITY);
  return { words: memory.words, producer, consumer: Ring.attach(memory, 0) };
}

export function ringBench(add: Add): void {
  add("ring: 64 B record, published and released alone", BATCH, () => {
    const { words, producer, consumer } = twoViews();
    return () => {
      for (let i = 0; i < BATCH; i++) {
        fill(words, producer.reserve(RECORD_BYTES, 1), i);
        producer.submit();
        if (consumer.peek()) sink[0]! += sum(words, consumer.recordOffset);
        consumer.release();
      }
    };
  });
  add(`ring: 64 B record, ${BATCH} in one batch`, BATCH, () => {
    const { words, producer, consumer } = twoViews();
    return () => {
      for (let i = 0; i < BATCH; i++) fill(words, producer.reserve(RECORD_BYTES, 1), i);
      producer.submit();
      while (consumer.peek()) sink[0]! += sum(words, consumer.recordOffset);
      consumer.release();
    };
  });
  add("FFI: a call that does nothing", CALLS, () => {
    const c = library();
    return () => {
      for (let i = 0; i < CALLS; i++) sink[0]! += c.kpx_ring_bytes(CAPACITY);
    };
  });
}
