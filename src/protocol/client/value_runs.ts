/**
 * What happens to nearly all values of the native wire's client, in runs: a session's new values go out one after the other, and
 * those that are delivered at once are taken off. What they have in common is read and written once for all of them. Pure.
 *
 * Never deals with the pieces of a value, nor with what is sent again.
 */
import type { ClientSink } from "./client.ts";
import type { ClientSessions } from "./client_sessions.ts";
import type { EntryPacker } from "./entry_packer.ts";
import type { ValueSource } from "./value_source.ts";

export class ValueRuns {
  /** Places of the first and the last value taken off last of those that were sent once; −1: there was none. */
  firstAt = -1;
  lastAt = -1;
  readonly #sessions: ClientSessions;
  readonly #source: ValueSource;
  readonly #packer: EntryPacker;
  readonly #sink: ClientSink;

  constructor(sessions: ClientSessions, source: ValueSource, packer: EntryPacker, sink: ClientSink) {
    this.#sessions = sessions;
    this.#source = source;
    this.#packer = packer;
    this.#sink = sink;
  }

  /**
   * Makes up to `most` new values (at least 1) of a session that has nothing else to send, and sends them. Ends with a value that
   * is in pieces or that there is no room for: that one is made, and still to be sent. Returns how many were made.
   */
  send(client: number, most: number, proposerId: number, nowUs: number): number {
    const sessions = this.#sessions;
    const source = this.#source;
    const packer = this.#packer;
    const { lastSequence, size, pieces, madeUs, sentUs, isResent, outstanding } = sessions;
    const { bytes, pieceBytes } = packer;
    const session = sessions.id[client]!;
    const first = sessions.tail[client]!;
    const from = sessions.nextSequence[client]!;
    const wrapAt = (client + 1) * outstanding;
    let place = sessions.tailAt[client]!;
    let sent = 0;
    let count = 1;
    while (sent < most) {
      const length = source.sizeOf(client, first + sent);
      size[place] = length;
      madeUs[place] = nowUs;
      isResent[place] = 0;
      if (length > pieceBytes) {
        count = Math.ceil(length / pieceBytes);
        break;
      }
      const at = packer.begin(session, from + sent, length, 0, proposerId);
      if (at < 0) break;
      source.copy(client, first + sent, 0, length, bytes, at);
      lastSequence[place] = from + sent;
      pieces[place] = 1;
      sentUs[place] = nowUs;
      sent++;
      if (++place === wrapAt) place -= outstanding;
    }
    sessions.sentTo[client] = from + sent - 1;
    sessions.sendNext[client] = from + sent;
    sessions.sending[client] = first + sent;
    sessions.sendingAt[client] = place;
    let made = sent;
    let next = from + sent;
    if (sent < most) {
      next += count;
      lastSequence[place] = next - 1;
      pieces[place] = count;
      made++;
      if (++place === wrapAt) place -= outstanding;
    }
    sessions.nextSequence[client] = next;
    sessions.tail[client] = first + made;
    sessions.tailAt[client] = place;
    this.#sink.made?.(client, first, made);
    return made;
  }

  /** Takes off the values of a session that are delivered by now, and tells so. Returns how many they were. */
  takeOff(client: number, iid: number, nowUs: number): number {
    const sessions = this.#sessions;
    const sink = this.#sink;
    const { lastSequence, size, madeUs, isResent, outstanding } = sessions;
    const done = sessions.done[client]!;
    const first = sessions.head[client]!;
    const tail = sessions.tail[client]!;
    const wrapAt = (client + 1) * outstanding;
    let place = sessions.headAt[client]!;
    let firstAt = -1;
    let lastAt = -1;
    let number = first;
    // Those that are alike are told of at once: made at the same time, and of the same size.
    let alike = first;
    let alikeUs = madeUs[place]!;
    let alikeBytes = size[place]!;
    while (number < tail && lastSequence[place]! <= done) {
      if (madeUs[place] !== alikeUs || size[place] !== alikeBytes) {
        sink.delivered(nowUs - alikeUs, alikeBytes, client, alike, number - alike, iid);
        alike = number;
        alikeUs = madeUs[place]!;
        alikeBytes = size[place]!;
      }
      if (isResent[place] === 0) {
        lastAt = place;
        if (firstAt < 0) firstAt = place;
      }
      number++;
      if (++place === wrapAt) place -= outstanding;
    }
    this.firstAt = firstAt;
    this.lastAt = lastAt;
    if (number === first) return 0;
    sink.delivered(nowUs - alikeUs, alikeBytes, client, alike, number - alike, iid);
    sessions.head[client] = number;
    sessions.headAt[client] = place;
    this.#source.release(client, number - 1);
    return number - first;
  }
}
