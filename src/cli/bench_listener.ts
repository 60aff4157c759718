/** How far `kpaxos bench` is, line by line on standard error. */
import type { BenchListener } from "../bench/run.ts";
import { createLog } from "../log.ts";
import { grouped } from "../text/grouped.ts";

export function listenerOf(): BenchListener {
  const log = createLog("info", "bench");
  let at = "";
  return {
    note: (text) => log.info(text),
    begins: (_what, done, all) => {
      at = `${done + 1} of ${all}`;
    },
    measured: (what, valuesPerSecond, p50) =>
      log.info(`${at}: ${what}: ${grouped(valuesPerSecond)} values/s, p50 ${p50} µs as sent`),
  };
}
