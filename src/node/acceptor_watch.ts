/**
 * Watches an acceptor: says how it has come to vote, and what its window holds; from half full on, who keeps it from being
 * trimmed, and how to go on.
 */
import { formatAddress } from "../net/address.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { Acceptor } from "../protocol/acceptor.ts";
import type { Voice } from "../protocol/birth.ts";
import type { TrimRule } from "../protocol/trim_rule.ts";
import type { CoreContext } from "./process.ts";
import type { Extra } from "./roles.ts";

const LOOK_US = 1_000_000;
const AGAIN_MS = 10_000;
const HALF = 0.5;
/** Between two lines that say what is held. */
const HOLDS_US = 60_000_000;

const VOICES: Readonly<Record<Voice, string>> = {
  kept: "goes on with what it has kept",
  born: "born with the cluster",
  alone: "told to begin without asking the others",
  recovered: "has recovered what the others hold",
};

export class AcceptorWatch implements Extra {
  readonly #context: CoreContext;
  readonly #acceptor: Acceptor;
  readonly #rule: TrimRule | null;
  #dueUs = 0;
  #refused = 0;
  #heldDueUs = 0;
  #heldIid = 0;
  #voice: Voice | null = null;

  /** `rule`: who has reported what; null in the Kernel_Paxos wire, where whoever trims simply says so. */
  constructor(context: CoreContext, acceptor: Acceptor, rule: TrimRule | null) {
    this.#context = context;
    this.#acceptor = acceptor;
    this.#rule = rule;
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    const { log, counters } = this.#acceptor;
    const refused = counters.refusedFull - this.#refused;
    this.#refused = counters.refusedFull;
    const { audience } = this.#acceptor;
    if (audience.refused > 0) {
      const text = `learners were turned away ${audience.refused} times: ${audience.count} listen already, which is the limit`;
      this.#context.log.once("audience", "warn", text, AGAIN_MS);
    }
    const fill = log.fill();
    const percent = Math.floor(fill * 100);
    if (fill < HALF) {
      this.#sayHeld(nowUs, percent);
      return;
    }
    const state = `the window is ${percent} % full (instances ${log.trimIid + 1} to ${log.highestIid})`;
    const effect = refused > 0 ? `, ${refused} messages were refused in the last second` : "";
    this.#context.log.once("window", "warn", () => `${state}${effect}: ${this.#cause(nowUs)}`, AGAIN_MS);
  }

  #sayHeld(nowUs: number, percent: number): void {
    const { trimIid, highestIid } = this.#acceptor.log;
    if (nowUs < this.#heldDueUs || highestIid === this.#heldIid) return;
    this.#heldDueUs = nowUs + HOLDS_US;
    this.#heldIid = highestIid;
    this.#context.log.info(`holds instances ${trimIid + 1} to ${highestIid}, ${percent} % of the window`);
  }

  /** Says how it has come to vote, at once. */
  pump(): boolean {
    const birth = this.#acceptor.fellows?.birth;
    const voice = birth?.voice ?? null;
    if (birth === undefined || voice === null || voice === this.#voice) return false;
    this.#voice = voice;
    this.#context.log.info(`votes: ${VOICES[voice]}, at generation ${birth.generation}`);
    return false;
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  #cause(nowUs: number): string {
    const rule = this.#rule;
    const fix = "run a learner with --cantrim, or raise acceptor-window-bytes and acceptor-window-instances";
    if (rule === null) return `no learner trims; ${fix}`;
    const slowest = rule.slowest(nowUs);
    if (slowest < 0) return `no learner that may trim is heard; ${fix}`;
    const { peers } = this.#context;
    const kind = this.#context.config.link;
    const where = formatAddress(kind, peers.addresses, slowest * ADDRESS_WORDS);
    return `the learner at ${where} (id ${peers.id[slowest]}) has acknowledged instance ${rule.reported(slowest)} only`;
  }
}
