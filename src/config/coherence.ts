/**
 * Settings that contradict each other, or that have no effect beside the others. Pure. Warnings: such a configuration
 * runs, but not as its author expects. An error only where it would run without what it asks for: a key, a disk.
 */
import type { Config, Origin, Settings } from "./config.ts";
import type { Place, Report } from "./report.ts";
import { type Field, IN_MEMORY, SCHEMA, variableOf } from "./schema.ts";
import { formatValue } from "./values.ts";

export interface Given {
  readonly settings: Readonly<Settings>;
  readonly link: Config["link"];
  readonly origins: Readonly<Record<Field, Origin>>;
  /** Where a setting was given; of a default, the end of the file. */
  readonly placeOf: (field: Field) => Place;
  /** It is there, with a value that was refused: an error of its own, which needs no second one. */
  readonly isMisread: (field: Field) => boolean;
}

export function checkCoherence(given: Given, report: Report): void {
  checkWindows(given, report);
  checkDeliveryLog(given, report);
  checkBatching(given, report);
  checkKey(given, report);
  checkGroups(given, report);
  checkLease(given, report);
  checkStorage(given, report);
  checkSnapshots(given, report);
  checkSpinning(given, report);
  for (const { fields, isIdle, why } of idleRules(given)) {
    if (!isIdle) continue;
    for (const field of fields) {
      if (isDefault(given, field)) continue;
      const { key } = SCHEMA[field];
      const value = formatValue(SCHEMA[field], given.settings[field]);
      report.warning(given.placeOf(field), `${key} ${value} has no effect: ${why}`, `remove ${key}`);
    }
  }
}

function isDefault(given: Given, field: Field): boolean {
  return given.origins[field].from === "default" || given.settings[field] === SCHEMA[field].default;
}

function idleRules(given: Given) {
  const { settings, link } = given;
  return [
    {
      fields: [
        "learnerTimeoutMs",
        "trimRule",
        "leaderTimeoutMs",
        "leaseMs",
        "snapshotPath",
        "snapshotEvery",
        "maxValueBytes",
        "sessionLimit",
        ...(link === "udp" ? (["udpMulticast"] as const) : []),
      ],
      isIdle: settings.wire === "kernel-paxos",
      why: "the kernel-paxos wire has no such thing",
    },
    {
      fields: ["merge"],
      isIdle: settings.groups === 1,
      why: "there is one group",
    },
    {
      fields: ["stateDirectory"],
      isIdle: settings.wire === "native",
      why: "in the native wire a restarted proposer needs nothing from before",
    },
    {
      fields: ["interface", "promiscuous", "receiveMode", "receiveQueues"],
      isIdle: link === "udp",
      why: "the members have IP addresses, so frames travel over UDP",
    },
    {
      fields: ["offload"],
      isIdle: link === "ethernet" && settings.wire === "kernel-paxos",
      why: "over raw Ethernet only the native wire has bundles",
    },
    {
      fields: ["udpMulticast"],
      isIdle: link === "ethernet",
      why: "the members have MAC addresses, so frames travel over raw Ethernet",
    },
    {
      fields: ["acceptorTrashFiles"],
      isIdle: settings.storageBackend === "memory",
      why: "with storage-backend memory an acceptor starts empty anyway",
    },
    {
      fields: ["storagePath", "storageSync"],
      isIdle: settings.storageBackend === "memory",
      why: "storage-backend memory keeps nothing on disk",
    },
  ] satisfies { fields: Field[]; isIdle: boolean; why: string }[];
}

/** Unlike other settings it is idle when it says yes, which is its default, too. */
function checkBatching({ settings, origins, placeOf }: Given, report: Report): void {
  if (settings.wire !== "kernel-paxos" || !settings.batching || origins.batching.from === "default") return;
  report.warning(
    placeOf("batching"),
    "batching yes has no effect: the kernel-paxos wire carries one client value in an instance",
    "remove batching, or use wire native",
  );
}

function checkSpinning({ settings, placeOf }: Given, report: Report): void {
  if (!settings.busyPoll || settings.scheduling !== "realtime") return;
  report.warning(
    placeOf("scheduling"),
    "busy-poll with scheduling realtime leaves nobody else its processor, not even who would stop it",
    "give each such process a processor of its own (cpu) and leave others free, or remove one of the two",
  );
}

function checkKey({ settings, placeOf }: Given, report: Report): void {
  if (settings.wire !== "kernel-paxos" || settings.clusterKey === "") return;
  const { file, line } = placeOf("wire");
  report.error(
    placeOf("clusterKey"),
    "cluster-key contradicts wire kernel-paxos: that wire carries no authentication",
    `remove cluster-key here, or wire kernel-paxos (${line === 0 ? file : `${file}:${line}`})`,
  );
}

/** Frames of that wire do not say whose they are: its acceptors would take one group's values for another's. */
function checkGroups({ settings, placeOf }: Given, report: Report): void {
  if (settings.wire !== "kernel-paxos" || settings.groups === 1) return;
  report.error(
    placeOf("groups"),
    `groups ${settings.groups} contradicts wire kernel-paxos: frames of that wire name no group`,
    "remove groups, or use wire native",
  );
}

