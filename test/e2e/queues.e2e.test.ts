/**
 * Receive queues of a proposer. It is stopped, client values flood its small receive buffer, protocol messages come behind
 * them, and it goes on: with a queue for client values nothing but client values is lost, with one for all the rest is lost, too.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseConfig } from "../../src/config/parse.ts";
import { openEthernet } from "../../src/net/ethernet.ts";
import { NATIVE_ETHERTYPE } from "../../src/net/ethertypes.ts";
import { nativeFilter } from "../../src/net/filter.ts";
import { interfaceNamed, listInterfaces } from "../../src/net/interfaces.ts";
import { Port } from "../../src/net/link.ts";
import type { SystemLink } from "../../src/net/system_link.ts";
import { clusterIdOf } from "../../src/node/identity.ts";
import { Role } from "../../src/protocol/types.ts";
import { type FrameFields, formatHex } from "../../src/wire/frame_fields.ts";
import type { NativeName } from "../../src/wire/native_layout.ts";
import { decodeNativeText, encodeNativeText } from "../../src/wire/native_text.ts";
import { seat, TestCluster } from "../support/cluster.ts";
import { WIRES } from "../support/e2e.ts";
import { Lab } from "../support/lab.ts";
import { ethernetNetwork } from "../support/lab_network.ts";
import { frames, put } from "../support/link_frames.ts";
import { entry } from "../support/native_stage.ts";
import { describeNetns } from "../support/netns.ts";
import { inNamespace } from "../support/setns.ts";
import { until } from "../support/until.ts";

const SEATS = [0, 1, 2].map((id) => seat("acceptor", id, id)).concat(seat("proposer", 0, 3));
const OUR_HOST = 4;
/** More than the least ring has room for. */
const FLOOD = 512;
const ASKED = 8;

/** A client that says what the test wants, in frames of its own making. */
class Talker {
  readonly #link: SystemLink;
  readonly #to: Uint32Array;
  readonly #header: FrameFields;
  /** Nonces of the reads that were answered. */
  readonly answers: number[] = [];

  constructor(lab: Lab, cluster: TestCluster) {
    const { config } = parseConfig(cluster.config, "paxos.conf");
    const { address } = config!.proposers[0]!;
    if (address.kind !== "ethernet") throw new Error("raw Ethernet");
    this.#to = address.words;
    this.#header = { from: "client 4711", to: "proposer 0", life: 7, cluster: clusterIdOf(config!) };
    this.#link = inNamespace(lab.hosts[OUR_HOST]!.name, () => {
      const own = interfaceNamed("eth0", listInterfaces());
      const places = { ifindex: own.index, loIndex: own.index, mac: own.words, multicastMac: undefined };
      const filter = nativeFilter({ ...places, rolesMask: Role.client, group: 0, life: 7 });
      return openEthernet({ interfaceName: "eth0", etherType: NATIVE_ETHERTYPE, filter, txSlots: FLOOD });
    });
  }

  #frame(message: NativeName, fields: FrameFields): Uint8Array {
    const made = encodeNativeText({ ...this.#header, message, ...fields });
    if (!("payload" in made)) throw new Error(made.error);
    return made.payload;
  }

  /** All have been sent when this returns: through a bridge of namespaces frames travel within the sender's call. */
  values(count: number): void {
    const frame = this.#frame("clientValue", { value: formatHex(entry(1300)) });
    for (let slot = 0; slot < count; slot++) this.#put(slot, frame);
    this.#hear(this.#link.step(count, 0));
  }

  asks(nonces: readonly number[]): void {
    nonces.forEach((nonce, slot) => {
      this.#put(slot, this.#frame("readAsk", { nonce }));
    });
    this.#hear(this.#link.step(nonces.length, 0));
  }

  #put(slot: number, frame: Uint8Array): void {
    put(this.#link, slot, this.#to, Port.wire, frame, NATIVE_ETHERTYPE);
  }

  #hear(count: number): void {
    for (const { payload } of frames(this.#link, count)) {
      const read = decodeNativeText(payload);
      if (!Array.isArray(read)) throw new Error("a frame of the proposer does not decode");
      for (const { message, nonce } of read) if (message === "readIndex") this.answers.push(Number(nonce));
    }
  }

  close(): void {
    this.#link.close();
  }
}

function isStopped(pid: number): boolean {
  return /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}

/** What the proposer lost while it was stopped, as it says itself, and which of the questions behind the flood it answered. */
async function flooded(settings: Readonly<Record<string, string>>) {
  const lab = Lab.create({ hosts: 5 });
  const small = { "receive-buffer": "16KiB", ...settings };
  const cluster = new TestCluster(ethernetNetwork(lab), { seats: SEATS, settings: small });
  let talker: Talker | undefined;
  try {
    await cluster.startAll();
    await cluster.runClient(["--values", "10"], { host: OUR_HOST });
    const one = new Talker(lab, cluster);
    talker = one;
    const proposer = cluster.member("proposer", 0);
    proposer.kill("SIGSTOP");
    await until("the proposer has stopped", () => isStopped(proposer.pid));
    one.values(FLOOD);
    const nonces = Array.from({ length: ASKED }, (_, i) => 100 + i);
    one.asks(nonces);
    proposer.kill("SIGCONT");
    const line = await proposer.waitForLine(/frames dropped on this host/, 10_000);
    // Once this is answered, so is all that it had heard before.
    await until("the proposer answers", () => {
      one.asks([1]);
      return one.answers.includes(1);
    });
    await cluster.stopCleanly();
    const [, lost, , values] = /: (\d+) not received in time( \((\d+) of them client values\))?/.exec(line)!;
    return {
      lost: Number(lost),
      values: Number(values ?? 0),
      answered: nonces.filter((nonce) => one.answers.includes(nonce)),
      nonces,
    };
  } catch (cause) {
    throw new Error(cluster.logs(), { cause });
  } finally {
    talker?.close();
    cluster.close();
  }
}

describeNetns("receive queues", () => {
  test("with two a flood of client values pushes out no protocol frame", async () => {
    const { lost, values, answered, nonces } = await flooded({ "receive-queues": "2" });
    expect(lost).toBeGreaterThan(FLOOD / 4);
    expect(values).toBe(lost);
    expect(answered).toEqual(nonces);
  });

  test("with one it does", async () => {
    const { lost, values, answered } = await flooded({ "receive-queues": "1" });
    expect(lost).toBeGreaterThan(FLOOD / 4 + ASKED);
    expect(values).toBe(0);
    expect(answered).toEqual([]);
  });

  describe("a cluster with two gets on", () => {
    const replicas = [0, 1, 2].map((id) => seat("replica", id, id));
    for (const wire of WIRES) {
      for (const [name, seats] of [
        ["proposer", SEATS],
        ["replicas", replicas],
      ] as const) {
        for (const mode of ["recvmmsg", "ring"]) {
          test(`${wire}, ${name}, ${mode}`, async () => {
            const lab = Lab.create({ hosts: 5 });
            const settings = { wire, "receive-queues": "2", "receive-mode": mode };
            const cluster = new TestCluster(ethernetNetwork(lab), { seats, settings });
            try {
              await cluster.startAll();
              const load = ["--values", "2000", "--outstanding", "50"];
              expect(await cluster.runClient(load, { host: OUR_HOST })).toMatchObject({ values: 2000 });
              await cluster.stopCleanly();
            } finally {
              cluster.close();
            }
          });
        }
      }
    }
  });
});
