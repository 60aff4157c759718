/**
 * What `queues.ts` has on its listening host: how long a leader takes to have instances chosen, as its own multicasts tell it,
 * and somebody who sends client values without heeding any answer.
 */
import type { Config } from "../src/config/config.ts";
import { parseConfig } from "../src/config/parse.ts";
import { openEthernet } from "../src/net/ethernet.ts";
import { NATIVE_ETHERTYPE } from "../src/net/ethertypes.ts";
import { nativeFilter } from "../src/net/filter.ts";
import { interfaceNamed, listInterfaces } from "../src/net/interfaces.ts";
import { DESCRIPTOR_WORDS, OFFSET, Port } from "../src/net/link.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { clusterIdOf, newLife } from "../src/node/identity.ts";
import { LatencyHistogram } from "../src/node/latency_histogram.ts";
import type { Host } from "../src/ops/lab_names.ts";
import { Role } from "../src/protocol/types.ts";
import { formatHex } from "../src/wire/frame_fields.ts";
import { multicastAddress } from "../src/wire/native.ts";
import { HEADER_BYTES, NativeType } from "../src/wire/native_layout.ts";
import { encodeNativeText } from "../src/wire/native_text.ts";
import { put } from "../test/support/link_frames.ts";
import { entry } from "../test/support/native_stage.ts";
import { inNamespace } from "../test/support/setns.ts";

const HIGH = 2 ** 32;
/** A sleep that no frame ends is no longer than this: timers of this program wait for it. */
const WAIT_US = 1000;
const RECEIVE_BYTES = 32 << 20;
const INSTANCES = 1 << 16;
const FLOOD_SLOTS = 64;
const FLOOD_VALUE_BYTES = 1300;

function configOf(text: string): Config {
  const { config } = parseConfig(text, "paxos.conf");
  if (config === undefined) throw new Error("the cluster's configuration does not parse");
  return config;
}

function openOn(host: Host, rolesMask: number, multicastMac?: Uint32Array): SystemLink {
  return inNamespace(host.name, () => {
    const own = interfaceNamed(host.interface, listInterfaces());
    const places = { ifindex: own.index, loIndex: 0, mac: own.words, multicastMac };
    return openEthernet({
      interfaceName: host.interface,
      etherType: NATIVE_ETHERTYPE,
      filter: nativeFilter({ ...places, rolesMask, group: 0, life: newLife() }),
      alsoLo: false,
      receiveBufferBytes: RECEIVE_BYTES,
      multicastMac,
    });
  });
}

/** Follows one leader at a time: the newest life that proposes. */
export class ChoosingTimes {
  readonly #link: SystemLink;
  readonly #histogram = new LatencyHistogram();
  readonly #iids = new Float64Array(INSTANCES);
  readonly #sentUs = new Float64Array(INSTANCES);
  #isOn = false;
  #nowUs = 0;
  #life = 0;
  #highest = 0;
  #chosen = 0;
  #again = 0;

  constructor(host: Host, config: string) {
    const multicastMac = multicastAddress(clusterIdOf(configOf(config)), 0);
    this.#link = openOn(host, Role.acceptor, multicastMac);
  }

