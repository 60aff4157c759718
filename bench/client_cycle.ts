/**
 * The whole work of a client with a full window, as a function to call again and again: some full batches of its values come to its
 * own learner's log, and as many new values go out, packed. Native wire; latencies are measured as a run does.
 */
import { ClientFigures } from "../src/node/client_figures.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryFlag,
  entryBytes,
  shortEntryBytes,
  writeEntryHeader,
  writeShortHeader,
} from "../src/protocol/batch.ts";
import { OwnLog } from "../src/protocol/client/own_log.ts";
import { SessionClient } from "../src/protocol/client/session_client.ts";
import { PatternValues } from "../src/protocol/client/value_source.ts";
import { Role } from "../src/protocol/types.ts";
import { type Cluster, Party, VALUE_BYTES } from "./parties.ts";
import { CLIENT_PLAN } from "./steps.ts";

/** Values of a batch, and batches that come before the client has its turn. */
const RUN = 20;
const RUNS = 5;
export const CYCLE_VALUES = RUN * RUNS;
const TURN_US = 70;
const SESSION_LIMIT = 1024;
const MOST_TURNS = 100_000;

export interface CycleOptions {
  readonly sessions: number;
  /** Of all sessions together; a multiple of what is delivered before a turn, and more. */
  readonly window: number;
}

/** Batches of one session, each of which goes on where the one before ended. */
class Batches {
  readonly bytes = new Uint8Array(entryBytes(VALUE_BYTES) + (RUN - 1) * shortEntryBytes(VALUE_BYTES));
  readonly #view = new DataView(this.bytes.buffer);
  readonly #session: number;
  #sequence = 1;

  constructor(session: number) {
    this.#session = session;
    for (let i = 1, at = entryBytes(VALUE_BYTES); i < RUN; i++, at += shortEntryBytes(VALUE_BYTES))
      writeShortHeader(this.#view, at, VALUE_BYTES, 0);
  }

  /** The next one, of so many values; returns its length. */
  next(values: number): number {
    writeEntryHeader(this.#view, 0, this.#session, this.#sequence, VALUE_BYTES, 0);
    this.#sequence += values;
    return entryBytes(VALUE_BYTES) + (values - 1) * shortEntryBytes(VALUE_BYTES);
  }
}

export function clientCycle(cluster: Cluster, { sessions, window }: CycleOptions): () => void {
  const party = new Party(cluster, Role.learner, 0);
  const plan = { ...CLIENT_PLAN, clients: sessions, outstanding: window / sessions, random: Math.random };
  const figures = new ClientFigures(plan);
  const source = new PatternValues(VALUE_BYTES, VALUE_BYTES, () => 0.5);
  const client = new SessionClient(plan, source, party.outbox, figures);
  const log = new OwnLog(client, SESSION_LIMIT, () => undefined);
  const opening = new Uint8Array(ENTRY_HEADER_BYTES);
  const batches: Batches[] = [];
  client.ready = true;
  for (let i = 0; i < sessions; i++) {
    const session = i + 1;
    writeEntryHeader(new DataView(opening.buffer), 0, client.sessions.nonce[i]!, 0, 0, EntryFlag.open);
    log.deliver(session, opening, 0, opening.length);
    client.opened(client.sessions.nonce[i]!, session);
    batches.push(new Batches(session));
  }
  let nowUs = 1_700_000_000_000_000;
  let iid = sessions;
  let turn = 0;
  const step = (): void => {
    nowUs += TURN_US;
    figures.nowUs = nowUs;
    for (let i = 0; i < RUNS; i++) {
      const of = turn++ % sessions;
      const values = Math.min(RUN, client.sessions.inFlight(of));
      if (values === 0) continue;
      const one = batches[of]!;
      const length = one.next(values);
      log.deliver(++iid, one.bytes, 0, length);
    }
    client.tick(nowUs);
    client.pump(nowUs);
    party.drop();
  };
  for (let turns = 0; client.outstanding < window; turns++) {
    if (turns > MOST_TURNS) throw new Error(`only ${client.outstanding} values are under way`);
    step();
  }
  return () => {
    const before = figures.values;
    step();
    if (figures.values !== before + CYCLE_VALUES) throw new Error("values did not come back");
  };
}
