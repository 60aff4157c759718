/**
 * What a core says, as one short line a call: for transcripts and for tests that compare a few messages. Peers are
 * named a0 (acceptor 0), p1, l0, c0; ballots are written round.id, `none` when there is none.
 */

import { type Journal, RecordFlag } from "../../src/protocol/acceptor/journal.ts";
import { type BallotScheme, ballotOwner, ballotRound, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { UNNAMED } from "../../src/protocol/generations.ts";
import type { Application } from "../../src/protocol/learner/learner.ts";
import type { Outbox } from "../../src/protocol/outbox.ts";
import { STANDING_BYTES, StandingVector } from "../../src/protocol/standing.ts";
import {
  AckKind,
  type Ballot,
  Busy,
  type Life,
  MAX_IID,
  NO_PEER,
  type Peer,
  RepeatFlag,
  Standing,
} from "../../src/protocol/types.ts";

const LETTERS = "aplc";
const PEERS_PER_ROLE = 16;

export function peerOf(name: string): Peer {
  const role = LETTERS.indexOf(name[0] ?? "");
  const id = Number(name.slice(1));
  if (role < 0 || !Number.isInteger(id) || id < 0 || id >= PEERS_PER_ROLE)
    throw new Error(`no peer "${name}"`);
  return (role * PEERS_PER_ROLE + id) as Peer;
}

export function peerName(peer: Peer): string {
  return peer === NO_PEER
    ? "nobody"
    : `${LETTERS[Math.floor(peer / PEERS_PER_ROLE)]}${peer % PEERS_PER_ROLE}`;
}

export function textOf(bytes: Uint8Array, offset: number, length: number): string {
  const view = bytes.subarray(offset, offset + length);
  if (length > 24) return `${textOf(bytes, offset, 4)}…(${length})`;
  const isText = view.every((byte) => byte > 0x20 && byte < 0x7f);
  return isText ? Buffer.from(view).toString("latin1") : `0x${Buffer.from(view).toString("hex")}`;
}

export interface RecorderOptions {
  readonly scheme?: BallotScheme;
  readonly maxValue?: number;
  /** Records that one frame of a range promise holds. */
  readonly promiseRecords?: number;
}

/** " hearsay", " chosen", both or nothing. */
function flagText(flags: number): string {
  return `${flags & RecordFlag.hearsay ? " hearsay" : ""}${flags & RecordFlag.chosen ? " chosen" : ""}`;
}

function repeatText(flags: number): string {
  const names = Object.entries(RepeatFlag).filter(([, bit]) => (flags & bit) !== 0);
  return names.map(([name]) => ` ${name}`).join("");
}

function standingName(standing: Standing): string {
  return Object.entries(Standing).find(([, value]) => value === standing)![0];
}

/** generation/incarnation of each acceptor. */
export function vectorText(bytes: Uint8Array): string {
  const vector = new StandingVector(bytes.length / STANDING_BYTES);
  vector.read(bytes, 0, bytes.length);
  return [...vector.generations]
    .map((generation, aid) => `${generation}/${vector.incarnations[aid]}`)
    .join(",");
}

export class Recorder implements Outbox {
  readonly maxValue: number;
  lines: string[] = [];
  /** What it leads with, see `Outbox.leads`. */
  generations = UNNAMED;
  /** Frames still free; counted down by what may be sent in bulk. */
  frames = 1000;
  /** Whether the application takes what is delivered, and up to where it is done with it. */
  takes = true;
  acknowledgedIid = 0;
  readonly journal: Journal = {
    promised: (ballot, life) => this.#say(`write promised ballot=${this.ballot(ballot)} life=${life}`),
    promisedAt: (iid, ballot) => this.#say(`write promised iid=${iid} ballot=${this.ballot(ballot)}`),
    accepted: (iid, ballot, life, flags, bytes, offset, length) => {
      const value = textOf(bytes, offset, length);
      const marks = flagText(flags);
      this.#say(
        `write accepted iid=${iid} ballot=${this.ballot(ballot)} life=${life}${marks} value=${value}`,
      );
    },
    trimmed: (iid) => this.#say(`write trimmed iid=${iid}`),
    standing: (generations, incarnations) =>
      this.#say(`write standing generations=${generations} incarnations=${incarnations}`),
  };
  readonly application: Application = {
    deliver: (iid, bytes, offset, length) => {
      if (this.takes) this.#say(`deliver iid=${iid} value=${textOf(bytes, offset, length)}`);
      return this.takes;
    },
    skipped: (first, last) => this.#say(`skipped first=${first} last=${last}`),
    acknowledged: () => this.acknowledgedIid,
  };
  readonly #scheme: BallotScheme;
  readonly #promiseRecords: number;
  #recordsLeft = 0;
  #framesLeft = 0;

  constructor(options: RecorderOptions = {}) {
    this.#scheme = options.scheme ?? NATIVE_BALLOTS;
    this.maxValue = options.maxValue ?? 1024;
    this.#promiseRecords = options.promiseRecords ?? 1000;
  }

  /** The lines since this was last asked. */
  take(): string[] {
    const lines = this.lines;
    this.lines = [];
    return lines;
  }

  ballot(ballot: number): string {
    return ballot === 0
      ? "none"
      : `${ballotRound(this.#scheme, ballot as Ballot)}.${ballotOwner(this.#scheme, ballot as Ballot)}`;
  }

  room(): number {
    return this.frames;
  }

  // ── the outbox ────────────────────────────────────────────────────────────────────────────────────────────────

  prepare(iid: number, ballot: Ballot): void {
    this.#say(`prepare iid=${iid} ballot=${this.ballot(ballot)}`);
  }
  prepareTo(aid: number, iid: number, ballot: Ballot): void {
    this.#say(`prepare to=a${aid} iid=${iid} ballot=${this.ballot(ballot)}`);
  }
  accept(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.frames--;
    const riding = promiseIid === 0 ? "" : ` riding=${promiseIid}`;
    this.#say(
      `accept iid=${iid}${riding} ballot=${this.ballot(ballot)} value=${textOf(bytes, offset, length)}`,
    );
  }
  leads(generations: number): void {
    this.generations = generations;
  }
  /** Goes with every accept: nothing of its own. */
  chosen(_iid: number): void {}
  heartbeat(iid: number, ballot: Ballot, round: number, leaseMs: number): void {
    const rest = `${round === 0 ? "" : ` round=${round}`}${leaseMs === 0 ? "" : ` leaseMs=${leaseMs}`}`;
    this.#say(`heartbeat iid=${iid} ballot=${this.ballot(ballot)}${rest}`);
  }
  preVote(round: number, ballot: Ballot): void {
    this.#say(`preVote round=${round} ballot=${this.ballot(ballot)}`);
  }
  echo(iid: number, ballot: Ballot, life: Life, round: number): void {
    this.#say(`echo iid=${iid} ballot=${this.ballot(ballot)} life=${life} round=${round}`);
  }
  preVoted(to: Peer, round: number, ballot: Ballot, granted: boolean): void {
    const verdict = granted ? "granted" : "refused";
    this.#say(`preVoted to=${peerName(to)} round=${round} ballot=${this.ballot(ballot)} ${verdict}`);
  }
  standingAsk(aid: number, nonce: number, standing: Standing, generation: number): void {
    const claim = generation === 0 ? "" : ` generation=${generation}`;
    this.#say(`standingAsk to=a${aid} nonce=${nonce} standing=${standingName(standing)}${claim}`);
  }
  standing(to: Peer, nonce: number, standing: Standing, ballot: Ballot, vector: Uint8Array): void {
    const who = `to=${peerName(to)} nonce=${nonce} standing=${standingName(standing)}`;
    this.#say(`standing ${who} ballot=${this.ballot(ballot)} vector=${vectorText(vector)}`);
  }
  recover(aid: number, iid: number, ballot: Ballot, frames: number): void {
    const burst = frames === 1 ? "" : ` frames=${frames}`;
    this.#say(`recover to=a${aid} iid=${iid} ballot=${this.ballot(ballot)}${burst}`);
  }
  promise(
    to: Peer,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const value =
      valueBallot === 0
        ? ""
        : ` valueBallot=${this.ballot(valueBallot)} value=${textOf(bytes, offset, length)}`;
    this.#say(`promise to=${peerName(to)} iid=${iid} ballot=${this.ballot(ballot)}${value}`);
  }
  promiseBegin(
    to: Peer,
    ballot: Ballot,
    life: Life,
    asked: number,
    first: number,
    trimIid: number,
    standing: Uint8Array,
    frames: number,
  ): boolean {
    this.frames--;
    this.#framesLeft = frames;
    this.#recordsLeft = this.#promiseRecords;
    const who = `to=${peerName(to)} ballot=${this.ballot(ballot)} life=${life}`;
    const vector = standing.every((byte) => byte === 0) ? "" : ` vector=${vectorText(standing)}`;
    this.#say(`promise ${who} asked=${asked} first=${first} trim=${trimIid}${vector}`);
    return true;
  }
  promiseRecord(
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    if (this.#recordsLeft-- === 0) {
      if (this.#framesLeft-- <= 1) return false;
      this.#say(`  end last=${iid - 1} more`);
      this.frames--;
      this.#recordsLeft = this.#promiseRecords - 1;
    }
    const value = textOf(bytes, offset, length);
    this.#say(
      `  record iid=${iid} valueBallot=${this.ballot(valueBallot)} valueLife=${valueLife}${flagText(flags)} value=${value}`,
    );
    return true;
  }
  promiseEnd(last: number): void {
    this.#say(`  end last=${last === MAX_IID ? "max" : last}`);
  }
  preempted(to: Peer, iid: number, ballot: Ballot): void {
    this.#say(`preempted to=${peerName(to)} iid=${iid} ballot=${this.ballot(ballot)}`);
  }
  accepted(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const riding = promiseIid === 0 ? "" : ` riding=${promiseIid}`;
    const value = textOf(bytes, offset, length);
    this.#say(`accepted iid=${iid}${riding} ballot=${this.ballot(ballot)} life=${life} value=${value}`);
  }
  acceptorState(trimIid: number, highestIid: number, flags: number, logId: number): void {
    this.#say(`acceptorState trim=${trimIid} highest=${highestIid}${flagsText(flags)}${logText(logId)}`);
  }
  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.frames--;
    const value = textOf(bytes, offset, length);
    this.#say(
      `repeated to=${peerName(to)} iid=${iid} ballot=${this.ballot(ballot)} life=${life}${repeatText(flags)} value=${value}`,
    );
  }
  acceptorStateTo(to: Peer, trimIid: number, highestIid: number, flags: number, logId: number): void {
    const more = `${flagsText(flags)}${logText(logId)}`;
    this.#say(`acceptorState to=${peerName(to)} trim=${trimIid} highest=${highestIid}${more}`);
  }
  acceptorOk(to: Peer): void {
    this.#say(`acceptorOk to=${peerName(to)}`);
  }
  learnerHi(aid: number): void {
    this.#say(`learnerHi to=a${aid}`);
  }
  learnerDel(): void {
    this.#say("learnerDel");
  }
  repeat(aid: number, first: number, last: number): void {
    this.#say(`repeat to=a${aid} first=${first} last=${last}`);
  }
  trim(iid: number, hasApplications: boolean): void {
    this.#say(`trim iid=${iid}${hasApplications ? "" : " alone"}`);
  }
  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    this.#say(`clientValue to=p${proposerId} hops=${hops} value=${textOf(bytes, offset, length)}`);
  }
  busy(to: Peer, reason: Busy): void {
    const name = Object.entries(Busy).find(([, value]) => value === reason)![0];
    this.#say(`busy to=${peerName(to)} reason=${name}`);
  }
  acknowledge(to: Peer, kind: AckKind, session: number, sequence: number, iid: number): void {
    const name = Object.entries(AckKind).find(([, value]) => value === kind)![0];
    this.#say(`acknowledge to=${peerName(to)} ${name} session=${session} sequence=${sequence} iid=${iid}`);
  }
  readAsk(proposerId: number, nonce: number): void {
    this.#say(`readAsk to=p${proposerId} nonce=${nonce}`);
  }
  advance(proposerId: number, iid: number): void {
    this.#say(`advance to=p${proposerId} iid=${iid}`);
  }
  readIndex(to: Peer, nonce: number, iid: number, confirmed: boolean): void {
    this.#say(`readIndex to=${peerName(to)} nonce=${nonce} iid=${iid}${confirmed ? "" : " unconfirmed"}`);
  }
  snapshotAsk(kind: number, above: number): void {
    this.#say(`snapshotAsk kind=${kind} above=${above}`);
  }
  snapshotInfo(to: Peer, kind: number, iid: number, size: number, checksum: number): void {
    this.#say(`snapshotInfo to=${peerName(to)} kind=${kind} iid=${iid} size=${size} checksum=${checksum}`);
  }
  snapshotFetch(to: Peer, kind: number, iid: number, position: number, size: number): void {
    this.#say(`snapshotFetch to=${peerName(to)} kind=${kind} iid=${iid} position=${position} size=${size}`);
  }
  snapshotChunk(
    to: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const where = `to=${peerName(to)} kind=${kind} iid=${iid} position=${position}`;
    this.#say(`snapshotChunk ${where} value=${textOf(bytes, offset, length)}`);
  }
  claim(uptimeMs: number, generation: number): void {
    this.#say(`claim uptimeMs=${uptimeMs} generation=${generation}`);
  }
  sessionOpen(first: number, end: number): void {
    this.#say(`sessionOpen first=${first} end=${end}`);
  }
  sessionOk(to: Peer, connection: number): void {
    this.#say(`sessionOk to=${peerName(to)} connection=${connection}`);
  }
  sessionClose(connection: number): void {
    this.#say(`sessionClose connection=${connection}`);
  }
  sessionValue(to: Peer, bytes: Uint8Array, offset: number, length: number): void {
    this.#say(`sessionValue to=${peerName(to)} value=${textOf(bytes, offset, length)}`);
  }

  #say(line: string): void {
    this.lines.push(line);
  }
}

function logText(logId: number): string {
  return logId === 0 ? "" : ` log=${logId}`;
}

function flagsText(flags: number): string {
  return `${(flags & 1) !== 0 ? " halfFull" : ""}${(flags & 2) !== 0 ? " full" : ""}`;
}