  begin(): void {
    this.#isOn = true;
    const turn = (): void => {
      if (!this.#isOn) return;
      this.#look(WAIT_US);
      setImmediate(turn);
    };
    setImmediate(turn);
  }

  end(): void {
    this.#isOn = false;
    this.#look(0);
    const { rxDropped } = this.#link.counters();
    if (rxDropped > 0) process.stderr.write(`the listener missed ${rxDropped} frames\n`);
  }

  figures(): { readonly chosenP50: number; readonly chosenP99: number; readonly again: number } {
    const { p50, p99 } = this.#histogram.figures();
    return { chosenP50: p50, chosenP99: p99, again: this.#again };
  }

  close(): void {
    this.#isOn = false;
    this.#link.close();
  }

  /** Frames count from when this process is woken for them. */
  #look(waitUs: number): void {
    for (let count = this.#link.step(0, waitUs); count > 0; count = this.#link.step(0, 0)) {
      this.#nowUs = performance.now() * 1000;
      for (let i = 0; i < count; i++) this.#frame(this.#link.rxBase + i * DESCRIPTOR_WORDS);
    }
  }

  #frame(descriptor: number): void {
    const { words } = this.#link.area;
    const us = this.#nowUs;
    const at = words[descriptor + OFFSET]! >>> 2;
    if ((words[at + 2]! & 0xff) !== Role.proposer) return;
    const end = at + (words[at + 2]! >>> 18);
    const life = this.#pair(at + 4);
    for (let message = at + HEADER_BYTES / 4; message < end; message += words[message]! >>> 18) {
      const type = words[message]! & 0xff;
      if (type === NativeType.accept)
        this.#accept(life, this.#pair(message + 1), this.#pair(message + 5), us);
      else if (type === NativeType.heartbeat && life === this.#life) this.#told(this.#pair(message + 1), us);
    }
  }

  #pair(at: number): number {
    const { words } = this.#link.area;
    return words[at]! + words[at + 1]! * HIGH;
  }

  #accept(life: number, iid: number, chosen: number, us: number): void {
    if (life !== this.#life) {
      this.#life = life;
      this.#highest = iid - 1;
      this.#chosen = chosen;
    }
    this.#told(chosen, us);
    if (iid <= this.#highest) {
      this.#again++;
      return;
    }
    this.#highest = iid;
    this.#iids[iid % INSTANCES] = iid;
    this.#sentUs[iid % INSTANCES] = us;
  }

  #told(chosen: number, us: number): void {
    for (let iid = Math.max(this.#chosen + 1, chosen - INSTANCES); iid <= chosen; iid++) {
      if (this.#iids[iid % INSTANCES] === iid) this.#histogram.record(us - this.#sentUs[iid % INSTANCES]!);
    }
    if (chosen > this.#chosen) this.#chosen = chosen;
  }
}

/** Sends a proposer client values of a session that nobody has, so many frames a second. */
export class Flooder {
  readonly #link: SystemLink;
  readonly #framesPerMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #fromMs = 0;
  /** By the schedule. */
  #sentFrames = 0;

  constructor(host: Host, text: string, proposer: number, framesPerSecond: number) {
    const config = configOf(text);
    const { address } = config.proposers[proposer]!;
    if (address.kind !== "ethernet") throw new Error("raw Ethernet");
    const value = formatHex(entry(FLOOD_VALUE_BYTES));
    const place = {
      from: "client 4711",
      to: `proposer ${proposer}`,
      life: newLife(),
      cluster: clusterIdOf(config),
    };
    const made = encodeNativeText({ ...place, message: "clientValue", value });
    if (!("payload" in made)) throw new Error(made.error);
    this.#framesPerMs = framesPerSecond / 1000;
    this.#link = openOn(host, Role.client);
    for (let slot = 0; slot < FLOOD_SLOTS; slot++)
      put(this.#link, slot, address.words, Port.wire, made.payload, NATIVE_ETHERTYPE);
  }

  /** Frames so far. */
  get sent(): number {
    return this.#link.counters().txFrames;
  }

  begin(): void {
    this.#fromMs = performance.now();
    this.#timer = setInterval(() => this.#send(), 1);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  close(): void {
    this.end();
    this.#link.close();
  }

  #send(): void {
    const due = (performance.now() - this.#fromMs) * this.#framesPerMs;
    // What a delayed timer has missed is not made up for beyond a few milliseconds' worth.
    this.#sentFrames = Math.max(this.#sentFrames, due - 10 * this.#framesPerMs);
    for (; this.#sentFrames + FLOOD_SLOTS <= due; this.#sentFrames += FLOOD_SLOTS)
      this.#link.step(FLOOD_SLOTS, 0);
  }
}
