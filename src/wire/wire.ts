/**
 * What a wire is: bytes ⇄ messages. Total on input: any byte string is decoded or refused with a counted reason,
 * never thrown. It holds no policy of the protocol.
 */
import type { WireName } from "../config/config.ts";
import type { Link } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Receiver } from "../protocol/receiver.ts";
import type { Life, Role } from "../protocol/types.ts";
import type { Members } from "./members.ts";

export interface WireOptions {
  readonly link: Link;
  readonly peers: Peers;
  readonly members: Members;
  /** Bits of the roles this process listens for. */
  readonly roles: number;
  /** The id that all roles of this process share. */
  readonly id: number;
  readonly life: Life;
  readonly clusterId: number;
  readonly group: number;
  /** Native wire over UDP: the first address of its multicasts (`net/link.ts`); undefined: it has none. */
  readonly multicast?: Uint32Array | undefined;
}

export interface Wire {
  readonly name: WireName;
  /** Largest value in bytes that one instance can carry. */
  readonly maxValue: number;
  readonly counters: WireCounters;
  /**
   * Decodes the frame that a descriptor (word index into `link.area.words`) describes and calls `receiver` for each of its
   * messages. `port` is the `Port` it came through (`Port.self` for frames of this very process).
   */
  decode(descriptor: number, port: number, receiver: Receiver, nowUs: number): void;
  /** The outbox of one of this process's roles. */
  outbox(role: Role, id: number): Outbox;
  /** Completes all open frames; returns how many tx slots are filled. */
  seal(): number;
  /** Slots still free this turn. */
  room(): number;
  /** What is sealed has left: nothing is added to it any more. */
  left(): void;
  /** After the frames were handed to the link: all slots are free again. */
  clear(): void;
}

/** Why frames and messages were refused; each counts frames (or messages) since start. */
export class WireCounters {
  framesIn = 0;
  messagesIn = 0;
  framesOut = 0;
  messagesOut = 0;
  /** Not enough tx slots: dropped like a lost frame. */
  overflow = 0;
  /** Shorter than its own lengths say, or an unknown message type. */
  malformed = 0;
  /** A number out of range: an acceptor id that does not exist, an instance 0. */
  badField = 0;
  /** For another host, role or id. */
  notForUs = 0;
  /** A sender the configuration does not know in that role. */
  stranger = 0;
  /** A frame of the other wire. */
  otherWire = 0;
  /** Native wire: another version, another cluster. */
  otherVersion = 0;
  otherCluster = 0;
  /** Kernel_Paxos wire: values that arrived without their last bytes, and 46-byte frames that may have. */
  cutValues = 0;
  maybeCutValues = 0;
  /** Values longer than the wire or the store allows. */
  tooLarge = 0;
}
