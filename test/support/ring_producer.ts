/** The producing process of test/ring.test.ts. */
import { Ring } from "../../src/native/ring.ts";
import { SharedMemory } from "../../src/native/shared_memory.ts";

const memory = SharedMemory.open(process.env.RING_FILE!);
const ring = Ring.attach(memory, 0);
let state = 99;
for (let n = 0; n < Number(process.env.RECORDS); n++) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  const length = (state >>> 0) % 200;
  let at = ring.reserve(length, n);
  while (at < 0) at = ring.reserve(length, n);
  for (let i = 0; i < length; i++) memory.bytes[at + i] = n + i;
  ring.submit();
}
ring.closeProducer();
memory.close();