function checkStorage({ settings, origins, placeOf, isMisread }: Given, report: Report): void {
  if (settings.storageBackend === "memory" || settings.storagePath !== "" || isMisread("storagePath")) return;
  report.error(
    placeOf("storageBackend"),
    `storage-backend ${settings.storageBackend} needs storage-path: the directory of the acceptors' files`,
    pathHint(origins.storageBackend),
  );
}

/** The one that is missing goes where the other one stands. */
function pathHint({ from }: Origin): string {
  const { key } = SCHEMA.storagePath;
  if (from === "flag") return `give --${key} DIR too, or add a line such as: ${key} /var/lib/kpaxos`;
  if (from === "environment")
    return `set ${variableOf(key)}=DIR too, or add a line such as: ${key} /var/lib/kpaxos`;
  return `add a line such as: ${key} /var/lib/kpaxos`;
}

/** What is trimmed on the acceptors' disks must not depend on somebody's memory. */
function checkSnapshots({ settings, placeOf }: Given, report: Report): void {
  if (settings.wire !== "native" || settings.storageBackend === "memory") return;
  if (settings.snapshotPath !== IN_MEMORY || settings.storagePath === "") return;
  report.warning(
    placeOf("snapshotPath"),
    `snapshot-path memory beside storage-backend ${settings.storageBackend}: a power cut can leave a trimmed log of which nobody has a snapshot`,
    "remove it, so that snapshots lie beside the acceptors' files, or name a directory",
  );
}

/** While a lease runs no other proposer is let in: a longer one would hold up every change of leader. */
function checkLease(given: Given, report: Report): void {
  const { settings, placeOf } = given;
  if (settings.leaseMs <= settings.leaderTimeoutMs) return;
  report.error(
    placeOf("leaseMs"),
    `lease ${settings.leaseMs}ms is longer than leader-timeout ${settings.leaderTimeoutMs}ms: nobody could take over in time`,
    "lower lease, or raise leader-timeout",
  );
}

function checkDeliveryLog(given: Given, report: Report): void {
  const { maxValueBytes, deliveryLogBytes, wire } = given.settings;
  if (wire !== "native" || deliveryLogBytes >= 4 * maxValueBytes) return;
  const culprit = isDefault(given, "deliveryLogBytes") ? "maxValueBytes" : "deliveryLogBytes";
  const sizes = (["deliveryLogBytes", "maxValueBytes"] as const).map(
    (field) => `${SCHEMA[field].key} ${formatValue(SCHEMA[field], given.settings[field])}`,
  );
  report.error(
    given.placeOf(culprit),
    `${sizes[0]} holds fewer than four values of ${sizes[1]}`,
    "raise delivery-log to four times max-value-size or more, or lower max-value-size",
  );
}

/** What one instance takes at most in a frame of 1500 bytes. */
const INSTANCE_BYTES = 1536;
/** Pages that are not free as a whole (`protocol/arena.ts`). */
const PAGES_BYTES = 12 * 65_536;

/**
 * An acceptor that has room for later instances only, and not for the one that is delivered next, could not be trimmed any
 * more.
 */
function checkInFlight(given: Given, report: Report): void {
  const { proposerPreexecWindow: inFlight, acceptorWindowBytes } = given.settings;
  const needed = inFlight * INSTANCE_BYTES + PAGES_BYTES;
  if (acceptorWindowBytes >= needed) return;
  const culprit = isDefault(given, "acceptorWindowBytes") ? "proposerPreexecWindow" : "acceptorWindowBytes";
  const size = formatValue(SCHEMA.acceptorWindowBytes, acceptorWindowBytes);
  const least = Math.ceil(needed / 2 ** 20);
  report.error(
    given.placeOf(culprit),
    `acceptor-window-bytes ${size} cannot hold ${inFlight} instances in flight (proposer-preexec-window)`,
    `raise acceptor-window-bytes to ${least}MiB or more, or lower proposer-preexec-window`,
  );
}

function checkWindows(given: Given, report: Report): void {
  checkInFlight(given, report);
  const { settings, placeOf } = given;
  const inFlight = settings.proposerPreexecWindow;
  for (const field of ["acceptorWindowInstances", "learnerWindowInstances"] as const) {
    if (settings[field] >= inFlight) continue;
    const culprit = isDefault(given, field) ? "proposerPreexecWindow" : field;
    report.warning(
      placeOf(culprit),
      `proposer-preexec-window ${inFlight} is larger than ${SCHEMA[field].key} ${settings[field]}: the instances in flight do not fit`,
      `raise ${SCHEMA[field].key}, or lower proposer-preexec-window`,
    );
  }
  if (settings.trimEvery > settings.acceptorWindowInstances) {
    const culprit = isDefault(given, "trimEvery") ? "acceptorWindowInstances" : "trimEvery";
    report.warning(
      placeOf(culprit),
      `trim-every ${settings.trimEvery} is more than the ${settings.acceptorWindowInstances} instances an acceptor holds (acceptor-window-instances)`,
      "lower trim-every to a quarter of the window or less",
    );
  }
}
