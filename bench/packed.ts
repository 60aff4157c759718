/**
 * The work for a message full of values, as a function to call again and again: what a client packs, a proposer admits and a
 * learner's filter lets through to its delivery log. Native wire.
 */
import { DeliveryLog } from "../src/delivery/delivery_log.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryFlag,
  entryBytes,
  SHORT_HEADER_BYTES,
  writeEntryHeader,
  writeShortHeader,
} from "../src/protocol/batch.ts";
import { copyBytes } from "../src/protocol/bytes.ts";
import { EntryPacker } from "../src/protocol/client/entry_packer.ts";
import { SessionFilter, type ValueConsumer } from "../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../src/protocol/learner/session_table.ts";
import { Admission, Judging } from "../src/protocol/proposer/admission.ts";
import { MAX_IID, Role } from "../src/protocol/types.ts";
import { type Cluster, Party, VALUE_BYTES } from "./parties.ts";
import { learnerOf, rolesOf } from "./steps.ts";

/** As many values of 64 B as an instance carries. */
export const PACKED = 20;
const SESSION = 1;
const LOG_BYTES = 4 << 20;

/** A message of values of one session, which goes on where it ended. */
export class PackedMessage {
  readonly bytes = new Uint8Array(
    entryBytes(VALUE_BYTES) + (PACKED - 1) * (SHORT_HEADER_BYTES + VALUE_BYTES),
  );
  readonly #view = new DataView(this.bytes.buffer);
  #sequence = 1;

  constructor() {
    let at = entryBytes(VALUE_BYTES);
    for (let i = 1; i < PACKED; i++, at += SHORT_HEADER_BYTES + VALUE_BYTES) {
      writeShortHeader(this.#view, at, VALUE_BYTES, 0);
    }
    this.next();
  }

  next(): void {
    writeEntryHeader(this.#view, 0, SESSION, this.#sequence, VALUE_BYTES, 0);
    this.#sequence += PACKED;
  }
}

/** A filter that knows session 1. */
export function filterWith(consumer: ValueConsumer | null): SessionFilter {
  const filter = new SessionFilter(new SessionTable({ sessions: 1024, maxValueBytes: 1 << 16 }), consumer);
  const opening = new Uint8Array(ENTRY_HEADER_BYTES);
  writeEntryHeader(new DataView(opening.buffer), 0, 99, 0, 0, EntryFlag.open);
  filter.deliver(SESSION, opening, 0, opening.length);
  return filter;
}

/** Values go to a delivery log, as those of a host with applications do. */
function logConsumer(): { readonly log: DeliveryLog; readonly consumer: ValueConsumer } {
  const log = new DeliveryLog(LOG_BYTES);
  const consumer: ValueConsumer = {
    take: (iid, index, isLast, session, sequence, bytes, offset, length) => {
      log.openInstance(iid);
      log.append(iid, index, isLast, session, sequence, bytes, offset, length);
      return true;
    },
    takeRun: (iid, index, count, isLast, session, sequence, bytes, offset, length) => {
      log.openInstance(iid);
      return log.appendRun(iid, index, count, isLast, session, sequence, bytes, offset, length);
    },
    finished: (iid) => log.closeInstance(iid),
    skipped: (first, last) => log.gap(first, last),
    acknowledged: () => MAX_IID,
  };
  return { log, consumer };
}

/** Values are packed into a message, which goes out. */
export function packerStep(cluster: Cluster): () => void {
  const party = new Party(cluster, Role.learner, 0);
  const packer = new EntryPacker(party.outbox, true);
  const value = new Uint8Array(VALUE_BYTES);
  let sequence = 0;
  return () => {
    for (let i = 0; i < PACKED; i++) {
      sequence++;
      const at = packer.begin(SESSION, sequence, VALUE_BYTES, 0, 0);
      if (at < 0) throw new Error("there is no room");
      copyBytes(value, 0, packer.bytes, at, VALUE_BYTES);
    }
    packer.flush(0);
    party.drop();
  };
}

/** A batch is decided, and its values go to the delivery log. */
export function filterStep(): () => void {
  const { log, consumer } = logConsumer();
  const filter = filterWith(consumer);
  const message = new PackedMessage();
  let iid = SESSION;
  return () => {
    filter.deliver(++iid, message.bytes, 0, message.bytes.length);
    message.next();
    if (log.counters.values !== (iid - SESSION) * PACKED) throw new Error("the batch was not delivered");
  };
}

/** A message of values is judged, delivered and acknowledged. */
export function admissionStep(cluster: Cluster): () => void {
  const client = new Party(cluster, Role.learner, 0);
  const party = new Party(cluster, Role.proposer, 0);
  const filter = filterWith(null);
  const admission = new Admission(filter, party.outbox);
  const from = party.peerOf(client, Role.learner, true);
  const message = new PackedMessage();
  let iid = SESSION;
  return () => {
    admission.open(from, message.bytes, 0, message.bytes.length, false, Judging.strict);
    while (admission.next()) filter.deliver(++iid, admission.bytes, admission.offset, admission.length);
    message.next();
    admission.flush();
    party.drop();
    if (admission.counters.taken !== (iid - SESSION) * PACKED) throw new Error("values were not taken");
  };
}

/** A full accept and two acceptors' `accepted` come in, and all its values are delivered. */
export function packedLearnerStep(cluster: Cluster): () => void {
  const proposer = new Party(cluster, Role.proposer, 0);
  const acceptors = [0, 1].map((id) => new Party(cluster, Role.acceptor, id));
  const party = new Party(cluster, Role.learner, 0);
  const audience = acceptors.map((one) => one.peerOf(party, Role.learner, true));
  for (let i = 0; i < 2; i++)
    acceptors[i]!.outbox.setAudience({ count: 1, isKnown: false, peerAt: () => audience[i]! });
  const { log, consumer } = logConsumer();
  const filter = filterWith(consumer);
  filter.iid = 0;
  const learner = learnerOf(cluster, party, false, filter);
  const roles = rolesOf(cluster, party, { learner });
  const message = new PackedMessage();
  const { bytes } = message;
  if (bytes.length > proposer.outbox.maxValue) throw new Error("the message is too large for an instance");
  const { ballot, life } = cluster;
  let iid = 0;
  return () => {
    iid++;
    proposer.outbox.accept(iid, 0, ballot, bytes, 0, bytes.length);
    proposer.tell(party, roles);
    for (let i = 0; i < 2; i++) {
      acceptors[i]!.outbox.accepted(iid, 0, ballot, life, bytes, 0, bytes.length);
      acceptors[i]!.tell(party, roles);
    }
    roles.pump(iid);
    message.next();
    if (log.counters.values !== iid * PACKED) throw new Error("the learner did not deliver");
  };
}
