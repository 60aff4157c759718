/**
 * Who says and hears the messages of the native wire (`native_sayings.ts`): two processes of each role that has a second one to talk to.
 */
import type { MemoryNetwork } from "../../src/net/memory.ts";
import type { AudienceView } from "../../src/protocol/acceptor/audience.ts";
import { entryBytes, writeEntryHeader } from "../../src/protocol/batch.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { Role } from "../../src/protocol/types.ts";
import type { NativeName } from "../../src/wire/native_layout.ts";
import { ACCEPTORS, addressOf, Endpoint } from "./native_fixture.ts";

/** Two processes of each role that has a second one to talk to. */
export const PLAYERS = ["a1", "a2", "p0", "p1", "l0", "l1", "c", "h"] as const;
export type Player = (typeof PLAYERS)[number];
export type Stage = Readonly<Record<Player, Endpoint>>;

export interface Saying {
  readonly name: NativeName;
  readonly by: Player;
  say(from: Endpoint, n: number): void;
  readonly ethernet: readonly Player[];
  /** Default: as over Ethernet. */
  readonly udp?: readonly Player[];
  /** The calls of the receiver, without the sender. */
  told(n: number, life: number, udp: boolean): unknown[][];
}

export const HELLO = Buffer.from("hello");
export const HELLO_HEX = HELLO.toString("hex");

/** What clients send: an entry of a batch. */
export function entry(length: number): Uint8Array {
  const bytes = new Uint8Array(entryBytes(length));
  writeEntryHeader(new DataView(bytes.buffer), 0, 5, 1, length, 0);
  return bytes;
}

/** A standing in which every acceptor has these. */
export function standingOf(generation: number, incarnation: number): Uint8Array {
  const vector = new StandingVector(ACCEPTORS);
  for (let aid = 0; aid < ACCEPTORS; aid++) vector.set(aid, generation, incarnation);
  return vector.bytes;
}

export function stage(network: MemoryNetwork, udp: boolean): Stage {
  const options = { udp, txSlots: 64, bundlePayload: udp ? 0 : 1472 };
  const players = {
    a1: new Endpoint(network, { role: "acceptor", id: 1, ...options }),
    a2: new Endpoint(network, { role: "acceptor", id: 2, ...options }),
    p0: new Endpoint(network, { role: "proposer", id: 0, ...options }),
    p1: new Endpoint(network, { role: "proposer", id: 1, ...options }),
    l0: new Endpoint(network, { role: "learner", id: 0, ...options }),
    l1: new Endpoint(network, { role: "learner", id: 1, ...options }),
    c: new Endpoint(network, { role: "client", id: 40000, ...options }),
    h: new Endpoint(network, { role: "host", id: 7, ...options }),
  };
  const audience = [players.a1.peer("proposer", 0), players.a1.peer("learner", 1)];
  const view: AudienceView = { count: audience.length, isKnown: false, peerAt: (index) => audience[index]! };
  players.a1.outbox.setAudience(view);
  players.c.outbox.setHost(addressOf("host", 7));
  return players;
}

/** Says it, and returns what everyone hears. */
export function perform(stage: Stage, by: Player, words: (from: Endpoint) => void): Record<string, unknown> {
  words(stage[by]);
  stage[by].send();
  const heard = PLAYERS.map((player) => [player, stage[player].hear()] as const);
  return Object.fromEntries(heard.filter(([, calls]) => calls.length > 0));
}

export function expected(saying: Saying, stage: Stage, n: number, udp: boolean): Record<string, unknown> {
  const from = stage[saying.by];
  const who = `${Object.entries(Role).find(([, bit]) => bit === from.outbox.role)![0]} ${from.id}`;
  const calls = saying.told(n, from.life, udp).map(([name, ...args]) => [name, who, ...args]);
  const listeners = (udp ? saying.udp : undefined) ?? saying.ethernet;
  return Object.fromEntries(listeners.map((player) => [player, calls]));
}
