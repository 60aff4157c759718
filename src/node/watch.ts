/**
 * Looks once a second whether a process gets on, and says why not: once when it stops, again every ten seconds while
 * it stands still, and once when it goes on.
 */
import type { Log } from "../log.ts";
import { diagnose, ofValues, type Patient, wrongKey } from "./diagnose.ts";
import type { Extra } from "./roles.ts";

const LOOK_US = 1_000_000;
const PATIENCE_US = 2_000_000;
const AGAIN_MS = 10_000;

export class Watch implements Extra {
  readonly #log: Log;
  readonly #progress: () => number | null;
  readonly #patient: (nowUs: number) => Patient;
  #nowUs = 0;
  #dueUs = 0;
  #last: number | null = null;
  #movedUs = -1;
  #said = false;
  #overrun = 0;
  #badMac = 0;

  constructor(log: Log, progress: () => number | null, patient: (nowUs: number) => Patient) {
    this.#log = log;
    this.#progress = progress;
    this.#patient = patient;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (this.#movedUs < 0) this.#movedUs = nowUs;
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + LOOK_US;
    this.#lookAtDrops();
    const progress = this.#progress();
    if (progress === null || progress !== this.#last) {
      if (this.#said && progress !== null) this.#log.warn("it goes on");
      this.#said = false;
      this.#last = progress;
      this.#movedUs = nowUs;
      return;
    }
    if (nowUs - this.#movedUs < PATIENCE_US) return;
    const reasons = this.reasons();
    if (reasons.length === 0) reasons.push("nothing wrong is known here; look at the other processes' logs");
    for (const reason of reasons)
      this.#log.once(`why ${reason.replace(/\d+/g, "#")}`, "warn", `nothing moves: ${reason}`, AGAIN_MS);
    this.#said = true;
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  reasons(): string[] {
    return diagnose(this.#patient(this.#nowUs));
  }

  /** Lost frames are worth a line even while everything moves. */
  #lookAtDrops(): void {
    const { link, wire, peers, config } = this.#patient(this.#nowUs);
    if (link.rxBadMac > this.#badMac) {
      this.#log.once("key", "warn", () => wrongKey(link.rxBadMac, config), 600_000);
      this.#badMac = link.rxBadMac;
    }
    if (peers.refused > 0) {
      this.#log.once(
        "peers",
        "warn",
        () =>
          `${peers.refused} frames of unknown senders were dropped: the table of ${peers.capacity} peers is full`,
        AGAIN_MS,
      );
    }
    const drops = link.rxDropped + link.txDropped + wire.overflow;
    if (drops > this.#overrun) {
      this.#log.once(
        "drops",
        "info",
        () =>
          `frames lost on this host: ${link.rxDropped} not received in time${ofValues(link)}, ${link.txDropped} not sent, ${wire.overflow} without a slot`,
        AGAIN_MS,
      );
      this.#overrun = drops;
    }
    if (wire.otherWire > 0) {
      const fix = wire.otherWire;
      this.#log.once(
        "other wire",
        "warn",
        () =>
          `${fix} frames of the other wire were heard; \`wire\` in paxos.conf must be the same everywhere`,
        600_000,
      );
    }
    if (wire.otherCluster > 0) {
      // Two clusters may well share a host, so this is no warning; but only who hears the stray can tell of it.
      this.#log.once(
        "other cluster",
        "info",
        () =>
          `${wire.otherCluster} frames of another cluster were heard: \`cluster\`, \`groups\` and the acceptor lines must be the same in every paxos.conf of one cluster`,
        600_000,
      );
    }
    if (wire.cutValues > 0) {
      this.#log.once(
        "cut",
        "warn",
        () =>
          `a peer cuts the last bytes of its values (${wire.cutValues} so far): it is an unpatched Kernel_Paxos`,
        600_000,
      );
    }
  }
}
