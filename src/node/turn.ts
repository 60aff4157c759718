/**
 * One turn of a node: synchronous and timeless. Received frames are decoded, the cores step, the storage commits,
 * and only then are frames handed out (law 1: persist before send). Frames for cores of this same process never reach the
 * kernel, but they too are decoded only after the commit, straight from their transmit slots.
 *
 * In a turn of few frames what a replica's acceptor answers to an accept is committed and sent before its learner and proposer act.
 */
import { DESCRIPTOR_WORDS, type Link, PORTS, Port } from "../net/link.ts";
import { assert } from "../protocol/assert.ts";
import type { Receiver } from "../protocol/receiver.ts";
import type { Storage } from "../storage/storage.ts";
import type { Wire } from "../wire/wire.ts";
import type { Roles } from "./roles.ts";

/** Turns of more frames than this send once, at their end: under load one sending for all is cheaper. */
const FEW_FRAMES = 2;

export class Node {
  readonly link: Link;
  readonly wire: Wire;
  readonly storage: Storage;
  readonly roles: Roles;
  readonly #receiver: Receiver;
  /** The last turn could not finish for want of transmit slots, or an application did not take its values. */
  hasMore = false;

  /** `receiver`: who hears the messages, if it is not the roles themselves (a trace of them, or who only listens). */
  constructor(link: Link, wire: Wire, storage: Storage, roles: Roles, receiver: Receiver = roles) {
    this.link = link;
    this.wire = wire;
    this.storage = storage;
    this.roles = roles;
    this.#receiver = receiver;
  }

  /** Works on the `received` frames in the link's rx slots; returns how many tx slots to send. */
  turn(nowUs: number, received: number): number {
    const { link, wire, roles } = this;
    wire.clear();
    roles.tick(nowUs);
    for (let i = 0; i < received; i++) {
      const descriptor = link.rxBase + i * DESCRIPTOR_WORDS;
      wire.decode(descriptor, link.area.words[descriptor + PORTS]!, this.#receiver, nowUs);
    }
    const ahead = roles.heardAccept && received <= FEW_FRAMES ? this.#sendAhead() : 0;
    let stepped = 0;
    for (;;) {
      const more = roles.pump(nowUs);
      const sealed = this.#commit();
      if (!this.#stepSelf(stepped, sealed, nowUs)) {
        this.hasMore = more;
        return sealed === ahead ? 0 : sealed;
      }
      stepped = sealed;
    }
  }

  /** Commits and sends what there is to send by now; returns how many slots that took. */
  #sendAhead(): number {
    const sealed = this.#commit();
    if (sealed === 0) return 0;
    this.link.send(sealed);
    this.wire.left();
    return sealed;
  }

  #commit(): number {
    const ticket = this.storage.commit();
    assert(this.storage.durable() >= ticket, "what a turn reveals is durable");
    return this.wire.seal();
  }

  /** Hands the frames of slots from…to − 1 to the cores of this process; false when none was for them. */
  #stepSelf(from: number, to: number, nowUs: number): boolean {
    const { link, wire } = this;
    let any = false;
    for (let i = from; i < to; i++) {
      const descriptor = link.txBase + i * DESCRIPTOR_WORDS;
      if ((link.area.words[descriptor + PORTS]! & Port.self) === 0) continue;
      any = true;
      wire.decode(descriptor, Port.self, this.#receiver, nowUs);
    }
    return any;
  }
}
