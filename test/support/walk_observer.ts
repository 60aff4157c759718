/**
 * Sees everything at once, which no process can, and says what must never be: it reads the acceptors' journals as they
 * write them, so it knows what is chosen before anybody else does.
 */
import type { Roles } from "../../src/node/roles.ts";
import type { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { type Journal, RecordFlag } from "../../src/protocol/acceptor/journal.ts";
import type { Application } from "../../src/protocol/learner/learner.ts";
import { quorumOf } from "../../src/protocol/quorum.ts";

/** What went wrong, by the property that does not hold. */
export class Violation extends Error {
  readonly property: Property;

  constructor(property: Property, what: string) {
    super(`${property}: ${what}`);
    this.property = property;
  }
}
export type Property =
  | "agreement"
  | "what is chosen stays"
  | "one birth"
  | "who leads is promised"
  | "one value per ballot"
  | "delivery"
  | "promises never fall"
  | "nothing is accepted below a promise"
  | "marks are true"
  | "nothing is lost silently"
  | "liveness";

export interface ObserverOptions {
  readonly acceptors: number;
  /** False: only what an application could notice; for planted bugs, which break a rule of the acceptor at once. */
  readonly checksRules: boolean;
  readonly trimOf: (aid: number) => number;
  /**
   * Native wire: who has trimmed believed learners that have snapshots. One such trim is reason enough to go past it, also when that
   * acceptor has forgotten it since, and recovered from others that did not trim.
   */
  readonly trimProves?: boolean;
}

interface Proposal {
  readonly ballot: number;
  readonly life: number;
  readonly value: string;
  readonly aids: Set<number>;
}

export class Observer {
  /** What is chosen at each instance. */
  readonly chosen = new Map<number, string>();
  readonly #options: ObserverOptions;
  /** Of each instance, what acceptors have accepted. */
  readonly #proposals = new Map<number, Proposal[]>();
  readonly #promised: { ballot: number; life: number }[] = [];
  readonly #promisedAt: Map<number, number>[] = [];
  /** The highest trim of anybody ever. */
  #trimmedIid = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    for (let aid = 0; aid < options.acceptors; aid++) {
      this.#promised.push({ ballot: 0, life: 0 });
      this.#promisedAt.push(new Map());
    }
  }

  /** An acceptor begins with nothing. What its former life has accepted stays so. */
  restarts(aid: number): void {
    this.#promised[aid] = { ballot: 0, life: 0 };
    this.#promisedAt[aid]!.clear();
  }

  journal(aid: number): Journal {
    return {
      promised: (ballot, life) => {
        const before = this.#promised[aid]!;
        this.#rule(
          ballot > before.ballot,
          "promises never fall",
          `acceptor ${aid}: ${before.ballot} → ${ballot}`,
        );
        this.#promised[aid] = { ballot, life };
      },
      promisedAt: (iid, ballot) => {
        const before = this.#promisedAt[aid]!.get(iid) ?? 0;
        const what = `acceptor ${aid} at ${iid}: ${before} → ${ballot}`;
        this.#rule(ballot > before, "promises never fall", what);
        this.#promisedAt[aid]!.set(iid, ballot);
      },
      accepted: (iid, ballot, life, flags, bytes, offset, length) => {
        if ((flags & RecordFlag.hearsay) !== 0) return;
        const all = this.#promised[aid]!;
        const own = this.#promisedAt[aid]!.get(iid) ?? 0;
        const below = ballot < all.ballot || (ballot === all.ballot && life !== all.life) || ballot < own;
        const what = `acceptor ${aid} at ${iid}: ${ballot}/${life} under ${all.ballot}/${all.life} and ${own}`;
        this.#rule(!below, "nothing is accepted below a promise", what);
        this.#promisedAt[aid]!.set(iid, ballot);
        this.#accepted(aid, iid, ballot, life, latin(bytes, offset, length));
      },
      trimmed: (iid) => {
        this.#trimmedIid = Math.max(this.#trimmedIid, iid);
      },
      standing: () => undefined,
    };
  }

  /**
   * An application that checks what it is given; `deliver` says whether it takes the next value. `jumps`: it may be
   * moved on without being told (a proposer's own learner).
   */
  application(name: string, jumps: boolean, deliver: (iid: number, value: string) => boolean): Application {
    let last = 0;
    return {
      deliver: (iid, bytes, offset, length) => {
        const value = latin(bytes, offset, length);
        if (jumps ? iid <= last : iid !== last + 1) {
          throw new Violation("delivery", `${name} delivers ${iid} after ${last}`);
        }
        const chosen = this.chosen.get(iid);
        if (chosen !== value) {
          const what = chosen === undefined ? "nothing is chosen" : `${show(chosen)} is chosen`;
          throw new Violation("delivery", `${name} delivers ${show(value)} at ${iid}, where ${what}`);
        }
        if (!deliver(iid, value)) return false;
        last = iid;
        return true;
      },
      skipped: (first, upTo) => {
        last = upTo;
        let trimmed = 0;
        for (let aid = 0; aid < this.#options.acceptors; aid++)
          if (this.#options.trimOf(aid) >= upTo) trimmed++;
        const left = this.#options.acceptors - trimmed;
        const isProven = this.#options.trimProves === true && this.#trimmedIid >= upTo;
        if (left >= quorumOf(this.#options.acceptors) && !isProven) {
          throw new Violation(
            "nothing is lost silently",
            `${name} skips ${first}…${upTo}; ${left} still have them`,
          );
        }
      },
      acknowledged: () => last,
    };
  }

  /** What an acceptor takes for the chosen value is it. */
  checkMarks({ aid, log }: Acceptor): void {
    for (let iid = log.trimIid + 1; iid <= log.highestIid; iid++) {
      if (log.ballotAt(iid) === 0 || (log.flagsAt(iid) & RecordFlag.chosen) === 0) continue;
      const value = latin(log.arena.bytes, log.offsetAt(iid), log.lengthAt(iid));
      const chosen = this.chosen.get(iid);
      this.#rule(value === chosen, "marks are true", `acceptor ${aid} at ${iid}: ${show(value)}`);
    }
  }

  /**
   * No quorum of those that vote knows nothing of what is chosen: its promises would let another value through. And whoever has helped
   * to choose it has it, at that ballot or above: that one knows of the choice and has no record says that it has not helped.
   */
  checkKnown(acceptors: readonly Acceptor[]): void {
    const voting = acceptors.filter((one) => one.isVoting).map(({ log }) => log);
    for (const iid of this.chosen.keys()) {
      const { ballot, aids } = this.#firstChosen(iid);
      for (const { aid, isVoting, log } of acceptors) {
        if (!isVoting || !aids.has(aid) || log.trimIid >= iid || log.ballotAt(iid) >= ballot) continue;
        throw new Violation(
          "what is chosen stays",
          `at ${iid}, acceptor ${aid} votes and has not what it helped to choose`,
        );
      }
      const ignorant = voting.filter((log) => log.trimIid < iid && log.ballotAt(iid) < ballot).length;
      if (ignorant < quorumOf(this.#options.acceptors)) continue;
      throw new Violation(
        "what is chosen stays",
        `at ${iid}, ${ignorant} acceptors vote that do not have it`,
      );
    }
  }

  /** A quorum has promised a leader's ballot, or has forgotten and promised more: the others alone have nothing chosen below it. */
  checkLeader(ballot: number, acceptors: readonly Acceptor[]): void {
    const free = acceptors.filter((one) => one.isVoting && one.promised < ballot);
    if (free.length < quorumOf(this.#options.acceptors)) return;
    const what = `acceptors ${free.map(({ aid }) => aid)} have promised less than ${ballot}`;
    throw new Violation("who leads is promised", what);
  }

  /** Those that vote were born once: with the same record, as far as nobody has recovered since. */
  checkBirths(acceptors: readonly Acceptor[]): void {
    const voting = acceptors.filter((one) => one.isVoting);
    for (const { aid, standing: own } of voting) {
      for (const { aid: other, standing: its } of voting) {
        const isSame = own.generations.every((generation, one) => {
          const isBirth = generation === 1 && its.generations[one] === 1;
          return !isBirth || own.incarnations[one] === its.incarnations[one];
        });
        if (!isSame) throw new Violation("one birth", `acceptors ${aid} and ${other} know of different ones`);
      }
    }
  }

  #accepted(aid: number, iid: number, ballot: number, life: number, value: string): void {
    const proposals = this.#proposals.get(iid) ?? [];
    this.#proposals.set(iid, proposals);
    let proposal = proposals.find((one) => one.ballot === ballot && one.life === life);
    if (proposal === undefined) {
      proposal = { ballot, life, value, aids: new Set() };
      proposals.push(proposal);
    }
    if (proposal.value !== value) {
      const what = `${iid}/${ballot}/${life}: ${show(proposal.value)} and ${show(value)}`;
      throw new Violation("one value per ballot", what);
    }
    proposal.aids.add(aid);
    if (this.#isChosen(proposal)) {
      const before = this.chosen.get(iid);
      if (before !== undefined && before !== value) {
        throw new Violation("agreement", `at ${iid} both ${show(before)} and ${show(value)} are chosen`);
      }
      this.chosen.set(iid, value);
    }
    for (const one of proposals) if (this.#isChosen(one)) this.#checkAbove(iid, one, proposals);
  }

  /** Where something is chosen: the proposal of the lowest ballot at which it is. */
  #firstChosen(iid: number): Proposal {
    const chosen = this.#proposals.get(iid)!.filter((one) => this.#isChosen(one));
    return chosen.reduce((first, one) => (one.ballot < first.ballot ? one : first));
  }

  #isChosen({ aids }: Proposal): boolean {
    return aids.size >= quorumOf(this.#options.acceptors);
  }

  /** Above a chosen ballot nothing else is accepted. */
  #checkAbove(iid: number, chosen: Proposal, proposals: readonly Proposal[]): void {
    for (const { ballot, value } of proposals) {
      if (ballot <= chosen.ballot || value === chosen.value) continue;
      const what = `at ${iid} ${show(chosen.value)} is chosen, and ${show(value)} accepted above it`;
      throw new Violation("what is chosen stays", what);
    }
  }

  #rule(holds: boolean, property: Property, what: string): void {
    if (this.#options.checksRules && !holds) throw new Violation(property, what);
  }
}

function latin(bytes: Uint8Array, offset: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString("latin1");
}

function show(value: string): string {
  return value === "" ? "a no-op" : Buffer.from(value, "latin1").toString("hex");
}

/** What everybody has come to, in words. */
export function statusOf(
  acceptors: readonly Roles[],
  proposers: readonly Roles[],
  learners: readonly Roles[],
): string[] {
  const nexts = [...proposers, ...learners].map(({ cores }) => cores.learner!.next);
  return [
    ...proposers.map(({ cores }) => {
      const { stage, ballot, leader, window, queue } = cores.proposer!;
      return `${stage} ${ballot} leader ${leader} low ${window.low} queued ${queue.count}+${window.requeued}`;
    }),
    `next ${nexts}`,
    ...acceptors.map(({ cores }) => {
      const { log, promised, chosenIid, fellows } = cores.acceptor!;
      const voice = fellows?.birth.voice ?? "does not vote";
      return `${voice} ${log.trimIid}…${log.highestIid} chosen ${chosenIid} promised ${promised}`;
    }),
  ];
}
