/**
 * Both ends of a link that is measured: one counts and answers, the other sends as fast as it can, and then to and fro. Each
 * waits in the C library's step, as a role does.
 */
import { CliError, ExitCode } from "../error.ts";
import type { Address } from "../net/address.ts";
import type { SystemLink } from "../net/system_link.ts";
import type { LatencyFigures } from "../node/latency_histogram.ts";
import { LatencyHistogram } from "../node/latency_histogram.ts";
import { Kind, LEAST_BYTES, LinkFrames, type LinkPlace, openLink, type Packets } from "./link_frames.ts";

/** Steps before the event loop gets its chance: signals are heard. */
const BURST = 256;
const WAIT_US = 20_000;
const ANSWER_US = 100_000;
const ASKED_TIMES = 50;
const PONG_WAIT_US = 200_000;

export interface OneWay {
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  readonly mbps: number;
  /** Of those sent. */
  readonly lostShare: number;
}

export interface RoundTrips {
  readonly perSecond: number;
  readonly latencyUs: LatencyFigures;
  readonly lost: number;
}

export interface LinkFigures {
  /** Payload of the Ethernet frame or datagram. */
  readonly bytes: number;
  /** How they passed the kernel. */
  readonly packets: Packets;
  readonly oneWay: OneWay;
  readonly roundTrips: RoundTrips;
}

const nowUs = (): number => performance.now() * 1000;
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The other end, until `stop`. Whoever measures says how frames are to be received: for that the link is opened anew. */
export async function listenThere(
  place: LinkPlace,
  ready: (packets: Packets) => void,
  stop: AbortSignal,
): Promise<void> {
  let packets: Packets = "bundles";
  while (!stop.aborted) {
    const link = openLink(place, packets);
    try {
      ready(packets);
      packets = await answerLink(link, packets, stop);
    } finally {
      link.close();
    }
  }
}

/** Counts what comes and answers what asks, until `stop`, or until whoever begins wants its frames otherwise: how. */
async function answerLink(link: SystemLink, packets: Packets, stop: AbortSignal): Promise<Packets> {
  const frames = new LinkFrames(link);
  let count = 0;
  let firstUs = 0;
  let lastUs = 0;
  let answers = 0;
  link.watchEventLoop();
  while (!stop.aborted) {
    for (let step = 0; step < BURST; step++) {
      const received = link.step(answers, step === 0 ? WAIT_US : 0);
      answers = 0;
      if (received === 0) break;
      const us = nowUs();
      for (let slot = 0; slot < received; slot++) {
        const kind = frames.kindOf(slot);
        if (kind === Kind.data) {
          if (count++ === 0) firstUs = us;
          lastUs = us;
          continue;
        }
        // Whoever asks more than that at once asks again.
        if (answers === link.txSlots) continue;
        if (kind === Kind.ping) frames.answer(slot, answers++, Kind.pong);
        else if (kind === Kind.begin) {
          const wish = frames.wishOf(slot) ?? packets;
          // It asks again until there is an answer.
          if (wish !== packets) return wish;
          count = 0;
          frames.answer(slot, answers++, Kind.begun);
        } else if (kind === Kind.ask) {
          frames.answer(slot, answers, Kind.report);
          frames.report(answers++, count, Math.round(lastUs - firstUs));
        }
      }
    }
    await breathe();
  }
  return packets;
}

/** The end that measures. */
export class LinkDriver {
  readonly #link: SystemLink;
  readonly #frames: LinkFrames;
  readonly #peer: Address;
  readonly #packets: Packets;
  readonly #stop: AbortSignal;
  #question = 0;

  /** `packets`: how the other end is to receive them. */
  constructor(link: SystemLink, peer: Address, packets: Packets, stop: AbortSignal) {
    this.#link = link;
    this.#frames = new LinkFrames(link);
    this.#peer = peer;
    this.#packets = packets;
    this.#stop = stop;
    link.watchEventLoop();
  }

  async measure(bytes: number, seconds: number): Promise<LinkFigures> {
    const oneWay = await this.#oneWay(bytes, seconds);
    const roundTrips = await this.#roundTrips(bytes, seconds);
    return { bytes, packets: this.#packets, oneWay, roundTrips };
  }

  async #oneWay(bytes: number, seconds: number): Promise<OneWay> {
    await this.#ask(Kind.begin, Kind.begun);
    const before = this.#link.counters();
    const slots = this.#link.txSlots;
    for (let slot = 0; slot < slots; slot++) this.#write(slot, Kind.data, 0, bytes);
    const beganUs = nowUs();
    const untilUs = beganUs + seconds * 1e6;
    while (nowUs() < untilUs) {
      for (let step = 0; step < BURST && nowUs() < untilUs; step++) this.#link.step(slots, 0);
      await breathe();
      this.#stop.throwIfAborted();
    }
    const sentUs = nowUs() - beganUs;
    const after = this.#link.counters();
    // What the kernel had no room for was never sent.
    const sent = after.txFrames - before.txFrames;
    const { frames, us } = await this.#ask(Kind.ask, Kind.report);
    return {
      sentPerSecond: (sent * 1e6) / sentUs,
      receivedPerSecond: us > 0 ? (frames * 1e6) / us : 0,
      mbps: us > 0 ? (frames * bytes * 8) / us : 0,
      lostShare: sent > 0 ? Math.max(0, 1 - frames / sent) : 0,
    };
  }

  async #roundTrips(bytes: number, seconds: number): Promise<RoundTrips> {
    const histogram = new LatencyHistogram();
    const beganUs = nowUs();
    const untilUs = beganUs + seconds * 1e6;
    let lost = 0;
    for (let number = 1; nowUs() < untilUs; number++) {
      const sentUs = nowUs();
      this.#write(0, Kind.ping, number, bytes);
      if (this.#await(Kind.pong, number, 1, PONG_WAIT_US) < 0) lost++;
      else histogram.record(nowUs() - sentUs);
      if (number % BURST === 0) {
        await breathe();
        this.#stop.throwIfAborted();
      }
    }
    const perSecond = (histogram.count * 1e6) / (nowUs() - beganUs);
    return { perSecond, latencyUs: histogram.figures(), lost };
  }

  #write(slot: number, kind: Kind, number: number, bytes: number): void {
    this.#frames.write(slot, kind, number, bytes, this.#peer.words, 0);
  }

  /** The receive slot of the answer; −1: none came in time. */
  #await(kind: Kind, number: number, ntx: number, patienceUs: number): number {
    const untilUs = nowUs() + patienceUs;
    let send = ntx;
    for (;;) {
      const received = this.#link.step(send, Math.max(0, untilUs - nowUs()));
      send = 0;
      for (let slot = 0; slot < received; slot++) {
        if (this.#frames.kindOf(slot) === kind && this.#frames.numberOf(slot) === number) return slot;
      }
      if (nowUs() >= untilUs) return -1;
    }
  }

  /** Asks until there is an answer. */
  async #ask(kind: Kind, answer: Kind): Promise<{ readonly frames: number; readonly us: number }> {
    const number = ++this.#question;
    for (let time = 0; time < ASKED_TIMES; time++) {
      this.#write(0, kind, number, LEAST_BYTES);
      this.#frames.wish(0, this.#packets);
      const slot = this.#await(answer, number, 1, ANSWER_US);
      if (slot >= 0) return this.#frames.reportOf(slot);
      await breathe();
      this.#stop.throwIfAborted();
    }
    throw new CliError("the other end does not answer", {
      exitCode: ExitCode.failure,
      hint: "start it there: kpaxos bench link --listen",
    });
  }
}
