/**
 * Looks once a second whether a process gets on, and says why not: once when it stops, again every ten seconds while
 * it stands still, and once when it goes on. One that has nothing to do and hears nobody says so, too, and hardly ever again.
 */
import type { Log } from "../log.ts";
import type { LinkCounters } from "../net/link.ts";
import type { WireCounters } from "../wire/wire.ts";
import {
  diagnose,
  multicastReasons,
  ofValues,
  otherCluster,
  otherWire,
  type Patient,
  SILENT_US,
  snapshotReason,
  wrongKey,
} from "./diagnose.ts";
import { Growth, since } from "./growth.ts";
import type { Extra } from "./roles.ts";

const LOOK_US = 1_000_000;
const PATIENCE_US = 2_000_000;
/** Before that somebody who is silent may not be known to be. */
const PERPLEXED_US = 2 * SILENT_US;
const AGAIN_MS = 10_000;
const SELDOM_MS = 600_000;

/** A patient but for how long it has listened. */
type PatientNow = Omit<Patient, "listenedUs">;

export interface Work {
  /** Without it, of a process that only asks, it is not said that nothing moves, and the reasons of all the time are known. */
  readonly progress: (() => number | null) | undefined;
  readonly hears?: (() => boolean) | undefined;
}

export class Watch implements Extra {
  readonly #log: Log;
  readonly #work: Work;
  readonly #patient: (nowUs: number) => Patient;
  readonly #growth = new Growth();
  /** Reasons of this standstill that were logged, by what they are about. */
  readonly #told = new Set<string>();
  #nowUs = 0;
  #firstUs: number | undefined;
  #dueUs = 0;
  #last: number | null = null;
  #movedUs = -1;
  #said = false;
  /** It was said that nobody is heard. */
  #saidDeaf = false;
  /** What was counted when it last moved: what came before is no reason now. */
  #wireThen: WireCounters | undefined;
  #linkThen: LinkCounters | undefined;

  constructor(log: Log, work: Work, patient: (nowUs: number) => PatientNow) {
    this.#log = log;
    this.#work = work;
    this.#patient = (nowUs) => ({ ...patient(nowUs), listenedUs: nowUs - (this.#firstUs ?? nowUs) });
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    this.#firstUs ??= nowUs;
    if (this.#movedUs < 0) this.#movedUs = nowUs;
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    const patient = this.#patient(nowUs);
    this.#lookAtDrops(patient);
    if (this.#work.progress === undefined) {
      this.#lookAtStrays(patient);
      return;
    }
    const progress = this.#work.progress();
    const hears = this.#work.hears?.() ?? true;
    if (hears && this.#saidDeaf) {
      this.#saidDeaf = false;
      this.#log.warn("a quorum of acceptors is heard");
    }
    const isDeaf = progress === null && !hears;
    if ((progress === null && !isDeaf) || progress !== this.#last) {
      if (this.#said && progress !== null) this.#log.warn("it goes on");
      this.#said = false;
      this.#told.clear();
      this.#last = progress;
      this.#movedUs = nowUs;
      this.#wireThen = { ...patient.wire };
      this.#linkThen = { ...patient.link };
      // Where it stands still these are among the reasons.
      this.#lookAtStrays(patient);
      return;
    }
    if (nowUs - this.#movedUs < PATIENCE_US) return;
    const reasons = this.reasons();
    if (reasons.length === 0 && nowUs - this.#movedUs < PERPLEXED_US) return;
    if (reasons.length === 0) reasons.push("nothing wrong is known here; look at the other processes' logs");
    this.#say(reasons, snapshotReason(patient), isDeaf);
    if (isDeaf) this.#saidDeaf = true;
    else this.#said = true;
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  #say(reasons: readonly string[], known: string | undefined, isDeaf: boolean): void {
    const [why, againMs] = isDeaf ? ["silence", SELDOM_MS] : ["why", AGAIN_MS];
    for (const reason of reasons) {
      if (this.#log.enabled("warn")) this.#told.add(subject(reason));
      if (reason === known) continue;
      this.#log.once(`${why} ${subject(reason)}`, "warn", `nothing moves: ${reason}`, againMs);
    }
  }

  reasons(): string[] {
    const patient = this.#patient(this.#nowUs);
    const { wire, link } = patient;
    const [wireThen, linkThen] = [this.#wireThen, this.#linkThen];
    if (wireThen === undefined || linkThen === undefined) return diagnose(patient);
    // Whether anything was ever received is asked of the whole time.
    const { rxFrames } = link;
    return diagnose({
      ...patient,
      wire: since(wire, wireThen),
      link: { ...since(link, linkThen), rxFrames },
    });
  }

  /** Those that the log does not have. */
  untoldReasons(): string[] {
    return this.reasons().filter((reason) => !this.#told.has(subject(reason)));
  }

  /** Lost frames are worth a line even while everything moves. */
  #lookAtDrops({ link, wire, peers }: Patient): void {
    if (this.#growth.of("peers", peers.refused)) {
      const text = () =>
        `${peers.refused} frames of senders that paxos.conf does not name were dropped: its members take all ${peers.capacity} places there are for peers; take out members that nobody runs, so that clients have room`;
      this.#log.once("peers", "warn", text, AGAIN_MS);
    }
    if (this.#growth.of("drops", link.rxDropped + link.txDropped + wire.overflow)) {
      const text = () =>
        `frames dropped on this host, which are repeated where they are missed: ${link.rxDropped} not received in time${ofValues(link)}, ${link.txDropped} not sent, ${wire.overflow} beyond what one turn sends`;
      this.#log.once("drops", "info", text, AGAIN_MS);
    }
    if (this.#growth.of("cut", wire.cutValues)) {
      const text = () =>
        `a peer cuts the last bytes of its values (${wire.cutValues} so far): it is an unpatched Kernel_Paxos; patch it, or replace it by kpaxos (docs/from-kernel-paxos.md)`;
      this.#log.once("cut", "warn", text, SELDOM_MS);
    }
  }

  /** Frames of nobody of this cluster: somebody else may stand still for them; and those that should have come. */
  #lookAtStrays(patient: Patient): void {
    const { link, wire, config } = patient;
    if (this.#growth.of("key", link.rxBadMac))
      this.#log.once("key", "warn", () => wrongKey(link.rxBadMac, config), SELDOM_MS);
    if (this.#growth.of("other wire", wire.otherWire))
      this.#log.once("other wire", "warn", () => otherWire(wire.otherWire, config), SELDOM_MS);
    // Two clusters may well share a host, so this is no warning; but only who hears the stray can tell of it.
    if (this.#growth.of("other cluster", wire.otherCluster))
      this.#log.once("other cluster", "info", () => otherCluster(wire.otherCluster), SELDOM_MS);
    // What is missed is asked for, one by one.
    for (const reason of multicastReasons(patient)) this.#log.once("multicast", "warn", reason, SELDOM_MS);
  }
}

/** What a reason is about: the same while its figures change. */
function subject(reason: string): string {
  return reason.replace(/\d+/g, "#");
}
