/**
 * Both ends of one busy process and its light peer, the ends of `bench/threads.ts busy`. The busy one works for a while on each
 * frame, as a role's step does, and answers each with a frame; the peer keeps a window of frames under way.
 */
import { Kind, LinkFrames } from "../../src/bench/link_frames.ts";
import { setRealtime } from "../../src/native/cpus.ts";
import { type Address, parseMac } from "../../src/net/address.ts";
import { openEthernet } from "../../src/net/ethernet.ts";
import type { SystemLink } from "../../src/net/system_link.ts";
import { LatencyHistogram } from "../../src/node/latency_histogram.ts";
import { HOST_INTERFACE, hostMac } from "../../src/ops/lab_names.ts";

/** The EtherType of those frames. */
const ETHERTYPE = 0x88b6;
const ACCEPT_ALL = [{ code: 0x06, jt: 0, jf: 0, k: 0xffffffff }];
// As many as a role has.
const RX_SLOTS = 128;
const TX_SLOTS = 512;
const RECEIVE_BUFFER_BYTES = 8 << 20;

const FRAME_BYTES = 64;
const WAIT_US = 20_000;
/** What is not answered by then is lost, and the run void. */
const PATIENCE_US = 500_000;
const WARM_UP_US = 700_000;
const NUMBERS = 1 << 16;

export interface Served {
  readonly cpuUs: number;
  readonly frames: number;
}

export interface Driven {
  readonly framesPerSecond: number;
  readonly p50: number;
  readonly p99: number;
}

const nowUs = (): number => performance.now() * 1000;

/** At real-time priority, so that others on this machine do not count. */
function open(): SystemLink {
  setRealtime(true);
  return openEthernet({
    interfaceName: HOST_INTERFACE,
    etherType: ETHERTYPE,
    filter: ACCEPT_ALL,
    alsoLo: false,
    rxSlots: RX_SLOTS,
    txSlots: TX_SLOTS,
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
}

/** Counts from the frame that begins to the one that asks, which ends it. */
export function serve(workUs: number): Served {
  const link = open();
  const frames = new LinkFrames(link);
  process.stderr.write("ready\n");
  let from = process.cpuUsage();
  let count = 0;
  let answers = 0;
  for (;;) {
    const received = link.step(answers, WAIT_US);
    answers = 0;
    for (let slot = 0; slot < received; slot++) {
      const kind = frames.kindOf(slot);
      if (kind === Kind.begin) {
        from = process.cpuUsage();
        count = 0;
      } else if (kind === Kind.ask) {
        const { user, system } = process.cpuUsage(from);
        link.close();
        return { cpuUs: user + system, frames: count };
      } else {
        if (workUs > 0) for (const until = nowUs() + workUs; nowUs() < until; );
        frames.answer(slot, answers++, Kind.pong);
        count++;
      }
    }
  }
}

/** Drives the one on host `host`. */
export function drive(host: number, window: number, seconds: number): Driven {
  const link = open();
  const frames = new LinkFrames(link);
  const peer = (parseMac(hostMac(host)) as Address).words;
  const histogram = new LatencyHistogram();
  const sentAtUs = new Float64Array(NUMBERS);
  const tell = (kind: Kind): number => {
    frames.write(0, kind, 0, FRAME_BYTES, peer, 0);
    return link.step(1, 0);
  };
  let next = 0;
  let underWay = 0;
  let heardUs = nowUs();
  const beganUs = heardUs + WARM_UP_US;
  const untilUs = beganUs + seconds * 1e6;
  for (let begun = false; heardUs < untilUs; ) {
    const ntx = Math.min(window - underWay, link.txSlots);
    let now = nowUs();
    for (let slot = 0; slot < ntx; slot++, next = (next + 1) % NUMBERS) {
      sentAtUs[next] = now;
      frames.write(slot, Kind.ping, next, FRAME_BYTES, peer, 0);
    }
    underWay += ntx;
    const received = link.step(ntx, underWay < window ? 0 : WAIT_US);
    now = nowUs();
    for (let slot = 0; slot < received; slot++) {
      if (begun) histogram.record(now - sentAtUs[frames.numberOf(slot)]!);
    }
    underWay -= received;
    if (received > 0) heardUs = now;
    if (now - heardUs > PATIENCE_US) throw new Error("frames were lost");
    if (!begun && now >= beganUs) {
      begun = true;
      underWay -= tell(Kind.begin);
    }
  }
  tell(Kind.ask);
  const { p50, p99 } = histogram.figures();
  link.close();
  return { framesPerSecond: histogram.count / seconds, p50, p99 };
}
