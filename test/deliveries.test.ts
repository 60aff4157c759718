/**
 * `Deliveries`, the library's face of a learner's socket: order, places to begin, what was missed, a program that is slow, ends.
 */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../src/config/parse.ts";
import {
  Deliveries,
  type DeliveriesOptions,
  type Delivery,
  learnerSocket,
} from "../src/delivery/deliveries.ts";
import { DeliveryLog } from "../src/delivery/delivery_log.ts";
import { deviceName } from "../src/delivery/device_layout.ts";
import { LocalDelivery } from "../src/delivery/readers.ts";
import { writeMissed, writeWelcome } from "../src/delivery/socket_frames.ts";
import { SocketReader } from "../src/delivery/socket_reader.ts";
import { SocketServer, socketPath } from "../src/delivery/socket_server.ts";
import { CliError } from "../src/error.ts";
import { CLIENT_RECORD_BYTES, writeClientRecord } from "../src/wire/client_record.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { deviceValue } from "./support/device_value.ts";
import { until } from "./support/until.ts";

let directory = "";
let path = "";
const open: { close(): void }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "kpaxos-deliveries-"));
  path = join(directory, "learner.sock");
});
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(directory, { recursive: true });
});

function newLearner(logBytes = 1 << 22, maxValueBytes = 2000) {
  const log = new DeliveryLog(logBytes);
  const server = new SocketServer({ log, path, id: 3, maxValueBytes, logger: collectingLog().log });
  const local = new LocalDelivery(log, [server]);
  const pumping = setInterval(() => local.pump(0), 1);
  const close = (): void => {
    clearInterval(pumping);
    server.close();
  };
  open.push({ close });
  /** Two values in each instance. */
  const deliver = (first: number, last: number, size?: number): void => {
    for (let iid = first; iid <= last; iid++) {
      for (const index of [0, 1]) {
        const value = size === undefined ? deviceValue(iid) : new Uint8Array(size).fill(iid);
        log.append(iid, index, index === 1, iid, index + 1, value, 0, value.length);
      }
      log.closeInstance(iid);
    }
  };
  return { log, server, local, deliver, close };
}

function newDeliveries(options: DeliveriesOptions = {}): Deliveries {
  const deliveries = new Deliveries({ socket: path, from: "oldest", ...options });
  open.push(deliveries);
  return deliveries;
}

async function take(deliveries: Deliveries, count: number): Promise<Delivery[]> {
  const list: Delivery[] = [];
  while (list.length < count) {
    const { value, done } = await deliveries.next();
    if (done === true) break;
    list.push(value);
  }
  return list;
}

function placeOf(delivery: Delivery): string {
  if (delivery.what === "missed") return `missed to ${delivery.last.iid}`;
  return `${delivery.position.iid}.${delivery.position.index}${delivery.isLast ? "!" : ""}`;
}

test("values come in order, with their bytes, and leaving the loop closes it", async () => {
  const learner = newLearner();
  learner.deliver(1, 3);
  const deliveries = newDeliveries();
  const places: string[] = [];
  for await (const delivery of deliveries) {
    places.push(placeOf(delivery));
    if (delivery.what === "missed") continue;
    expect(delivery.value).toEqual(deviceValue(delivery.position.iid));
    expect([delivery.session, delivery.sequence]).toEqual([
      delivery.position.iid,
      delivery.position.index + 1,
    ]);
    if (places.length === 6) break;
  }
  expect(places).toEqual(["1.0", "1.1!", "2.0", "2.1!", "3.0", "3.1!"]);
  expect(await deliveries.next()).toEqual({ done: true, value: undefined });
});

test("`next` is where another one begins, to get what follows", async () => {
  const learner = newLearner();
  learner.deliver(1, 4);
  const list = await take(newDeliveries(), 4);
  for (const [at, follows] of [
    [0, "1.1!"],
    [1, "2.0"],
    [3, "3.0"],
  ] as const) {
    const [first] = await take(newDeliveries({ from: list[at]!.next }), 1);
    expect(placeOf(first!)).toBe(follows);
  }
});

test("what cannot be had any more is told where it was", async () => {
  const learner = newLearner(1 << 16);
  learner.deliver(1, 400);
  const [missed, value] = await take(newDeliveries({ from: { iid: 1, index: 0 } }), 2);
  if (missed?.what !== "missed" || value?.what !== "value") throw new Error("expected missed, then a value");
  expect(missed.first).toEqual({ iid: 1, index: 0 });
  expect(missed.next).toEqual(value.position);
});

