/**
 * A client that keeps so many requests under way, the same for etcd and `kpaxos kv`: a closed loop over connections to all servers
 * that are named, keys in turn. Says when it measures and when it has measured, then its figures, each a line of JSON.
 *
 *     bun bench/etcd/load.ts --protocol grpc|http --operation put|get --at HOST:PORT,… [--outstanding 100] [--connections 3]
 *         [--keys 1000] [--size 64] [--warm-up 1] [--seconds 3] [--fill]
 *
 * `--connections` is of gRPC, which has many calls on each; HTTP/1.1 has one request on each, so it has as many as there are
 * requests. With fewer requests than servers these take turns. `--fill` puts each key once, one after the other, and measures nothing.
 */
import type { Socket } from "bun";
import { LatencyHistogram } from "../../src/node/latency_histogram.ts";
import { flags, number, script, usageError, whole, write } from "../support/script.ts";
import type { Connection, Load, Operation, Protocol } from "./connection.ts";
import { GRPC, MOST_MESSAGE_BYTES } from "./grpc.ts";
import { HTTP } from "./http.ts";

const PROTOCOLS: Readonly<Record<string, Protocol>> = { grpc: GRPC, http: HTTP };
const OPERATIONS: readonly Operation[] = ["put", "get"];
/** Of a message beside key and value. */
const MESSAGE_ROOM = 384;

interface Address {
  readonly hostname: string;
  readonly port: number;
}

interface Plan extends Load {
  readonly protocol: Protocol;
  readonly addresses: readonly Address[];
  readonly outstanding: number;
  readonly connections: number;
  readonly warmUp: number;
  readonly seconds: number;
  readonly fill: boolean;
}

interface Line {
  readonly connection: Connection;
  readonly socket: Socket<undefined>;
}

function plan(): Plan {
  const chosen = flags({
    protocol: { type: "string", default: "grpc" },
    operation: { type: "string", default: "put" },
    at: { type: "string", default: "" },
    outstanding: { type: "string", default: "100" },
    connections: { type: "string", default: "3" },
    keys: { type: "string", default: "1000" },
    size: { type: "string", default: "64" },
    "warm-up": { type: "string", default: "1" },
    seconds: { type: "string", default: "3" },
    fill: { type: "boolean", default: false },
  });
  const protocol = PROTOCOLS[chosen.protocol];
  const operation = OPERATIONS.find((one) => one === chosen.operation);
  if (protocol === undefined) throw usageError(`--protocol: there is no ${chosen.protocol}`, "grpc or http");
  if (operation === undefined) throw usageError(`--operation: there is no ${chosen.operation}`, "put or get");
  const outstanding = chosen.fill ? 1 : whole("outstanding", chosen.outstanding);
  const valueBytes = whole("size", chosen.size);
  if (valueBytes > MOST_MESSAGE_BYTES - MESSAGE_ROOM) {
    throw usageError(
      `--size: ${valueBytes} B do not fit into one HTTP/2 frame`,
      `at most ${MOST_MESSAGE_BYTES - MESSAGE_ROOM}`,
    );
  }
  const addresses = chosen.at.split(",").map(addressOf);
  // HTTP/1.1: a place for every request, and at least one at each server.
  const places = Math.ceil(outstanding / addresses.length) * addresses.length;
  return {
    protocol,
    operation: chosen.fill ? "put" : operation,
    addresses,
    outstanding,
    connections: protocol === HTTP ? places : Math.min(places, whole("connections", chosen.connections)),
    keys: whole("keys", chosen.keys),
    valueBytes,
    warmUp: number("warm-up", chosen["warm-up"]),
    seconds: number("seconds", chosen.seconds),
    fill: chosen.fill,
  };
}

function addressOf(text: string): Address {
  const [, hostname, port] = /^([^:]+):(\d{1,5})$/.exec(text) ?? [];
  if (hostname === undefined) {
    throw usageError(`--at: ${JSON.stringify(text)} is no HOST:PORT`, "for example --at 10.0.0.1:2379");
  }
  return { hostname, port: Number(port) };
}

