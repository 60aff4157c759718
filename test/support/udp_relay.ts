/**
 * A UDP proxy with faults for tests on the loopback interface. Each server gets a port at which clients reach it
 * through the relay, and each (client, server) pair a socket of its own, so that answers find their way back.
 *
 * It changes the source address of what it passes on: systems that know peers by address need a laboratory with
 * the Ethernet relay instead.
 */
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { seededRandom } from "./random.ts";
import type { Faults } from "./relay.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface UdpRelayStats {
  /** From clients and from servers together. */
  received: number;
  fromClients: number;
  sent: number;
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  cut: number;
}

const REORDER_DEPTH = 3;
const REORDER_MS = 10;

interface Held {
  countdown: number;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly release: () => void;
}

/** One direction between one client and one server. */
interface Path {
  readonly held: Set<Held>;
  readonly queue: (() => void)[];
  /** Delays keep the order: nothing leaves before what came earlier. */
  notBefore: number;
}

export class UdpRelay {
  /** Where clients reach server i. */
  readonly endpoints: readonly Endpoint[];
  readonly stats: UdpRelayStats = {
    received: 0,
    fromClients: 0,
    sent: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    cut: 0,
  };
  #faults: Faults = {};
  readonly #cut = new Set<number>();
  readonly #random: () => number;
  readonly #sockets: Socket[];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #closed = false;

  private constructor(servers: readonly Endpoint[], listeners: readonly Socket[], seed: number) {
    this.#random = seededRandom(seed);
    this.#sockets = [...listeners];
    this.endpoints = listeners.map((socket) => ({
      host: socket.address().address,
      port: socket.address().port,
    }));
    servers.forEach((server, index) => {
      this.#serve(server, index, listeners[index]!);
    });
  }

  static async start(servers: readonly Endpoint[], seed = 1): Promise<UdpRelay> {
    const listeners = await Promise.all(
      servers.map(async ({ host }) => {
        const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
        await new Promise<void>((resolve, reject) => {
          socket.once("error", reject);
          socket.bind(0, host, resolve);
        });
        return socket;
      }),
    );
    return new UdpRelay(servers, listeners, seed);
  }

  /** Replaces all faults. */
  set(faults: Faults): void {
    this.#faults = faults;
  }

  /** Nothing reaches server `index` or leaves it. */
  cut(index: number): void {
    this.#cut.add(index);
  }

  heal(): void {
    this.#cut.clear();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.close();
  }

  #serve(server: Endpoint, index: number, listener: Socket): void {
    const upstreams = new Map<string, { readonly socket: Socket; readonly path: Path }>();
    listener.on("message", (message, client) => {
      this.stats.fromClients++;
      const key = `${client.address} ${client.port}`;
      let upstream = upstreams.get(key);
      if (upstream === undefined) {
        const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
        const back: Path = { held: new Set(), queue: [], notBefore: 0 };
        socket.on("message", (answer) => {
          this.#pass(index, back, answer, (bytes) => listener.send(bytes, client.port, client.address));
        });
        // A server that is down answers with ICMP errors: that is loss, and no trouble of the relay.
        socket.on("error", () => this.stats.lost++);
        this.#sockets.push(socket);
        upstream = { socket, path: { held: new Set(), queue: [], notBefore: 0 } };
        upstreams.set(key, upstream);
      }
      const { socket, path } = upstream;
      this.#pass(index, path, message, (bytes) => socket.send(bytes, server.port, server.host));
    });
  }

  #chance(percent: number | undefined): boolean {
    return percent !== undefined && percent > 0 && this.#random() * 100 < percent;
  }

  #pass(server: number, path: Path, message: Buffer, send: (bytes: Buffer) => void): void {
    this.stats.received++;
    if (this.#cut.has(server)) {
      this.stats.cut++;
      return;
    }
    if (this.#chance(this.#faults.loss)) {
      this.stats.lost++;
      return;
    }
    let bytes = message;
    if (message.length > 0 && this.#chance(this.#faults.corrupt)) {
      bytes = Buffer.from(message);
      const at = Math.floor(this.#random() * bytes.length);
      bytes[at] = bytes[at]! ^ (1 << Math.floor(this.#random() * 8));
      this.stats.corrupted++;
    }
    const copies = this.#chance(this.#faults.dup) ? 2 : 1;
    this.stats.duplicated += copies - 1;
    for (let copy = 0; copy < copies; copy++) {
      const transmit = (): void => {
        if (this.#closed) return;
        this.stats.sent++;
        send(bytes);
      };
      if (this.#chance(this.#faults.reorder)) this.#hold(path, transmit);
      else this.#delay(path, transmit);
    }
  }

  #hold(path: Path, transmit: () => void): void {
    this.stats.reordered++;
    const release = (): void => {
      clearTimeout(held.timer);
      this.#timers.delete(held.timer);
      path.held.delete(held);
      transmit();
    };
    const timer = setTimeout(release, REORDER_MS);
    const held: Held = { countdown: 1 + Math.floor(this.#random() * REORDER_DEPTH), timer, release };
    this.#timers.add(timer);
    path.held.add(held);
  }

  #delay(path: Path, transmit: () => void): void {
    const [min, max] = this.#faults.delayMs ?? [0, 0];
    const now = performance.now();
    path.notBefore = Math.max(path.notBefore, now + min + this.#random() * (max - min));
    const go = (): void => {
      transmit();
      for (const held of [...path.held]) if (--held.countdown <= 0) held.release();
    };
    if (path.notBefore <= now) {
      go();
      return;
    }
    // A timer releases the oldest, not its own: timers a fraction of a millisecond apart may fire in any order.
    path.queue.push(go);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      path.queue.shift()?.();
    }, path.notBefore - now);
    this.#timers.add(timer);
  }
}