test("a program that takes nothing has little wait here; beside it one that goes on gets everything", async () => {
  const learner = newLearner(1 << 20);
  const idle = newDeliveries();
  const eager = newDeliveries();
  const total = 8000;
  const all = take(eager, 2 * total);
  for (let iid = 1; iid <= total; iid += 200) {
    learner.deliver(iid, iid + 199, 500);
    await Bun.sleep(4);
  }
  expect((await all).every(({ what }) => what === "value")).toBe(true);
  // Then it is told what the learner could not keep for it, and comes to the end.
  const places: string[] = [];
  let iid = 0;
  for await (const delivery of idle) {
    if (delivery.what === "missed") places.push(`missed after ${places.length}`);
    else places.push(placeOf(delivery));
    iid = delivery.next.iid;
    if (iid > total) break;
  }
  const missed = places.findIndex((place) => place.startsWith("missed"));
  expect(missed).toBeGreaterThan(500);
  expect(missed).toBeLessThan(5000);
  expect(places.at(-1)).toBe(`${total}.1!`);
});

test("it joins a learner that comes late, and one that comes back, behind what it has had", async () => {
  const told: string[] = [];
  const deliveries = newDeliveries({
    onGone: () => told.push("gone"),
    onJoined: () => told.push("joined"),
  });
  await until("it misses the learner", () => told.length === 1);
  const first = newLearner();
  first.deliver(1, 2);
  expect((await take(deliveries, 4)).map(placeOf)).toEqual(["1.0", "1.1!", "2.0", "2.1!"]);
  first.close();
  await until("it misses the learner again", () => told.length === 3);
  newLearner().deliver(1, 3);
  expect((await take(deliveries, 2)).map(placeOf)).toEqual(["3.0", "3.1!"]);
  expect(told).toEqual(["gone", "joined", "gone", "joined"]);
});

test("with patience it throws when there is no learner for so long, behind what had come", async () => {
  const early = newDeliveries({ patienceMs: 50 });
  const error = await early.next().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CliError);
  expect((error as CliError).message).toContain(path);
  expect((error as CliError).hint).toContain("kpaxos run learner");
  const learner = newLearner();
  learner.deliver(1, 1);
  const deliveries = newDeliveries({ patienceMs: 2000 });
  expect((await take(deliveries, 1)).map(placeOf)).toEqual(["1.0"]);
  // Longer than its patience, which counts while nobody is there.
  await Bun.sleep(2200);
  learner.close();
  expect((await take(deliveries, 1)).map(placeOf)).toEqual(["1.1!"]);
  await expect(deliveries.next()).rejects.toBeInstanceOf(CliError);
});

test("patience without end, or longer than a timer runs, is not over at once; none that makes no sense is taken", async () => {
  for (const patienceMs of [Number.POSITIVE_INFINITY, 2 ** 31, 1e12]) {
    const gone: string[] = [];
    const deliveries = newDeliveries({ patienceMs, onGone: (reason) => gone.push(reason) });
    const first = deliveries.next();
    await until("it misses the learner", () => gone.length === 1);
    await Bun.sleep(20);
    const learner = newLearner();
    learner.deliver(1, 1);
    expect((await first).done).toBe(false);
    deliveries.close();
    learner.close();
  }
  for (const patienceMs of [Number.NaN, -1, 0])
    expect(() => newDeliveries({ patienceMs })).toThrow(/patienceMs .* milliseconds above 0/);
});

test("what a program has had is not kept for ever because it always lags a little", async () => {
  const pauses = spyOn(SocketReader.prototype, "pause");
  try {
    const learner = newLearner();
    const lagging = newDeliveries();
    const eager = newDeliveries();
    const rounds = 14;
    let had = 0;
    for (let round = 0; round < rounds; round++) {
      learner.deliver(round * 250 + 1, round * 250 + 250, 50);
      await take(eager, 500);
      await Bun.sleep(10);
      // Four rounds behind.
      if (round >= 4) had += (await take(lagging, 500)).length;
    }
    expect(pauses).toHaveBeenCalled();
    const rest = await take(lagging, rounds * 500 - had);
    expect(placeOf(rest.at(-1)!)).toBe(`${rounds * 250}.1!`);
  } finally {
    pauses.mockRestore();
  }
});

