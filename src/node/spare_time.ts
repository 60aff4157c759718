/**
 * What of its processors' time nobody used, as the kernel counts it (proc(5), `stat`): of those that the calling thread may run on, the time
 * they were idle or waited for a disk. What a hypervisor took is not to spare.
 */
import { readFileSync } from "node:fs";
import { allowedCpus, parseCpus } from "./cpus.ts";

/** Fields of a processor's line: user, nice, system, idle, iowait, irq, softirq, steal; what guests use is within user. */
const FIELDS = 8;
const IDLE = 3;
const IOWAIT = 4;

/** Sandboxes hide some of these files, and a process may be out of descriptors for a moment: then nothing is known to be spare. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

export class SpareTime {
  readonly #read: (path: string) => string;
  #spare = 0;
  #all = 0;

  /** `read`: the text of a file, "" where it cannot be read. */
  constructor(read: (path: string) => string = textOf) {
    this.#read = read;
  }

  /** The share since the last look, in 0…1; 0 the first time, and where nothing is counted. */
  look(): number {
    const [spareBefore, allBefore] = [this.#spare, this.#all];
    this.#count();
    const all = this.#all - allBefore;
    return allBefore > 0 && all > 0 ? Math.max(0, this.#spare - spareBefore) / all : 0;
  }

  #count(): void {
    this.#spare = 0;
    this.#all = 0;
    const allowed = new Set(parseCpus(allowedCpus(this.#read("/proc/thread-self/status")) ?? ""));
    for (const [, cpu, counts] of this.#read("/proc/stat").matchAll(/^cpu(\d+) (.*)$/gm)) {
      if (!allowed.has(Number(cpu))) continue;
      const fields = counts!.split(" ", FIELDS).map(Number);
      this.#spare += fields[IDLE]! + fields[IOWAIT]!;
      this.#all += fields.reduce((sum, field) => sum + field, 0);
    }
  }
}