class Client {
  values = 0;
  /** Told of every value. */
  onValue: () => void = () => undefined;
  readonly histogram = new LatencyHistogram();
  /** Rejects when a request fails. */
  readonly failed: Promise<never>;
  readonly #plan: Plan;
  readonly #messages: readonly Uint8Array[];
  readonly #lines: Line[] = [];
  /** Lines with room for a request, the one that has had it longest first. */
  readonly #free: Line[] = [];
  readonly #touched = new Set<Line>();
  readonly #fail: (error: Error) => void;
  readonly #lineOf: Line[] = [];
  readonly #askedMs: Float64Array;
  #key = 0;

  constructor(given: Plan) {
    this.#plan = given;
    this.#messages = given.protocol.messagesOf(given);
    this.#askedMs = new Float64Array(given.outstanding);
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.#fail = reject;
    promise.catch(() => undefined);
  }

  async connect(): Promise<void> {
    const { addresses, connections } = this.#plan;
    for (let i = 0; i < connections; i++)
      this.#lines.push(await this.#open(addresses[i % addresses.length]!));
  }

  begin(): void {
    const { outstanding, addresses } = this.#plan;
    const places = Math.max(this.#lines.length, Math.ceil(outstanding / addresses.length) * addresses.length);
    for (let i = 0; i < places; i++) this.#free.push(this.#lines[i % this.#lines.length]!);
    for (let slot = 0; slot < outstanding; slot++) this.#ask(slot);
    this.#flush();
  }

  async #open({ hostname, port }: Address): Promise<Line> {
    const connection = this.#plan.protocol.connect(this.#plan, (slot, problem) => {
      if (problem !== null) this.#fail(new Error(problem));
      else this.#answered(slot);
    });
    const socket: Socket<undefined> = await Bun.connect({
      hostname,
      port,
      socket: {
        data: (_socket, chunk) => {
          try {
            connection.feed(chunk);
            this.#touched.add(line);
            this.#flush();
          } catch (error) {
            this.#fail(error instanceof Error ? error : new Error(String(error)));
          }
        },
        drain: (open) => connection.out.flush(open),
        close: () => this.#fail(new Error(`${hostname}:${port} closed a connection`)),
        error: (_socket, error) => this.#fail(error),
      },
    });
    socket.setNoDelay(true);
    const line: Line = { connection, socket };
    connection.out.flush(socket);
    return line;
  }

  #ask(slot: number): void {
    const line = this.#free.shift()!;
    this.#lineOf[slot] = line;
    this.#askedMs[slot] = performance.now();
    line.connection.ask(slot, this.#messages[this.#key]!);
    this.#key = (this.#key + 1) % this.#messages.length;
    this.#touched.add(line);
  }

  #answered(slot: number): void {
    this.values++;
    this.onValue();
    this.histogram.record((performance.now() - this.#askedMs[slot]!) * 1000);
    this.#free.push(this.#lineOf[slot]!);
    this.#ask(slot);
  }

  #flush(): void {
    for (const { connection, socket } of this.#touched) connection.out.flush(socket);
    this.#touched.clear();
  }
}

function say(line: object): void {
  write(`${JSON.stringify(line)}\n`);
}

async function main(): Promise<void> {
  const given = plan();
  const client = new Client(given);
  const pass = (seconds: number): Promise<void> =>
    Promise.race([new Promise<void>((done) => setTimeout(done, seconds * 1000)), client.failed]);
  const filled = new Promise<void>((done) => {
    client.onValue = () => (client.values === given.keys ? done() : undefined);
  });
  await client.connect();
  client.begin();
  if (given.fill) {
    await Promise.race([filled, client.failed]);
    return;
  }
  await pass(given.warmUp);
  client.histogram.clear();
  client.values = 0;
  const cpu = process.cpuUsage();
  const fromMs = performance.now();
  say({ phase: "measuring" });
  await pass(given.seconds);
  const { values, histogram } = client;
  const seconds = (performance.now() - fromMs) / 1000;
  const cpuUs = process.cpuUsage(cpu);
  say({ phase: "measured" });
  say({ values, seconds, valuesPerSecond: values / seconds, cpuUs, histogram });
}

await script(main);
// Connections are open, and requests under way.
process.exit();
