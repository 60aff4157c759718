/**
 * One log of a simulation, with those who keep it: the only one, or that of one of several groups. Has the checks that look at all
 * of a log's processes at once.
 */
import type { Config } from "../config/config.ts";
import { checkBounds, checkTrim } from "./bounds.ts";
import { Submissions } from "./deliveries.ts";
import { addTo, type Counts } from "./faults.ts";
import { Holdings } from "./holdings.ts";
import type { KvCaller } from "./kv.ts";
import { KvHistory } from "./kv_history.ts";
import { isSame, Observer } from "./observer.ts";
import { SessionOracle } from "./session_oracle.ts";
import type { Station } from "./station.ts";
import { ValueLog } from "./value_log.ts";
import { Violation } from "./violation.ts";

export interface GroupOptions {
  readonly number: number;
  /** As this group sees it. */
  readonly config: Config;
  /** How often each thing was checked, in all groups. */
  readonly checks: Counts;
}

export class Group {
  readonly number: number;
  /** Of its stations' names: says which group, where there are several. */
  readonly suffix: string;
  readonly stations: Station[] = [];
  readonly observer: Observer;
  readonly submissions = new Submissions();
  readonly values: ValueLog;
  readonly history = new KvHistory();
  readonly holdings = new Holdings(this.stations);
  /** Clients that there were. */
  clients = 0;
  /** So far the log has to go in the end, whoever submits nothing more. */
  dueIid = 0;
  readonly #config: Config;
  readonly #checks: Counts;
  /** The highest instance that anybody has delivered. */
  #deliveredIid = 0;

  constructor({ number, config, checks }: GroupOptions) {
    this.number = number;
    this.suffix = config.settings.groups > 1 ? `@${number}` : "";
    this.#config = config;
    this.#checks = checks;
    this.observer = new Observer({
      acceptors: config.acceptors.length,
      onChosen: (iid, value) => this.submissions.chosen(iid, value),
    });
    const { sessionLimit: sessions, maxValueBytes } = config.settings;
    const chosen = (iid: number): Uint8Array | undefined => this.observer.chosen(iid);
    this.values = new ValueLog(new SessionOracle({ sessions, maxValueBytes }, chosen));
  }

  /** Who calls a store. */
  callers(): KvCaller[] {
    return this.stations.flatMap(({ caller }) => caller ?? []);
  }

  /** What the station has delivered by now counts, whatever becomes of its process. */
  noteDelivered({ application }: Station): void {
    this.#deliveredIid = Math.max(this.#deliveredIid, application?.last ?? 0);
  }

  // ── the checks ────────────────────────────────────────────────────────────────────────────────────────────────

  checkBounds(): void {
    for (const station of this.stations) this.noteDelivered(station);
    for (const station of this.stations) {
      checkBounds(station, this.#config.settings);
      if (station.hasAcceptor) checkTrim(station, this.#deliveredIid);
    }
    addTo(this.#checks, "bounds", this.stations.length);
  }

  /** In the end: what was told is there, everybody knows the same sessions, and a store's answers have an order. */
  checkEnd(note: (who: string, text: string) => void): void {
    this.checkNothingLost();
    this.values.checkWhole();
    this.#checkSessions();
    this.#checkCalls(note);
  }

  /** Where all acceptors vote. */
  checkNothingLost(): void {
    const places = this.stations.filter(({ hasAcceptor }) => hasAcceptor);
    const acceptors = places.flatMap(({ host }) => host?.cores.acceptor ?? []);
    if (acceptors.length < places.length || !acceptors.every((one) => one.isVoting)) return;
    addTo(this.#checks, "lost", this.observer.highestIid);
    this.observer.checkNothingLost(acceptors);
  }

  /** Whoever is equally far knows the same sessions. */
  #checkSessions(): void {
    const first = new Map<number, readonly [name: string, table: Uint8Array]>();
    for (const { name, sessions } of this.stations) {
      const table = sessions?.table.serialize();
      if (sessions === undefined || table === undefined) continue;
      const [other, known] = first.get(sessions.iid) ?? [name, table];
      first.set(sessions.iid, [other, known]);
      addTo(this.#checks, "sessions", 1);
      if (isSame(known, table)) continue;
      throw new Violation("sessions", `${other} and ${name} know different ones after ${sessions.iid}`);
    }
  }

  /** What every replica of the store holds has to follow from the calls, too. */
  #checkCalls(note: (who: string, text: string) => void): void {
    const callers = this.callers();
    for (const caller of callers) caller.gone();
    for (const caller of callers) caller.tellAll();
    const undecided = this.history.check();
    for (const key of undecided) note("history", `key ${key} is not decided`);
    addTo(this.#checks, "calls", this.history.answered + this.history.lost);
    addTo(this.#checks, "keys", this.history.keys().length);
    addTo(this.#checks, "undecided", undecided.length);
  }

  /** Everybody runs, every acceptor votes, all that was submitted is delivered everywhere, and nothing is left open. */
  isDone(): boolean {
    const { stations, observer } = this;
    if (observer.highestIid < this.dueIid) return false;
    for (const { host, application, sessions, isRetired, isStranger } of stations) {
      if (isRetired || isStranger) continue;
      if (host === undefined || sessions?.isWhole === false) return false;
      if (host.cores.client?.isDone === false || host.cores.acceptor?.isVoting === false) return false;
      if (application !== undefined && application.last < observer.highestIid) return false;
      const { acceptor, proposer, learner } = host.cores;
      if (learner?.isBehind === true) return false;
      if (acceptor !== undefined && acceptor.log.highestIid > observer.highestIid) return false;
      if (proposer !== undefined && proposer.progress() !== null) return false;
    }
    return true;
  }

  // ── for people ────────────────────────────────────────────────────────────────────────────────────────────────

  /** How far everybody is. */
  status(): string[] {
    const words = this.stations
      .filter(({ isRetired }) => !isRetired)
      .map(({ name, host, application, merging }) => {
        if (host === undefined) return `${name} is down`;
        const { acceptor, proposer, learner, client } = host.cores;
        const parts = [name];
        if (acceptor !== undefined) {
          const { log, promised, isVoting } = acceptor;
          const has = `${log.trimIid + 1}…${log.highestIid}`;
          parts.push(`${isVoting ? "votes" : "does not vote"}, promised ${promised}, has ${has}`);
        }
        if (proposer !== undefined) {
          const { stage, ballot, leader, window, queue } = proposer;
          parts.push(`${stage} ${ballot} leader ${leader} low ${window.low} queued ${queue.count}`);
        }
        if (learner !== undefined) parts.push(`next ${learner.next}, knows of ${learner.highestIid}`);
        if (application !== undefined) parts.push(`delivered up to ${application.last}`);
        if (merging !== undefined) parts.push(`merged up to position ${merging.order.done}`);
        if (client !== undefined)
          parts.push(`${client.counters.delivered} of ${client.counters.submitted} values came back`);
        return parts.join(", ");
      });
    return [`chosen up to ${this.observer.highestIid}${this.suffix}`, ...words];
  }
}
