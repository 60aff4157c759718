/**
 * The setting `scheduling`: before whom a process runs.
 *
 * `realtime`: those of equal priority do not preempt each other, so a frame that wakes its receiver does not push its sender aside in
 * the middle of a batch; and no ordinary process keeps any of them waiting. All threads have it: compilers and collectors that wait
 * for a processor would keep the turns waiting. `auto`: the first of the two alone, for the thread of the turns (`patience.ts`).
 */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import type { Settings } from "../config/config.ts";
import { CliError, ExitCode } from "../error.ts";
import { Policy, schedulingPolicy, setPatient, setRealtime } from "../native/cpus.ts";
import { Patience, type PatientThread } from "./patience.ts";
import { SpareTime } from "./spare_time.ts";

/** "nanoseconds it ran, nanoseconds it waited, how often it ran", of the thread that opens it. */
const WAITS = "/proc/thread-self/schedstat";

/** What a process has of its setting until it ends. */
export interface Scheduled {
  readonly patience?: Patience;
  /** Gives the priority back. */
  restore(): void;
}

const ZERO = 48;
const AS_STARTED: Scheduled = { restore: () => {} };

/** Nodes for which this process was made real-time: an application may contain several. The last one to end gives it back. */
let holders = 0;
/** Nodes whose turns the calling thread runs at `auto`, and what they share. */
let patientNodes = 0;
let shared: { readonly thread: CallingThread; readonly patience: Patience } | undefined;

class CallingThread implements PatientThread {
  waitedUs = 0;
  runs = 0;
  readonly setPatient = setPatient;
  readonly #file: number;
  readonly #bytes = new Uint8Array(96);
  readonly #numbers = new Float64Array(3);

  constructor() {
    this.#file = openSync(WAITS, "r");
    this.look();
  }

  /** Leaves nothing to collect: it happens ten times a second. */
  look(): void {
    const length = readSync(this.#file, this.#bytes, 0, this.#bytes.length, 0);
    this.#numbers.fill(0);
    let field = 0;
    for (let i = 0; i < length; i++) {
      const digit = this.#bytes[i]! - ZERO;
      if (digit < 0) field++;
      else this.#numbers[field] = 10 * this.#numbers[field]! + digit;
    }
    this.waitedUs = this.#numbers[1]! / 1000;
    this.runs = this.#numbers[2]!;
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Whoever started the process at a policy of its own meant it so; a thread that spins is never woken. */
export function schedule({ scheduling, busyPoll }: Pick<Settings, "scheduling" | "busyPoll">): Scheduled {
  if (scheduling === "realtime") return realtime();
  return scheduling === "auto" && !busyPoll ? patient() : AS_STARTED;
}

/** Undefined: the kernel does not count (CONFIG_SCHED_INFO), or a sandbox hides it, so nobody can tell when patience is dear. */
function callingThread(): CallingThread | undefined {
  if (!existsSync(WAITS)) return undefined;
  const thread = new CallingThread();
  // It runs now, so it has run.
  if (thread.runs > 0) return thread;
  thread.close();
  return undefined;
}

function patient(): Scheduled {
  if (patientNodes === 0) {
    const thread = schedulingPolicy() === Policy.other ? callingThread() : undefined;
    if (thread === undefined) return AS_STARTED;
    shared = { thread, patience: new Patience(thread, new SpareTime()) };
  }
  patientNodes++;
  const { patience } = shared!;
  return {
    patience,
    restore: () => {
      if (--patientNodes > 0) return;
      patience.end();
      shared!.thread.close();
      shared = undefined;
    },
  };
}

function isRealtime(): boolean {
  const policy = schedulingPolicy();
  return policy === Policy.fifo || policy === Policy.roundRobin || policy === Policy.deadline;
}

function realtime(): Scheduled {
  if (holders === 0 && isRealtime()) return AS_STARTED;
  if (holders === 0 && !setRealtime(true)) {
    throw new CliError("scheduling realtime: this process may not", {
      exitCode: ExitCode.noPermission,
      hint: "run it as root, give the program CAP_SYS_NICE, or allow a real-time priority of 1 (ulimit -r)",
    });
  }
  holders++;
  return {
    restore: () => {
      // A Worker cannot know whether others of this process count on it.
      if (--holders === 0 && Bun.isMainThread) setRealtime(false);
    },
  };
}
