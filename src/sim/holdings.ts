/**
 * Who has a state that the log made: what is trimmed can be had from a disk, or two processes had it at one time, so that no single
 * death takes it. Looked at after every turn that changes it, which no process can do.
 */
import { SESSIONS_ONLY } from "../delivery/snapshot.ts";
import { quorumOf } from "../protocol/quorum.ts";
import type { Station } from "./station.ts";
import { Violation } from "./violation.ts";

export class Holdings {
  checked = 0;
  readonly #stations: readonly Station[];
  /** By kind of state: up to where two had it at once, or a disk has it. Of all that learners were started with. */
  readonly #safe = new Map<number, number>();
  /** What each station had when it was last looked at; an acceptor: what it had trimmed. */
  readonly #seen = new Map<Station, number>();
  readonly #trimmed = new Map<Station, number>();

  constructor(stations: readonly Station[]) {
    this.#stations = stations;
  }

  /** A turn of this process is over; nothing of it has left. */
  turned(station: Station): void {
    const { holder, host } = station;
    if (holder !== undefined) {
      if (station.kind !== "proposer" && !this.#safe.has(holder.kind)) this.#safe.set(holder.kind, 0);
      const has = holder.covers(holder.kind) + holder.covers(SESSIONS_ONLY) + diskIid(station);
      if (has !== this.#seen.get(station)) {
        this.#seen.set(station, has);
        for (const kind of this.#safe.keys()) this.#look(kind);
      }
    }
    const trimIid = host?.cores.acceptor?.log.trimIid ?? 0;
    if (!station.hasAcceptor || trimIid === (this.#trimmed.get(station) ?? 0)) return;
    this.#trimmed.set(station, trimIid);
    this.#check();
  }

  #look(kind: number): void {
    let [first, second] = [0, 0];
    let safe = this.#safe.get(kind)!;
    for (const station of this.#stations) {
      const { holder } = station;
      if (holder?.kind === kind) safe = Math.max(safe, diskIid(station));
      const has = holder?.covers(kind) ?? 0;
      if (has > first) [first, second] = [has, first];
      else if (has > second) second = has;
    }
    this.#safe.set(kind, Math.max(safe, second));
  }

  /** What a quorum of acceptors has trimmed is gone. */
  #check(): void {
    const trims = this.#stations
      .filter(({ hasAcceptor }) => hasAcceptor)
      .map((one) => this.#trimmed.get(one) ?? 0);
    const gone = trims.toSorted((a, b) => b - a)[quorumOf(trims.length) - 1]!;
    for (const [kind, safe] of this.#safe) {
      this.checked++;
      if (gone <= safe) continue;
      const what = kind === SESSIONS_ONLY ? "the sessions" : "the store";
      throw new Violation(
        "held",
        `the log is trimmed up to ${gone}, and of ${what} no disk has, nor had two processes at once, more than ${safe}`,
      );
    }
  }
}

/** What is on its disk, of its own kind. */
function diskIid({ snapshots }: Station): number {
  return snapshots?.iid ?? 0;
}
