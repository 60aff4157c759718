/**
 * For tests of the native wire: processes on a network in memory, each with its wire, its outboxes, and a receiver that
 * writes down what it is told.
 */
import type { Config, Member } from "../../src/config/config.ts";
import { ADDRESS, DESCRIPTOR_WORDS, LENGTH, type Link, OFFSET, PORTS, Port } from "../../src/net/link.ts";
import { type MemoryLink, MemoryNetwork } from "../../src/net/memory.ts";
import { Peers } from "../../src/net/peers.ts";
import { UNNAMED } from "../../src/protocol/generations.ts";
import { NO_MARK } from "../../src/protocol/log_mark.ts";
import type { Receiver } from "../../src/protocol/receiver.ts";
import { type Peer, Role, type RoleName } from "../../src/protocol/types.ts";
import { formatHex } from "../../src/wire/frame_fields.ts";
import { Members } from "../../src/wire/members.ts";
import { NativeWire } from "../../src/wire/native.ts";
import { LENGTH_OFFSET } from "../../src/wire/native_layout.ts";
import type { NativeOutbox } from "../../src/wire/native_outbox.ts";
import { mac } from "./kernel_paxos_fixture.ts";

export const CLUSTER = 0xc0ffee11;
export const GROUP = 3;
export const ETHERTYPE = 0x88b5;
/** Acceptors at …:01 to …:03, proposers at …:11 and …:12, learners at …:21 and …:22, a client at …:31. */
export const ACCEPTORS = 3;

export interface EndpointOptions {
  readonly role: RoleName;
  readonly id: number;
  readonly life?: number;
  readonly address?: Uint32Array;
  readonly txSlots?: number;
  readonly maxPayload?: number;
  /** Of frames in bundles; default: there are none. */
  readonly bundlePayload?: number;
  readonly clusterId?: number;
  readonly group?: number;
  /** Bits; default: the role alone. */
  readonly listens?: number;
  /** Of the cluster; default: none. */
  readonly keys?: readonly Uint8Array[] | undefined;
  /** The wire takes its link for UDP: no multicast. */
  readonly udp?: boolean;
  /** How many acceptors the cluster has; default: `ACCEPTORS`. */
  readonly acceptors?: number;
  /** Each acceptor's address is that of the proposer of its id, too. */
  readonly replicas?: boolean;
  /** Bits of the roles that are this process itself; default: the role alone. */
  readonly owns?: number;
}

export class Endpoint {
  readonly link: MemoryLink;
  readonly peers = new Peers(128);
  readonly members: Members;
  readonly wire: NativeWire;
  readonly outbox: NativeOutbox;
  readonly id: number;
  readonly life: number;
  readonly calls: unknown[][] = [];
  readonly #recorder: Receiver;
  readonly #network: MemoryNetwork;

  constructor(network: MemoryNetwork, options: EndpointOptions) {
    const role = Role[options.role];
    this.#network = network;
    this.id = options.id;
    this.life = options.life ?? 1000 + role * 100 + options.id;
    this.link = network.open({
      address: options.address ?? addressOf(options.role, options.id),
      txSlots: options.txSlots ?? 16,
      rxSlots: 64,
      maxPayload: options.maxPayload ?? 1500,
      bundlePayload: options.bundlePayload ?? 0,
      checksum: { lengthOffset: LENGTH_OFFSET, keys: options.keys },
      mainEtherType: ETHERTYPE,
    });
    const listens = options.listens ?? role;
    const config = configOf(options.acceptors, options.replicas);
    const owns = options.owns ?? role;
    this.members = new Members(config, this.link, this.peers, false, owns, options.id);
    this.wire = new NativeWire({
      link: options.udp === true ? withoutMulticast(this.link) : this.link,
      peers: this.peers,
      members: this.members,
      roles: listens,
      id: options.id,
      life: this.life,
      clusterId: options.clusterId ?? CLUSTER,
      group: options.group ?? GROUP,
    });
    this.outbox = this.wire.outbox(role, options.id);
    this.#recorder = recorder(this.calls, this.peers);
  }

  /** Sends what was said since the last time; returns how many frames that were. */
  send(): number {
    const frames = this.wire.seal();
    this.link.step(frames, 0);
    this.wire.clear();
    return frames;
  }

