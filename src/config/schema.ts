/**
 * Every setting as data: its key in the file, kind, default, range and meaning. Parsing, defaults, `config show`,
 * environment variables, flags and the reference in docs/configuration.md (checked by a test) all come from here.
 */
import type { Settings } from "./config.ts";

interface Common<T> {
  /** As written in the file; the flag is `--key`, the variable `KPAXOS_KEY`. */
  readonly key: string;
  readonly default: T;
  /** One line for help and documentation. */
  readonly summary: string;
}

export interface BooleanSpec extends Common<boolean> {
  readonly kind: "boolean";
}

/** `integer`: a plain number. `duration`: milliseconds. `size`: bytes. All whole, `min` and `max` inclusive. */
export interface NumberSpec extends Common<number> {
  readonly kind: "integer" | "duration" | "size";
  readonly min: number;
  readonly max: number;
  /** Rounded up to a power of two: such a window is indexed by `iid & mask`. */
  readonly isPowerOfTwo?: true;
}

export interface ChoiceSpec<T extends string = string> extends Common<T> {
  readonly kind: "choice";
  readonly choices: readonly T[];
  /** Other spellings, and values of other systems; `warning` says what happens instead. */
  readonly accepted?: Readonly<
    Record<string, { readonly as: T; readonly warning?: string; readonly hint?: string }>
  >;
}

export interface TextSpec extends Common<string> {
  readonly kind: "text";
  /** What the text must look like, and how that is said. */
  readonly pattern: RegExp;
  readonly form: string;
  readonly path?: "FILE" | "DIR";
  /** A second line of this key is an error: neither of the two is just overruled. */
  readonly isOnce?: true;
}

export type Spec = BooleanSpec | NumberSpec | ChoiceSpec | TextSpec;
export type Value = boolean | number | string;
export type Field = keyof Settings;

type SpecOf<T> = [T] extends [boolean]
  ? BooleanSpec
  : [T] extends [number]
    ? NumberSpec
    : string extends T
      ? TextSpec
      : [T] extends [string]
        ? ChoiceSpec<T>
        : never;

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const HOUR_MS = 3_600_000;
/** In the place of a directory. */
export const IN_MEMORY = "memory";

