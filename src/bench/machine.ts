/**
 * What this machine is, as far as figures depend on it.
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { VERSION } from "../node/version.ts";
import type { Machine } from "./result.ts";

export type MachineFacts = Omit<Machine, "loadAfter">;

export function machineFacts(): MachineFacts {
  return {
    cpu: cpuName(),
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: `Linux ${release()}`,
    bun: Bun.version,
    kpaxos: VERSION,
    loadBefore: load(),
  };
}

export function load(): number[] {
  return loadavg().map((one) => Math.round(one * 100) / 100);
}

function cpuName(): string {
  const name = cpus()[0]?.model.trim();
  if (name !== undefined && name !== "" && name !== "unknown") return name;
  return (
    /^(?:Hardware|CPU part|cpu model)\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ??
    "unknown"
  );
}