  /** Takes in all frames that are there, and returns what the receiver was told. */
  hear(): unknown[][] {
    const before = this.calls.length;
    this.#network.deliver(this.#network.nowUs);
    for (let count = this.link.step(0, 0); count > 0; count = this.link.step(0, 0)) {
      for (let i = 0; i < count; i++) this.decode(i, this.#recorder);
    }
    return this.calls.slice(before);
  }

  decode(slot: number, receiver: Receiver): void {
    const descriptor = this.link.rxBase + slot * DESCRIPTOR_WORDS;
    this.wire.decode(descriptor, this.link.area.words[descriptor + PORTS]!, receiver, 1);
  }

  /** Puts a payload into rx slot 0 as if it had come from `from` (through `port`), and decodes it. */
  take(
    payload: Uint8Array,
    from: Uint32Array,
    receiver: Receiver = this.#recorder,
    protocol = ETHERTYPE,
    port: number = Port.wire,
  ): unknown[][] {
    const before = this.calls.length;
    const { words, bytes } = this.link.area;
    const descriptor = this.link.rxBase;
    bytes.set(payload, words[descriptor + OFFSET]!);
    words[descriptor + LENGTH] = payload.length;
    words[descriptor + LENGTH + 1] = protocol;
    words[descriptor + PORTS] = port;
    words.set(from, descriptor + ADDRESS);
    this.decode(0, receiver);
    return this.calls.slice(before);
  }

  /** The payloads in the tx slots after `seal`, checksums not yet appended. */
  sealed(): Uint8Array[] {
    const { words, bytes } = this.link.area;
    return Array.from({ length: this.wire.seal() }, (_, slot) => {
      const descriptor = this.link.txBase + slot * DESCRIPTOR_WORDS;
      const at = words[descriptor + OFFSET]!;
      return bytes.slice(at, at + words[descriptor + LENGTH]!);
    });
  }

  /** Someone to answer to. */
  peer(role: RoleName, id: number): Peer {
    return this.peers.pin(Role[role], id, addressOf(role, id), Port.wire);
  }
}

function withoutMulticast(link: MemoryLink): Link {
  const { area, rxBase, txBase, rxSlots, txSlots, maxPayload, trailerBytes, address } = link;
  return {
    kind: "udp",
    area,
    rxBase,
    txBase,
    rxSlots,
    txSlots,
    bundlePayload: 0,
    maxPayload,
    trailerBytes,
    address,
    step: (ntx, waitUs) => link.step(ntx, waitUs),
    send: (ntx) => link.send(ntx),
    counters: () => link.counters(),
    close: () => link.close(),
  };
}

export function addressOf(role: RoleName, id: number): Uint32Array {
  const high = { acceptor: 0x01, proposer: 0x11, learner: 0x21, client: 0x31, host: 0x41 }[role];
  return mac(high + (id & 0xf));
}

export function memoryNetwork(): MemoryNetwork {
  return new MemoryNetwork(() => {
    throw new Error("nothing is left to chance here");
  });
}

function line(role: RoleName, count: number): Member[] {
  return Array.from({ length: count }, (_, id) => ({
    id,
    address: { kind: "ethernet" as const, mac: "", words: addressOf(role, id) },
    line: 1,
    column: 1,
  }));
}

function configOf(acceptors: number = ACCEPTORS, replicas: boolean = false): Config {
  return {
    acceptors: line("acceptor", acceptors),
    proposers: replicas ? line("acceptor", acceptors) : line("proposer", 2),
    learners: line("learner", 2),
  } as unknown as Config;
}

/**
 * Every call as its name, who spoke ("acceptor 0"), and its arguments; a value as hex, null for none. Of generations and logs only those
 * that are named, by nobody; of lives none.
 */
function recorder(calls: unknown[][], peers: Peers): Receiver {
  const names = Object.entries(Role);
  return new Proxy({} as Receiver, {
    get:
      (_, name) =>
      (from: Peer, ...args: unknown[]) => {
        if (name === "onAcceptorLife") return;
        if (name === "onGenerations") {
          const mark = args[0] === NO_MARK ? [] : args;
          if ((from as number) !== UNNAMED || mark.length > 0) calls.push([name, from, ...mark]);
          return;
        }
        const role = names.find(([, bit]) => bit === peers.role[from])?.[0] ?? "?";
        const at = args.findIndex((arg) => arg instanceof Uint8Array);
        let list = args;
        if (at >= 0) {
          const [bytes, offset, length] = args.slice(at) as [Uint8Array, number, number];
          const value = length < 0 ? null : formatHex(bytes.slice(offset, offset + length));
          list = [...args.slice(0, at), value, ...args.slice(at + 3)];
        }
        calls.push([name, `${role} ${peers.id[from]}`, ...list]);
      },
  });
}