export const SCHEMA: { readonly [K in Field]: SpecOf<Settings[K]> } = {
  verbosity: {
    key: "verbosity",
    kind: "choice",
    choices: ["quiet", "error", "info", "debug"],
    default: "error",
    summary: "how much a process says on standard error",
  },
  wire: {
    key: "wire",
    kind: "choice",
    choices: ["native", "kernel-paxos"],
    accepted: { kernel_paxos: { as: "kernel-paxos" } },
    default: "native",
    summary: "message format; kernel-paxos mixes with nodes of Kernel_Paxos",
  },
  groups: {
    key: "groups",
    kind: "integer",
    min: 1,
    max: 64,
    default: 1,
    summary: "independent logs side by side, the same number on every host (native wire)",
  },
  merge: {
    key: "merge",
    kind: "boolean",
    default: false,
    summary: "learners deliver the values of all groups in one order; leaders of idle groups propose no-ops",
  },
  interface: {
    key: "interface",
    kind: "text",
    pattern: /^[^\s/]{1,15}$/,
    form: "the name of a network interface, at most 15 characters (ip link lists them)",
    default: "",
    summary: "network interface for raw Ethernet; without it, found by the member's MAC",
  },
  cluster: {
    key: "cluster",
    kind: "text",
    pattern: /^[\w.-]{1,64}$/,
    form: "1 to 64 letters, digits, dots, dashes or underscores",
    default: "kpaxos",
    summary: "name of the cluster; nodes of another name are ignored (native wire)",
  },
  clusterKey: {
    key: "cluster-key",
    kind: "text",
    // What looks like "none" beside a key elsewhere must not come to a file of that name.
    pattern: /^(?!(?:no|off|none|false|0|""|'')$).{1,4000}$/i,
    form: "the path of a key file, as kpaxos key new makes it; for no key leave it out everywhere",
    path: "FILE",
    isOnce: true,
    default: "",
    summary: "file of the key that all frames are authenticated with (native wire); the same on every host",
  },
  learnerCatchUp: {
    key: "learner-catch-up",
    kind: "boolean",
    default: false,
    summary: "a learner that starts late fetches everything from instance 1",
  },
  proposerTimeoutMs: {
    key: "proposer-timeout",
    kind: "duration",
    min: 1,
    max: HOUR_MS,
    default: 1000,
    summary:
      "longest pause before a phase is retried; kernel-paxos wire: a leader silent for so long is replaced",
  },
  leaderTimeoutMs: {
    key: "leader-timeout",
    kind: "duration",
    min: 10,
    max: HOUR_MS,
    default: 500,
    summary: "silence of the leader after which the other proposers elect one of them (native wire)",
  },
  leaseMs: {
    key: "lease",
    kind: "duration",
    min: 0,
    max: HOUR_MS,
    default: 0,
    summary: "how long a leader answers reads without asking the acceptors again; 0: never (native wire)",
  },
  proposerPreexecWindow: {
    key: "proposer-preexec-window",
    kind: "integer",
    min: 1,
    max: 65536,
    default: 128,
    summary: "instances that may be prepared or in flight at once",
  },
  batching: {
    key: "batching",
    kind: "boolean",
    default: true,
    summary: "pack several client values into one instance under load (native wire)",
  },
  proposerQueueBytes: {
    key: "proposer-queue-bytes",
    kind: "size",
    min: 64 * KIB,
    max: GIB,
    default: 4 * MIB,
    summary: "client values a proposer queues before it answers busy",
  },
  acceptorTrashFiles: {
    key: "acceptor-trash-files",
    kind: "boolean",
    default: false,
    summary:
      "an acceptor forgets what it stored before and starts empty (no effect with storage-backend memory)",
  },
  storageBackend: {
    key: "storage-backend",
    kind: "choice",
    choices: ["memory", "sqlite", "log"],
    accepted: {
      lmdb: {
        as: "sqlite",
        warning:
          "there is no LMDB here: acceptors keep what they promise and accept in SQLite, and read no LMDB files",
        hint: "write storage-backend sqlite, and name the directory with storage-path",
      },
      bdb: {
        as: "sqlite",
        warning:
          "there is no Berkeley DB here: acceptors keep what they promise and accept in SQLite, and read no files of that",
        hint: "write storage-backend sqlite, and name the directory with storage-path",
      },
    },
    default: "memory",
    summary: "where an acceptor keeps what it has promised and accepted",
  },
  storagePath: {
    key: "storage-path",
    kind: "text",
    pattern: /^\/.{0,4000}$/,
    form: "an absolute path",
    path: "DIR",
    default: "",
    summary:
      "directory of the acceptors' databases, acceptor-ID.db, or logs, acceptor-ID.kplog, and of snapshots unless snapshot-path says otherwise (storage-backend sqlite or log)",
  },
  storageSync: {
    key: "storage-sync",
    kind: "boolean",
    default: true,
    summary:
      "what an acceptor promises and accepts is on the disk before it says so (storage-backend sqlite or log)",
  },
  acceptorWindowBytes: {
    key: "acceptor-window-bytes",
    kind: "size",
    min: MIB,
    max: 2 * GIB,
    default: 64 * MIB,
    summary: "bytes of accepted values an acceptor holds until they are trimmed",
  },
  acceptorWindowInstances: {
    key: "acceptor-window-instances",
    kind: "integer",
    min: 16,
    max: 2 ** 24,
    isPowerOfTwo: true,
    default: 2 ** 19,
    summary: "instances an acceptor holds until they are trimmed, rounded up to a power of two",
  },
  learnerWindowInstances: {
    key: "learner-window-instances",
    kind: "integer",
    min: 16,
    max: 2 ** 22,
    isPowerOfTwo: true,
    default: 8192,
    summary: "instances a learner collects beyond the last delivered one, rounded up to a power of two",
  },
  learnerWindowBytes: {
    key: "learner-window-bytes",
    kind: "size",
    min: 256 * KIB,
    max: 2 * GIB,
    default: 16 * MIB,
    summary: "bytes of values a learner collects beyond the last delivered instance",
  },
  trimEvery: {
    key: "trim-every",
    kind: "integer",
    min: 1,
    max: 1_000_000_000,
    default: 100_000,
    summary: "a learner that may trim does so every so many delivered instances",
  },
  learnerTimeoutMs: {
    key: "learner-timeout",
    kind: "duration",
    min: 100,
    max: 24 * HOUR_MS,
    default: 10_000,
    summary: "how long a learner that fell silent still holds back trimming (native wire)",
  },
  trimRule: {
    key: "trim-rule",
    kind: "choice",
    choices: ["quorum", "all"],
    default: "quorum",
    summary: "acceptors trim what a quorum of the learners they hear has done with, or all (native wire)",
  },
  snapshotPath: {
    key: "snapshot-path",
    kind: "text",
    pattern: /^(?:\/.{0,4000}|memory)$/,
    form: "an absolute path, or memory",
    path: "DIR",
    default: IN_MEMORY,
    summary:
      "directory in which learners and proposers keep their snapshots; with storage-backend sqlite or log it is storage-path unless set (native wire)",
  },
  snapshotEvery: {
    key: "snapshot-every",
    kind: "integer",
    min: 1,
    max: 1_000_000_000,
    default: 100_000,
    summary: "a learner takes a snapshot every so many instances, or earlier (native wire)",
  },
  maxValueBytes: {
    key: "max-value-size",
    kind: "size",
    min: 64 * KIB,
    max: 16 * MIB - 1,
    default: MIB,
    summary: "bytes of the largest client value, the same on every host (native wire)",
  },
  sessionLimit: {
    key: "session-limit",
    kind: "integer",
    min: 1,
    max: 2 ** 20,
    default: 65_536,
    summary: "client sessions that are remembered, the same on every host (native wire)",
  },
  clientTimeoutMs: {
    key: "client-timeout",
    kind: "duration",
    min: 1,
    max: HOUR_MS,
    default: 1000,
    summary: "a client sends a value again after this time at the latest",
  },
  queueDelayMs: {
    key: "queue-delay",
    kind: "duration",
    min: 0,
    max: HOUR_MS,
    default: 5,
    summary:
      "how long values may wait in queues under overload: clients hold back what would wait longer, proposers of the native wire refuse what waits ten times as long; 0: until queues are full",
  },
  receiveMode: {
    key: "receive-mode",
    kind: "choice",
    choices: ["ring", "recvmmsg"],
    default: "ring",
    summary: "how frames are read: from a ring shared with the kernel, or with recvmmsg (raw Ethernet)",
  },
  receiveQueues: {
    key: "receive-queues",
    kind: "integer",
    min: 1,
    max: 2,
    default: 1,
    summary:
      "kernel receive queues of a proposer or replica; 2: client values have one to themselves and are read last (raw Ethernet)",
  },
  busyPoll: {
    key: "busy-poll",
    kind: "boolean",
    default: false,
    summary: "spin for frames instead of sleeping: lower latency for a whole core per process",
  },
  cpu: {
    key: "cpu",
    kind: "text",
    pattern: /^\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?){0,63}$/,
    form: "processor numbers and ranges, as in 0,2-3",
    default: "",
    summary: "processors that a process runs on; give each process its own with --cpu",
  },
  scheduling: {
    key: "scheduling",
    kind: "choice",
    choices: ["auto", "normal", "realtime"],
    default: "auto",
    summary:
      "priority of a process; auto: woken without preempting others, where that costs no waiting; normal: as started; realtime: before all ordinary ones",
  },
  keepAwake: {
    key: "keep-awake",
    kind: "boolean",
    default: false,
    summary: "idle processors of the host poll instead of halting while the process runs (as root)",
  },
  promiscuous: {
    key: "promiscuous",
    kind: "boolean",
    default: false,
    summary: "receive frames for any MAC address (raw Ethernet)",
  },
  offload: {
    key: "offload",
    kind: "boolean",
    default: true,
    summary:
      "frames of a turn to one destination pass the kernel as one (UDP; raw Ethernet with the native wire)",
  },
  udpMulticast: {
    key: "udp-multicast",
    kind: "text",
    pattern: /^(?:no|yes|[0-9.]{7,15}:[0-9]{1,5}|\[[0-9a-f:.]{2,45}\]:[0-9]{1,5})$/i,
    form: "yes, no, or a multicast address with a port, as 239.255.7.0:8799",
    default: "no",
    summary:
      "what is for many goes to all by IP multicast, where the network carries that (UDP, native wire)",
  },
  receiveBufferBytes: {
    key: "receive-buffer",
    kind: "size",
    min: 4 * KIB,
    max: GIB,
    default: 4 * MIB,
    summary: "kernel receive buffer asked for; without CAP_NET_ADMIN the kernel's own limit holds",
  },
  deliveryLogBytes: {
    key: "delivery-log",
    kind: "size",
    min: 64 * KIB,
    max: GIB,
    default: 32 * MIB,
    summary: "bytes of the last values that a learner keeps for slow and returning readers",
  },
  deviceDirectory: {
    key: "device-directory",
    kind: "text",
    pattern: /^\/.{0,89}$/,
    form: "an absolute path of at most 90 characters",
    path: "DIR",
    default: "/dev/shm/kpaxos",
    summary: "directory of the sockets and rings by which learners deliver to programs of their host",
  },
  stateDirectory: {
    key: "state-directory",
    kind: "text",
    pattern: /^\/.{0,4000}$/,
    form: "an absolute path",
    path: "DIR",
    default: "",
    summary: "directory in which a proposer keeps its round over restarts (kernel-paxos wire)",
  },
};

export const FIELDS = Object.keys(SCHEMA) as readonly Field[];

export function variableOf(key: string): string {
  return `KPAXOS_${key.toUpperCase().replaceAll("-", "_")}`;
}

export const DEFAULT_SETTINGS: Readonly<Settings> = settingsFrom((field) => SCHEMA[field].default);

export function settingsFrom(valueFor: (field: Field) => Value): Settings {
  return byField(valueFor) as unknown as Settings;
}

export function byField<T>(make: (field: Field) => T): Record<Field, T> {
  return Object.fromEntries(FIELDS.map((field) => [field, make(field)])) as Record<Field, T>;
}
