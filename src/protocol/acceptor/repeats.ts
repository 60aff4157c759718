/**
 * What an acceptor answers to whoever asks it to repeat what it holds: its records that prove something, and in the native wire
 * what it knows of an instance beside its vote, with a record of it or without. Bounded in instances and bytes. Pure.
 *
 * Whoever has helped to choose an instance has a record of it, at the chosen ballot or above, until it is trimmed: what it forgot it
 * recovers before it votes. So that an acceptor knows of the choice and has no record says that it did not help.
 */

import type { Outbox } from "../outbox.ts";
import { NO_BALLOT, type Peer, RepeatFlag } from "../types.ts";
import type { AcceptorLog } from "./acceptor_log.ts";
import { RecordFlag } from "./journal.ts";

/** Instances answered per repeat: the asker comes back for the rest. */
const REPEAT_LIMIT = 64;
/** … and bytes: a burst of large values would overflow the asker's receive buffer. */
const REPEAT_BYTES = 65536;
/** Frames kept free for other answers while repeats are answered. */
const ROOM_RESERVE = 32;

/** What is seen of the acceptor. */
interface Repeating {
  readonly log: AcceptorLog;
  readonly chosenIid: number;
}

export class Repeats {
  readonly #acceptor: Repeating;
  readonly #outbox: Outbox;
  /** The wire has words for what is known beside the vote. */
  readonly #tells: boolean;

  constructor(acceptor: Repeating, outbox: Outbox, tells: boolean) {
    this.#acceptor = acceptor;
    this.#outbox = outbox;
    this.#tells = tells;
  }

  answer(to: Peer, first: number, last: number): void {
    const { log, chosenIid } = this.#acceptor;
    const outbox = this.#outbox;
    const knownTo = this.#tells ? chosenIid : 0;
    const end = Math.min(last, Math.max(log.highestIid, knownTo));
    let answers = 0;
    let bytes = 0;
    for (
      let iid = Math.max(first, log.trimIid + 1);
      iid <= end && answers < REPEAT_LIMIT && bytes < REPEAT_BYTES;
      iid++
    ) {
      if (outbox.room() < ROOM_RESERVE) return;
      const ballot = log.ballotAt(iid);
      if (ballot === NO_BALLOT) {
        if (iid > knownTo) continue;
        answers++;
        outbox.repeated(to, iid, NO_BALLOT, 0, RepeatFlag.known, log.arena.bytes, 0, 0);
        continue;
      }
      const flags = this.#flags(iid);
      // Hearsay of which it is not known that it was chosen proves nothing.
      if (flags === RepeatFlag.hearsay) continue;
      const length = log.lengthAt(iid);
      answers++;
      bytes += length;
      outbox.repeated(to, iid, ballot, log.lifeAt(iid), flags, log.arena.bytes, log.offsetAt(iid), length);
    }
  }

  #flags(iid: number): number {
    const { log, chosenIid } = this.#acceptor;
    const held = log.flagsAt(iid);
    return (
      (iid <= chosenIid ? RepeatFlag.known : 0) |
      ((held & RecordFlag.chosen) !== 0 ? RepeatFlag.marked : 0) |
      ((held & RecordFlag.hearsay) !== 0 ? RepeatFlag.hearsay : 0)
    );
  }
}