test("patience does not run while nothing is read: a learner may be back, and only its welcome not read", async () => {
  const missed = (iid: number): Uint8Array => {
    const frame = new Uint8Array(64);
    return frame.subarray(0, writeMissed(frame, 0, iid, 0, iid, 0));
  };
  const frame = new Uint8Array(64);
  const welcome = frame.slice(0, writeWelcome(frame, 0, 3, 1, 0, 1, 0));
  const nonsense = new Uint8Array(8).fill(255);
  const full = 4096;
  let connections = 0;
  const listener = Bun.listen<undefined>({
    unix: path,
    socket: {
      // So much that the program's reader is paused, and, read with the last of it, what has it leave the first learner.
      open: async (socket) => {
        if (++connections > 1) {
          socket.write(Buffer.concat([welcome, missed(full + 1)]));
          return;
        }
        socket.write(
          Buffer.concat([welcome, ...Array.from({ length: full - 10 }, (_, at) => missed(at + 1))]),
        );
        await Bun.sleep(50);
        const last = Array.from({ length: 10 }, (_, at) => missed(full - 9 + at));
        socket.write(Buffer.concat([...last, nonsense]));
      },
      data: () => {},
    },
  });
  open.push({ close: () => listener.stop(true) });
  const gone: string[] = [];
  const deliveries = newDeliveries({ patienceMs: 300, onGone: (reason) => gone.push(reason) });
  await until("it is back", () => connections === 2);
  await Bun.sleep(700);
  expect(gone).toHaveLength(1);
  const list = await take(deliveries, full + 1);
  expect(list.at(-1)).toMatchObject({ what: "missed", last: { iid: full + 1, index: 0 } });
  // Now that it reads again, patience counts again.
  listener.stop(true);
  await expect(deliveries.next()).rejects.toBeInstanceOf(CliError);
});

test("close ends a wait, and may come twice", async () => {
  newLearner();
  const deliveries = newDeliveries();
  const waits = [deliveries.next(), deliveries.next()];
  deliveries.close();
  deliveries.close();
  expect(await Promise.all(waits)).toEqual([
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
});

test("acknowledgements reach the learner, and are for those who said so", async () => {
  const learner = newLearner();
  learner.deliver(1, 3);
  const deliveries = newDeliveries({ acknowledges: true });
  await take(deliveries, 6);
  expect(learner.local.acknowledged()).toBe(0);
  deliveries.acknowledge(2);
  await until("the learner knows", () => learner.local.acknowledged() === 2);
  expect(() => newDeliveries().acknowledge(2)).toThrow(/acknowledges: true/);
});

test("a config says where the socket is, and in the Kernel_Paxos wire what a value is", async () => {
  const members = "acceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8810\nlearner 0 127.0.0.1 8820\n";
  const settings = `wire kernel-paxos\ndevice-directory ${directory}\n`;
  const { config } = parseConfig(`${members}${settings}`, "paxos.conf");
  path = learnerSocket(config!, 0);
  expect(path.startsWith(`${directory}/`)).toBe(true);
  const record = new Uint8Array(CLIENT_RECORD_BYTES + 2);
  writeClientRecord({ clientId: 7, seconds: 1, microseconds: 2, size: 2 }, record, 0);
  record.set([65, 66], CLIENT_RECORD_BYTES);
  const learner = newLearner();
  learner.log.append(1, 0, true, 0, 0, record, 0, record.length);
  learner.log.closeInstance(1);
  const options = { config: config!, learner: 0, from: "oldest" } as const;
  for (const [raw, session, value] of [
    [false, 7, record.subarray(CLIENT_RECORD_BYTES)],
    [true, 0, record],
  ] as const) {
    const deliveries = new Deliveries({ ...options, raw });
    open.push(deliveries);
    expect((await take(deliveries, 1))[0]).toMatchObject({ session, sequence: 0, value: value.slice() });
  }
});

test("a program that came first finds a learner that has a directory of its own", async () => {
  const before = process.env.XDG_RUNTIME_DIR;
  process.env.XDG_RUNTIME_DIR = directory;
  try {
    const cluster = `deliveries${process.pid}`;
    const { config } = parseConfig(
      `cluster ${cluster}\nacceptor 0 127.0.0.1 8800\nproposer 0 127.0.0.1 8810\nlearner 0 127.0.0.1 8820\n`,
      "paxos.conf",
    );
    const gone: string[] = [];
    const deliveries = new Deliveries({
      config: config!,
      from: "oldest",
      onGone: (reason) => gone.push(reason),
    });
    open.push(deliveries);
    await until("it misses the learner", () => gone.length === 1);
    expect(deliveries.path.startsWith(directory)).toBe(false);
    mkdirSync(join(directory, "kpaxos"));
    const device = join(directory, "kpaxos", deviceName(cluster, 0));
    writeFileSync(device, "");
    path = socketPath(device);
    newLearner().deliver(1, 1);
    expect((await take(deliveries, 1)).map(placeOf)).toEqual(["1.0"]);
    expect(deliveries.path).toBe(path);
  } finally {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = before;
  }
});

test("a config or a socket, not both and not neither", () => {
  expect(() => new Deliveries({})).toThrow(/config or from a socket/);
});
