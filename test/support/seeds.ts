/**
 * One body for many seeds; `KPAXOS_SEEDS` times as many.
 */
import { test } from "bun:test";

const MORE = Number(process.env.KPAXOS_SEEDS ?? 1);
const TIMEOUT_MS = 90_000;

/** The seeds of different tests differ. */
export function seeds(name: string, count: number, body: (seed: number) => void): void {
  const first = Bun.hash.crc32(name) % 1_000_000;
  test(
    `${name} (${count} seeds)`,
    () => {
      for (let seed = first; seed < first + count * MORE; seed++) body(seed);
    },
    TIMEOUT_MS * MORE,
  );
}
