/**
 * What a `paxos.conf` says once it is read, checked and completed with defaults. Pure data.
 */
import type { Address } from "../net/address.ts";

export type Verbosity = "quiet" | "error" | "info" | "debug";
export type WireName = "native" | "kernel-paxos";

/** One role line: which process it is and where it is reached. */
export interface Member {
  readonly id: number;
  readonly address: Address;
  /** Line and column (both from 1) of the id in the file. */
  readonly line: number;
  readonly column: number;
}

export interface Settings {
  verbosity: Verbosity;
  wire: WireName;
  /** Independent logs side by side, each with its own leader (native wire). */
  groups: number;
  /** Learners deliver the values of all groups in one order. */
  merge: boolean;
  /** Name of the network interface; "" when it is to be found by address. */
  interface: string;
  /** Name of the cluster: with the acceptor ids it makes the cluster id of the native wire. */
  cluster: string;
  /** The file of the cluster's keys; "" for none: frames then prove nothing about their author. */
  clusterKey: string;
  learnerCatchUp: boolean;
  /** Silence after which phases are retried at the latest and a passive proposer takes over, in milliseconds. */
  proposerTimeoutMs: number;
  /** Silence of the leader after which others ask for votes (native wire). */
  leaderTimeoutMs: number;
  /** How long a leader may answer reads from what a quorum last echoed; 0: it asks a quorum each time (native wire). */
  leaseMs: number;
  /** Instances that may be prepared or in flight at once. */
  proposerPreexecWindow: number;
  /** Pack several client values into one instance under load (native wire). */
  batching: boolean;
  /** Client values a proposer queues before it answers `busy`, in bytes. */
  proposerQueueBytes: number;
  acceptorTrashFiles: boolean;
  storageBackend: "memory" | "sqlite" | "log";
  /** Directory of the acceptors' databases; "" for none. */
  storagePath: string;
  /** Sync what an acceptor promises and accepts before it says so. */
  storageSync: boolean;
  acceptorWindowBytes: number;
  acceptorWindowInstances: number;
  learnerWindowInstances: number;
  learnerWindowBytes: number;
  /** A learner that may trim does so every so many delivered instances. */
  trimEvery: number;
  /** How long a learner counts for the trim rule after it was last heard, in milliseconds (native wire). */
  learnerTimeoutMs: number;
  /** How many of the learners that are heard must have done with what is trimmed (native wire). */
  trimRule: "quorum" | "all";
  /** Directory of the snapshots of learners and proposers; "memory": they are kept there. */
  snapshotPath: string;
  /** A learner takes a snapshot every so many instances. */
  snapshotEvery: number;
  /** Bytes of the largest value; what is larger than an instance travels in pieces (native wire). */
  maxValueBytes: number;
  /** Client sessions that every node remembers; the one used longest ago gives way (native wire). */
  sessionLimit: number;
  /** A client sends a value again after this time without delivery, in milliseconds. */
  clientTimeoutMs: number;
  /** How long values may wait in queues under overload, in milliseconds; 0: until queues are full. */
  queueDelayMs: number;
  receiveMode: "ring" | "recvmmsg";
  /** Of proposers and replicas; 2: one for client values, one for all else. */
  receiveQueues: number;
  busyPoll: boolean;
  /** Processors that the turns of a process run on, as "0,2-3"; "": any. */
  cpu: string;
  /** Priority of the process: as it was started, or real-time. */
  scheduling: "auto" | "normal" | "realtime";
  /** Idle processors of the host do not halt. */
  keepAwake: boolean;
  promiscuous: boolean;
  /** Frames of a turn to one destination pass the kernel as one. */
  offload: boolean;
  /** IP multicast over UDP: "no", "yes" (an address by the cluster's name and acceptors), or the address and port (native wire). */
  udpMulticast: string;
  /** Kernel receive buffer asked for, in bytes. */
  receiveBufferBytes: number;
  /** What a learner keeps of the values delivered last, for readers that are slow or come back, in bytes. */
  deliveryLogBytes: number;
  /** Directory of the learners' local delivery devices. */
  deviceDirectory: string;
  /** Directory in which a proposer of the Kernel_Paxos wire keeps its round; "" for none. */
  stateDirectory: string;
}

/** Where an effective value came from. */
export type Origin =
  /** `like`: the default is what another setting says. */
  | { readonly from: "default"; readonly like?: string }
  | { readonly from: "file"; readonly line: number }
  | { readonly from: "environment"; readonly variable: string }
  | { readonly from: "flag"; readonly flag: string };

export interface Diagnostic {
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint: string | undefined;
}

export interface Config {
  readonly file: string;
  /** Whose view this is (`groups.ts`): 0 where there are no groups, −1: that of all groups, which none can run with. */
  readonly group: number;
  /** Every acceptor (proposer, learner), sorted by id, those of replica lines included. */
  readonly acceptors: readonly Member[];
  readonly proposers: readonly Member[];
  readonly learners: readonly Member[];
  /** The replica lines alone. */
  readonly replicas: readonly Member[];
  /** Kind of all addresses. */
  readonly link: "ethernet" | "udp";
  readonly settings: Readonly<Settings>;
  readonly origins: Readonly<Record<keyof Settings, Origin>>;
  readonly warnings: readonly Diagnostic[];
}
