/**
 * Watches an acceptor: says how it has come to vote, or why it does not, and what its window holds; from half full on, who
 * keeps it from being trimmed, and how to go on.
 */
import { formatAddress } from "../net/address.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { Acceptor } from "../protocol/acceptor/acceptor.ts";
import type { TrimRule } from "../protocol/acceptor/trim_rule.ts";
import { outlivedError, outlivedText, silenceText, voiceText } from "./acceptor_voice.ts";
import type { CoreContext } from "./context.ts";
import { Growth } from "./growth.ts";
import type { Extra } from "./roles.ts";

const LOOK_US = 1_000_000;
const AGAIN_MS = 10_000;
const HALF = 0.5;
/** Between two lines that say what is held. */
const HOLDS_US = 60_000_000;
/** A cluster that is being started needs a moment. */
const SILENCE_US = 2_000_000;

export class AcceptorWatch implements Extra {
  readonly #context: CoreContext;
  readonly #acceptor: Acceptor;
  readonly #rule: TrimRule | null;
  #dueUs = 0;
  #refused = 0;
  #heldDueUs = 0;
  #heldIid = 0;
  #firstUs = 0;
  readonly #growth = new Growth();
  #toldVoice = false;
  #toldOutlived = 0;

  /** `rule`: who has reported what; null in the Kernel_Paxos wire, where whoever trims simply says so. */
  constructor(context: CoreContext, acceptor: Acceptor, rule: TrimRule | null) {
    this.#context = context;
    this.#acceptor = acceptor;
    this.#rule = rule;
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    this.#lookAtVoice(nowUs);
    this.#lookAtRefusals();
    const { log, counters } = this.#acceptor;
    const refused = counters.refusedFull - this.#refused;
    this.#refused = counters.refusedFull;
    const { audience } = this.#acceptor;
    if (this.#growth.of("audience", audience.refused)) {
      const text = `learners were turned away ${audience.refused} times: ${audience.count} listen already, which is the limit; end some, or have clients ask a learner host (--learner)`;
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

  /** Says how it has come to vote, at once; or ends a process whose acceptor may not vote with what it keeps. */
  pump(): boolean {
    this.#lookWhetherOutlived();
    if (this.#toldVoice || !this.#acceptor.isVoting) return false;
    this.#toldVoice = true;
    const told = voiceText(this.#acceptor);
    if (told?.warns === true) this.#context.log.warn(told.text);
    else if (told !== undefined) this.#context.log.info(told.text);
    return false;
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  #lookWhetherOutlived(): void {
    const { fellows } = this.#acceptor;
    const outlivedBy = fellows?.birth.outlivedBy ?? 0;
    if (outlivedBy === this.#toldOutlived) return;
    this.#toldOutlived = outlivedBy;
    if (outlivedBy === 0) return;
    const { log, storage, config } = this.#context;
    if (!storage.forgets) throw outlivedError(this.#acceptor, config.settings);
    log.warn(outlivedText(this.#acceptor));
    this.#toldVoice = false;
  }

  #lookAtVoice(nowUs: number): void {
    if (this.#firstUs === 0) this.#firstUs = nowUs;
    const { fellows, isVoting } = this.#acceptor;
    if (fellows === null || isVoting || nowUs - this.#firstUs < SILENCE_US) return;
    const { config, log } = this.#context;
    log.once("voice", "warn", () => silenceText(fellows, config.acceptors.length), AGAIN_MS);
  }

  #lookAtRefusals(): void {
    const { trimsRefused, leasesTooLong } = this.#acceptor.counters;
    const { log } = this.#context;
    if (this.#growth.of("trims", trimsRefused)) {
      const text = `${trimsRefused} trims were refused: of learners that never said hi, or beyond what this acceptor has heard of`;
      log.once("trims", "info", text, AGAIN_MS);
    }
    if (this.#growth.of("leases", leasesTooLong)) {
      const text =
        "the leader asks for longer leases than `lease` says here: it must be the same in every paxos.conf";
      log.once("leases", "warn", text, AGAIN_MS);
    }
  }

  #cause(nowUs: number): string {
    const rule = this.#rule;
    const larger = "raise acceptor-window-bytes and acceptor-window-instances";
    if (rule === null) {
      const { trimIid } = this.#acceptor.log;
      return trimIid === 0
        ? `no learner has trimmed yet; run one with --cantrim, or ${larger}`
        : `no learner has trimmed behind instance ${trimIid}; see whether one with --cantrim runs and keeps up, lower its trim-every, or ${larger}`;
    }
    const slowest = rule.slowest(nowUs);
    if (slowest < 0) {
      const expected = this.#context.config.learners.length > 0;
      const whose = expected ? "no learner or replica of paxos.conf is heard" : "no learner is heard";
      return `${whose} that may trim: start one, or ${larger}`;
    }
    const { peers } = this.#context;
    const kind = this.#context.config.link;
    const where = formatAddress(kind, peers.addresses, slowest * ADDRESS_WORDS);
    const { count, strong } = rule.counted(nowUs);
    const whose = strong ? "learner" : "learner without applications";
    const of = count > 1 ? `, the last of ${count} that count (trim-rule ${rule.policy})` : "";
    return `the ${whose} at ${where} (id ${peers.id[slowest]}) has acknowledged instance ${rule.reported(slowest)} only${of}; its log says why: it or a reader of it is slow, or it alone has a state`;
  }
}
