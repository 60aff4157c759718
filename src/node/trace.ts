/**
 * `verbosity debug`: a line for every message that is decoded or said, with its fields by name. Costs what it costs; at
 * any other verbosity the cores are not wrapped at all.
 */
import type { Log } from "../log.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Receiver } from "../protocol/receiver.ts";

type Fields = readonly string[];

/** Names of the arguments; "" where an argument is not shown (a buffer, an offset into it). */
const RECEIVED: Readonly<Record<Exclude<keyof Receiver, "onGenerations" | "onAcceptorLife">, Fields>> = {
  onPrepare: ["peer", "iid", "ballot", "life"],
  onPromise: ["peer", "aid", "iid", "ballot", "valueBallot", "", "", "length"],
  onPromiseBegin: ["peer", "aid", "ballot", "life", "asked", "first", "last", "trimIid", "", "", ""],
  onPromiseRecord: ["peer", "aid", "iid", "valueBallot", "valueLife", "flags", "", "", "length"],
  onPromiseEnd: ["peer", "aid", "more"],
  onAccept: ["peer", "iid", "promiseIid", "ballot", "life", "", "", "length"],
  onAccepted: ["peer", "aid", "iid", "promiseIid", "ballot", "life", "", "", "length"],
  onRepeated: ["peer", "aid", "iid", "ballot", "life", "flags", "", "", "length"],
  onAcceptedRange: ["peer", "aid", "first", "last", "ballot", "life"],
  onChosen: ["peer", "iid", "ballot", "life"],
  onPreempted: ["peer", "aid", "iid", "ballot"],
  onRepeat: ["peer", "first", "last"],
  onHeartbeat: ["peer", "iid", "ballot", "life", "round", "leaseMs"],
  onEcho: ["peer", "aid", "iid", "ballot", "life", "round"],
  onPreVote: ["peer", "round", "ballot"],
  onPreVoted: ["peer", "aid", "round", "ballot", "granted"],
  onStandingAsk: ["peer", "aid", "nonce", "standing", "generation", "life"],
  onStanding: ["peer", "aid", "nonce", "standing", "ballot", "", "", ""],
  onRecover: ["peer", "aid", "iid", "ballot", "life", "frames"],
  onTrim: ["peer", "iid", "hasApplications", "kind"],
  onAcknowledge: ["peer", "kind", "session", "sequence", "iid"],
  onReadAsk: ["peer", "nonce"],
  onAdvance: ["peer", "iid"],
  onReadIndex: ["peer", "nonce", "iid", "confirmed"],
  onSnapshotAsk: ["peer", "kind", "above"],
  onSnapshotInfo: ["peer", "kind", "iid", "size", "checksum"],
  onSnapshotFetch: ["peer", "kind", "iid", "position", "size"],
  onSnapshotChunk: ["peer", "kind", "iid", "position", "", "", "length"],
  onAcceptorState: ["peer", "aid", "trimIid", "highestIid", "flags", "logId"],
  onClientValue: ["peer", "", "", "length", "hops"],
  onBusy: ["peer", "reason"],
  onLearnerHi: ["peer"],
  onLearnerDel: ["peer"],
  onAcceptorOk: ["peer"],
  onClaim: ["peer", "uptimeMs", "generation"],
  onBundleAsk: ["peer", "nonce", "flags"],
  onBundleAnswer: ["peer", "nonce", "flags"],
  onSessionOpen: ["peer", "first", "end"],
  onSessionOk: ["peer", "connection"],
  onSessionClose: ["peer", "connection"],
  onSessionValue: ["peer", "", "", "length"],
};

const SENT: Readonly<Partial<Record<string, Fields>>> = {
  prepare: ["iid", "ballot"],
  prepareTo: ["aid", "iid", "ballot"],
  accept: ["iid", "promiseIid", "ballot", "", "", "length"],
  promise: ["peer", "iid", "ballot", "valueBallot", "", "", "length"],
  promiseBegin: ["peer", "ballot", "life", "asked", "first", "trimIid", "", "frames"],
  promiseRecord: ["iid", "valueBallot", "valueLife", "flags", "", "", "length"],
  promiseEnd: ["last"],
  preempted: ["peer", "iid", "ballot"],
  accepted: ["iid", "promiseIid", "ballot", "life", "", "", "length"],
  acceptorState: ["trimIid", "highestIid", "flags", "logId"],
  repeated: ["peer", "iid", "ballot", "life", "flags", "", "", "length"],
  acceptorStateTo: ["peer", "trimIid", "highestIid", "flags", "logId"],
  acceptorOk: ["peer"],
  learnerHi: ["aid"],
  learnerDel: [],
  repeat: ["aid", "first", "last"],
  heartbeat: ["iid", "ballot", "round", "leaseMs"],
  preVote: ["round", "ballot"],
  echo: ["iid", "ballot", "life", "round"],
  preVoted: ["peer", "round", "ballot", "granted"],
  standingAsk: ["aid", "nonce", "standing", "generation"],
  standing: ["peer", "nonce", "standing", "ballot", ""],
  recover: ["aid", "iid", "ballot", "frames"],
  trim: ["iid", "hasApplications", "kind"],
  clientValue: ["proposer", "", "", "length", "hops"],
  busy: ["peer", "reason"],
  acknowledge: ["peer", "kind", "session", "sequence", "iid"],
  readAsk: ["proposer", "nonce"],
  advance: ["proposer", "iid"],
  readIndex: ["peer", "nonce", "iid", "confirmed"],
  snapshotAsk: ["kind", "above"],
  snapshotInfo: ["peer", "kind", "iid", "size", "checksum"],
  snapshotFetch: ["peer", "kind", "iid", "position", "size"],
  snapshotChunk: ["peer", "kind", "iid", "position", "", "", "length"],
  claim: ["uptimeMs", "generation"],
  sessionOpen: ["first", "end"],
  sessionOk: ["peer", "connection"],
  sessionClose: ["connection"],
  sessionValue: ["peer", "", "", "length"],
};

/** Logs each message received; `where` names a peer. */
export function traceReceiver(receiver: Receiver, log: Log, where: (peer: number) => string): Receiver {
  return traced(receiver, RECEIVED, (name, fields) => {
    const message = name.charAt(2).toLowerCase() + name.slice(3);
    log.debug(() => `<- ${message}${fields(where)}`);
  });
}

/** Logs each message said. */
export function traceOutbox<T extends Outbox>(outbox: T, log: Log, where: (peer: number) => string): T {
  return traced(outbox, SENT, (name, fields) => log.debug(() => `-> ${name}${fields(where)}`));
}

function traced<T extends object>(
  target: T,
  table: Readonly<Partial<Record<string, Fields>>>,
  say: (name: string, fields: (where: (peer: number) => string) => string) => void,
): T {
  return new Proxy(target, {
    get(object, key) {
      const member: unknown = Reflect.get(object, key, object);
      if (typeof member !== "function") return member;
      const names = typeof key === "string" ? table[key] : undefined;
      if (names === undefined) return member.bind(object);
      return (...values: unknown[]) => {
        say(String(key), (where) => describe(names, values, where));
        return Reflect.apply(member, object, values) as unknown;
      };
    },
  });
}

function describe(names: Fields, values: readonly unknown[], where: (peer: number) => string): string {
  let text = "";
  names.forEach((name, i) => {
    if (name === "") return;
    text += name === "peer" ? ` ${where(Number(values[i]))}` : ` ${name} ${values[i]}`;
  });
  return text;
}
