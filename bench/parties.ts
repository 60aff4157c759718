/**
 * One role at a time, fed by hand: the real core, wire and outbox, with frames copied from one process's transmit slots to
 * another's receive slots. For benchmarks and for the test that nothing is allocated per message.
 */
import type { Config, WireName } from "../src/config/config.ts";
import { parseConfig } from "../src/config/parse.ts";
import {
  ADDRESS,
  ADDRESS_WORDS,
  DESCRIPTOR_WORDS,
  LENGTH,
  OFFSET,
  PORTS,
  Port,
  PROTOCOL,
} from "../src/net/link.ts";
import { type MemoryLink, MemoryNetwork } from "../src/net/memory.ts";
import { Peers } from "../src/net/peers.ts";
import { clusterIdOf } from "../src/node/identity.ts";
import { copyBytes } from "../src/protocol/bytes.ts";
import type { Receiver } from "../src/protocol/receiver.ts";
import { type Ballot, type Peer, Role } from "../src/protocol/types.ts";
import { KernelPaxosWire } from "../src/wire/kernel_paxos.ts";
import type { KernelPaxosOutbox } from "../src/wire/kernel_paxos_outbox.ts";
import { Members } from "../src/wire/members.ts";
import { NativeWire } from "../src/wire/native.ts";
import type { NativeOutbox } from "../src/wire/native_outbox.ts";

export const LIFE = 0x1f_ffff_ffff_0001;
export const VALUE_BYTES = 64;

const CONFIG = `acceptor 0 02:4b:50:00:01:01
acceptor 1 02:4b:50:00:01:02
acceptor 2 02:4b:50:00:01:03
proposer 0 02:4b:50:00:02:01
learner 0 02:4b:50:00:03:01
`;

export class Cluster {
  readonly config: Config;
  readonly wire: WireName;
  readonly network = new MemoryNetwork(() => 0.5);

  constructor(wire: WireName) {
    const { config } = parseConfig(`wire ${wire}\n${CONFIG}`, "bench.conf");
    if (config === undefined) throw new Error("the configuration of the benchmarks is wrong");
    this.config = config;
    this.wire = wire;
  }

  get native(): boolean {
    return this.wire === "native";
  }

  /** A ballot of proposer 0. */
  get ballot(): Ballot {
    return (this.native ? 65536 : 10) as Ballot;
  }

  get life(): number {
    return this.native ? LIFE : 0;
  }
}

/** One process of the cluster, without a core. */
export class Party {
  readonly link: MemoryLink;
  readonly peers = new Peers(64);
  readonly members: Members;
  readonly wire: NativeWire | KernelPaxosWire;
  readonly outbox: NativeOutbox | KernelPaxosOutbox;

  constructor(cluster: Cluster, role: Role, id: number, listens: number = role) {
    const { config, native, network } = cluster;
    const list =
      role === Role.acceptor ? config.acceptors : role === Role.proposer ? config.proposers : config.learners;
    this.link = network.open({ address: list[id]!.address.words });
    this.members = new Members(config, this.link, this.peers, !native, role, id);
    const options = {
      link: this.link,
      peers: this.peers,
      members: this.members,
      roles: listens,
      id,
      life: role === Role.proposer ? cluster.life : LIFE - 1 - id - 16 * role,
      clusterId: clusterIdOf(config),
      group: 0,
    };
    this.wire = native ? new NativeWire(options) : new KernelPaxosWire(options);
    this.outbox = this.wire.outbox(role, id);
  }

  /** Completes what was said and forgets it. */
  drop(): void {
    this.wire.seal();
    this.wire.clear();
  }

  /** What was said since the last time is decoded by another process, frame by frame. */
  tell(other: Party, receiver: Receiver): void {
    const frames = this.wire.seal();
    for (let slot = 0; slot < frames; slot++) {
      this.copy(slot, other);
      other.wire.decode(other.link.rxBase, Port.wire, receiver, 1);
    }
    this.wire.clear();
  }

  /** What was said since the last time lies in another process's receive slots, from `at` on; returns how many frames. */
  leave(other: Party, at: number): number {
    const frames = this.wire.seal();
    for (let slot = 0; slot < frames; slot++) this.copy(slot, other, at + slot);
    this.wire.clear();
    return frames;
  }

  /** Copies a frame to a receive slot of another process. */
  copy(slot: number, other: Party, at = 0): void {
    const from = this.link.area;
    const into = other.link.area;
    const tx = this.link.txBase + slot * DESCRIPTOR_WORDS;
    const rx = other.link.rxBase + at * DESCRIPTOR_WORDS;
    const length = from.words[tx + LENGTH]!;
    copyBytes(from.bytes, from.words[tx + OFFSET]!, into.bytes, into.words[rx + OFFSET]!, length);
    into.words[rx + LENGTH] = length;
    into.words[rx + PROTOCOL] = from.words[tx + PROTOCOL]!;
    into.words[rx + PORTS] = Port.wire;
    for (let i = 0; i < ADDRESS_WORDS; i++) into.words[rx + ADDRESS + i] = this.link.address[i]!;
  }

  /** A peer to answer to. */
  peerOf(other: Party, role: Role, native: boolean): Peer {
    return this.peers.pin(native ? role : 0, 0, other.link.address, Port.wire);
  }
}
