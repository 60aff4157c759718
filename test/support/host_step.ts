/**
 * The way of a value behind a learner, as a function to call again and again: from the delivery log through a device on this host
 * to a user-learner, which sends it to the client that it belongs to.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, Party, VALUE_BYTES } from "../../bench/parties.ts";
import { DeliveryLog } from "../../src/delivery/delivery_log.ts";
import { DeviceWriter } from "../../src/delivery/device.ts";
import { DeviceReader } from "../../src/delivery/device_reader.ts";
import { DeviceSource } from "../../src/delivery/device_source.ts";
import { SessionHost } from "../../src/delivery/session_host.ts";
import { createLog } from "../../src/log.ts";
import { Roles } from "../../src/node/roles.ts";
import { Role } from "../../src/protocol/types.ts";
import { CLIENT_RECORD_BYTES, ClientRecord, writeClientRecord } from "../../src/wire/client_record.ts";

const SESSION = 7;

export class HostStep {
  readonly #directory = mkdtempSync(join(tmpdir(), "kpaxos-host-"));
  readonly #log = new DeliveryLog(1 << 20);
  readonly #writer: DeviceWriter;
  readonly #reader: DeviceReader;
  readonly #source: DeviceSource;
  readonly #party: Party;
  readonly #client: Party;
  readonly #roles: Roles;
  readonly #value: Uint8Array;
  #sent = 0;
  #received = 0;

  constructor(cluster: Cluster) {
    const log = createLog("quiet", "");
    const place = { directory: this.#directory, cluster: "host-step", id: 0 };
    this.#writer = DeviceWriter.create({ ...place, log: this.#log });
    this.#reader = DeviceReader.open(this.#directory, place.cluster, 0, { acknowledges: true });
    this.#party = new Party(cluster, Role.learner, 0, Role.host);
    this.#client = new Party(cluster, Role.proposer, 0, Role.client);
    const host = new SessionHost(this.#party.wire.outbox(Role.host, 0), cluster.native, () => undefined);
    this.#source = new DeviceSource(this.#reader, host, 0, log, () => undefined);
    const from = this.#party.peerOf(this.#client, Role.client, cluster.native);
    host.onSessionOpen(from, SESSION, SESSION + 1);
    this.#party.drop();
    const counter = { onSessionValue: () => void this.#received++ };
    const roles = { pairsAccepts: cluster.native, acceptorOf: () => -1, wallOffsetUs: 0 };
    this.#roles = new Roles({ ...roles, extras: [counter] });
    this.#value = new Uint8Array(CLIENT_RECORD_BYTES + VALUE_BYTES);
    const record = new ClientRecord();
    record.clientId = SESSION;
    record.size = VALUE_BYTES;
    writeClientRecord(record, this.#value, 0);
    this.#writer.poll(1_000_000);
    this.#source.pump();
    if (this.#reader.state !== "attached") throw new Error(`the reader is ${this.#reader.state}`);
  }

  readonly step = (): void => {
    const iid = ++this.#sent;
    this.#log.append(iid, 0, true, SESSION, iid, this.#value, 0, this.#value.length);
    this.#log.closeInstance(iid);
    this.#writer.pump();
    this.#source.pump();
    this.#party.tell(this.#client, this.#roles);
    if (this.#received !== iid) throw new Error(`${iid} values were sent, ${this.#received} came`);
  };

  close(): void {
    this.#reader.close();
    this.#writer.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
