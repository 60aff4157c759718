/**
 * A learner's delivery socket: readers at their own pace, resumption, acknowledgements, limits, and bytes that make no
 * sense.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import fc from "fast-check";
import { DeliveryLog } from "../src/delivery/delivery_log.ts";
import { LAST_INDEX, type StartAt } from "../src/delivery/log_record.ts";
import { LocalDelivery } from "../src/delivery/readers.ts";
import { FromReader, helloFrame, numberFrame, Start, u32 } from "../src/delivery/socket_frames.ts";
import { SocketReader } from "../src/delivery/socket_reader.ts";
import { SOCKET_READERS, SocketServer } from "../src/delivery/socket_server.ts";
import { CliError } from "../src/error.ts";
import { MAX_IID } from "../src/protocol/types.ts";
import { collectingLog, type Line } from "./support/collecting_log.ts";
import { deviceValue } from "./support/device_value.ts";
import { until } from "./support/until.ts";

let directory = "";
let path = "";
const open: { close(): void }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "kpaxos-socket-"));
  path = join(directory, "learner.sock");
});
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(directory, { recursive: true });
});

interface Host {
  readonly server: SocketServer;
  readonly log: DeliveryLog;
  readonly local: LocalDelivery;
  readonly lines: Line[];
  deliver(first: number, last: number): void;
}

function newHost(logBytes = 1 << 22, at = path): Host {
  const log = new DeliveryLog(logBytes);
  const { log: logger, lines } = collectingLog();
  const server = new SocketServer({ log, path: at, id: 3, maxValueBytes: 2000, logger });
  const local = new LocalDelivery(log, [server]);
  open.push(server);
  const deliver = (first: number, last: number): void => {
    for (let iid = first; iid <= last; iid++) {
      const value = deviceValue(iid);
      log.append(iid, 0, true, iid * 2, iid * 3, value, 0, value.length);
      log.closeInstance(iid);
      local.pump(0);
    }
  };
  return { server, log, local, lines, deliver };
}

/** A reader that checks what it gets and notes it: "1", "missed 2.0-9.0", "gone", "welcome". */
class Checked {
  readonly events: string[] = [];
  readonly reader: SocketReader;
  next = 0;

  constructor(options: { from?: StartAt; acknowledges?: boolean } = {}, at = path) {
    this.reader = new SocketReader(
      at,
      {
        onWelcome: () => this.events.push("welcome"),
        onGone: () => this.events.push("gone"),
        onMissed: (firstIid, firstIndex, lastIid, lastIndex) => {
          const end = lastIndex === LAST_INDEX ? "end" : lastIndex;
          this.events.push(`missed ${firstIid}.${firstIndex}-${lastIid}.${end}`);
          this.next = lastIid + 1;
        },
        onValue: (iid, index, isLast, session, sequence, bytes, offset, length) => {
          const value = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length);
          expect(value.equals(deviceValue(iid))).toBe(true);
          expect([index, isLast, session, sequence]).toEqual([0, true, iid * 2, iid * 3]);
          if (this.next > 0) expect(iid).toBe(this.next);
          this.events.push(`${iid}`);
          this.next = iid + 1;
        },
      },
      options,
    );
    open.push(this.reader);
    this.reader.start();
  }

  async reach(next: number): Promise<void> {
    await until(`instance ${next - 1}`, () => this.next >= next);
  }

  async has(event: string): Promise<void> {
    await until(event, () => this.events.includes(event));
  }
}

/** A raw connection: what it got, and whether it was closed. */
async function connect(at = path) {
  const state = { got: Buffer.alloc(0), closed: false };
  const socket: Socket<undefined> = await Bun.connect<undefined>({
    unix: at,
    socket: {
      data: (_socket, chunk) => {
        state.got = Buffer.concat([state.got, chunk]);
      },
      close: () => {
        state.closed = true;
      },
    },
  });
  open.push({ close: () => socket.end() });
  const bye = async (): Promise<string> => {
    await until("the connection is closed", () => state.closed);
    let at = 0;
    while (at < state.got.length && u32(state.got, at + 4) !== 20) at += 8 + u32(state.got, at);
    return state.got.subarray(at + 8).toString();
  };
  return { socket, state, bye };
}

describe("readers", () => {
  test("each begins where it asked for", async () => {
    const { deliver, log } = newHost(1 << 14);
    deliver(1, 500);
    const floor = log.floorIid;
    const present = new Checked();
    const oldest = new Checked({ from: "oldest" });
    const middle = new Checked({ from: { iid: 490, index: 0 } });
    const early = new Checked({ from: { iid: 5, index: 0 } });
    await Promise.all([present, oldest, middle, early].map((one) => one.has("welcome")));
    deliver(501, 501);
    await Promise.all([present, oldest, middle, early].map((one) => one.reach(502)));
    expect(present.events).toEqual(["welcome", "501"]);
    expect(oldest.events.slice(0, 2)).toEqual(["welcome", `${floor + 1}`]);
    expect(middle.events.slice(0, 2)).toEqual(["welcome", "490"]);
    expect(early.events.slice(0, 3)).toEqual(["welcome", `missed 5.0-${floor}.0`, `${floor + 1}`]);
  });

  test("a slow one lags, misses and is told exactly what; the others get everything", async () => {
    const { deliver, log, lines, server } = newHost(1 << 16);
    const slow = new Checked();
    const quick = new Checked();
    await slow.has("welcome");
    await quick.has("welcome");
    slow.reader.pause();
    let last = 0;
    // More than the sockets' buffers hold.
    while (log.floorIid < 8000) {
      deliver(last + 1, last + 50);
      last += 50;
      await quick.reach(last + 1);
    }
    expect(quick.events.filter((event) => event.startsWith("missed"))).toEqual([]);
    slow.reader.resume();
    await slow.reach(last + 1);
    const missed = slow.events.filter((event) => event.startsWith("missed"));
    expect(missed.length).toBeGreaterThan(0);
    expect(server.counters.losses).toBe(missed.length);
    expect(lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  test("it goes on with the next learner, and is given nothing twice", async () => {
    const first = newHost();
    const reader = new Checked();
    await reader.has("welcome");
    first.deliver(1, 10);
    await reader.reach(11);
    first.server.close();
    await reader.has("gone");
    expect(existsSync(path)).toBe(false);
    const second = newHost();
    // It delivers from the beginning again.
    second.deliver(1, 12);
    await reader.reach(13);
    second.server.close();
    const third = newHost();
    // It begins beyond what was read.
    third.deliver(20, 22);
    await reader.reach(23);
    const counted = Array.from({ length: 12 }, (_, at) => `${at + 1}`);
    expect(reader.events.filter((event) => /^\d|missed/.test(event))).toEqual([
      ...counted,
      "missed 13.0-19.end",
      "20",
      "21",
      "22",
    ]);
  });

  test("what it was told without a learner the next one hears, and the one after that", async () => {
    const reader = new Checked({ acknowledges: true });
    reader.reader.acknowledge(4);
    reader.reader.requestTrim(7);
    for (const life of [1, 2]) {
      const host = newHost();
      host.deliver(1, 9);
      await until(`life ${life} hears of the trim`, () => host.server.trim === 7);
      host.server.close();
      await until(
        "it misses the learner",
        () => reader.events.filter((event) => event === "gone").length > life,
      );
    }
  });

  test("of acknowledgements that a full socket does not take the newest arrives", async () => {
    let got = Buffer.alloc(0);
    let other: Socket<undefined> | undefined;
    const listener = Bun.listen<undefined>({
      unix: path,
      socket: {
        open: (socket) => {
          other = socket;
          socket.pause();
        },
        data: (_socket, chunk) => {
          got = Buffer.concat([got, chunk]);
        },
      },
    });
    open.push({ close: () => listener.stop(true) });
    const { reader } = new Checked({ acknowledges: true });
    await until("it is connected", () => other);
    const last = 100_000;
    for (let iid = 1; iid <= last; iid++) reader.acknowledge(iid);
    reader.requestTrim(last);
    other!.resume();
    const end = Buffer.concat([
      numberFrame(FromReader.acknowledge, last),
      numberFrame(FromReader.trim, last),
    ]);
    await until("the newest is there", () => got.subarray(-end.length).equals(end));
    // Less than all of them, and whole frames.
    expect(got.length).toBeLessThan(last * numberFrame(FromReader.trim, 1).length);
    let at = 0;
    while (at < got.length) at += 8 + u32(got, at);
    expect(at).toBe(got.length);
  });

  test("it looks for the learner's place again at each connect", async () => {
    let place = join(directory, "nowhere.sock");
    const events: string[] = [];
    const handler = {
      onWelcome: () => events.push(`welcome ${reader.path}`),
      onGone: () => events.push(`gone ${reader.path}`),
      onValue: () => {},
      onMissed: () => {},
    };
    const reader: SocketReader = new SocketReader(() => place, handler);
    open.push(reader);
    reader.start();
    await until("it found nobody", () => events.length === 1);
    const nowhere = place;
    place = path;
    newHost();
    await until("it found the learner", () => events.length === 2);
    expect(events).toEqual([`gone ${nowhere}`, `welcome ${path}`]);
  });

  test("a handler that closes it ends all connecting; one that throws is given nothing twice", async () => {
    const seen: string[] = [];
    let connects = -1;
    const place = (): string => {
      connects++;
      return path;
    };
    const ignore = { onMissed: () => {} };
    const closes: SocketReader = new SocketReader(place, {
      ...ignore,
      onGone: () => closes.close(),
      onValue: () => {},
    });
    const throws = new SocketReader(
      path,
      {
        ...ignore,
        onValue: (iid) => {
          seen.push(`${iid}`);
          if (iid === 2) throw new Error("the program's");
        },
      },
      { from: "oldest" },
    );
    open.push(closes, throws);
    closes.start();
    throws.start();
    await Bun.sleep(50);
    const { deliver } = newHost();
    deliver(1, 3);
    await until("the second", () => seen.includes("2"));
    deliver(4, 4);
    await until("the last", () => seen.includes("4"));
    await Bun.sleep(250);
    expect(seen).toEqual(["1", "2", "3", "4"]);
    expect(connects).toBe(1);
  });

  test("acknowledgements and trims of those that said so", async () => {
    const { deliver, local } = newHost();
    const silent = new Checked();
    const one = new Checked({ acknowledges: true });
    const two = new Checked({ acknowledges: true });
    await Promise.all([silent, one, two].map((each) => each.has("welcome")));
    deliver(1, 10);
    await two.reach(11);
    expect(local.acknowledged()).toBe(0);
    one.reader.acknowledge(8);
    two.reader.acknowledge(5);
    await until("the lowest counts", () => local.acknowledged() === 5);
    two.reader.acknowledge(MAX_IID);
    await until("nobody is believed beyond what was delivered", () => local.acknowledged() === 8);
    one.reader.requestTrim(9);
    await until("a trim is an acknowledgement too", () => local.acknowledged() === 9);
    one.reader.close();
    two.reader.close();
    await until("those who are gone hold nothing back", () => local.acknowledged() === MAX_IID);
  });
});

describe("limits", () => {
  test("the 65th reader is refused with the reason, and gets a place that becomes free", async () => {
    const { server } = newHost();
    const peers = await Promise.all(Array.from({ length: SOCKET_READERS }, () => connect()));
    await until("all are there", () => server.readers === SOCKET_READERS);
    const surplus = await connect();
    expect(await surplus.bye()).toBe(`all ${SOCKET_READERS} places are taken`);
    peers[7]!.socket.end();
    await until("one has gone", () => server.readers === SOCKET_READERS - 1);
    const reader = new Checked();
    await reader.has("welcome");
  });

  test("who says nothing is disconnected", async () => {
    const { server } = newHost();
    const silent = await connect();
    await until("it is there", () => server.readers === 1);
    server.poll(0);
    server.poll(4_999_999);
    expect(server.readers).toBe(1);
    server.poll(5_000_000);
    expect(await silent.bye()).toContain("no hello");
  });

  test("names: one that is too long, one that is taken, one of a dead learner", () => {
    const failure = (at: string): string => {
      try {
        newHost(4096, at);
      } catch (error) {
        if (error instanceof CliError) return error.message;
        throw error;
      }
      return "";
    };
    expect(failure(join(directory, "x".repeat(100)))).toContain("at most 107 bytes");
    writeFileSync(join(directory, "file"), "");
    expect(failure(join(directory, "file"))).toContain("is not a socket");
    mkdirSync(join(directory, "closed"));
    const script = `Bun.listen({ unix: ${JSON.stringify(path)}, socket: { data() {} } }); process.kill(process.pid, 9);`;
    Bun.spawnSync([process.execPath, "-e", script]);
    expect(existsSync(path)).toBe(true);
    newHost();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });
});

describe("what makes no sense", () => {
  const hello = helloFrame(Start.present, 0, 0, 0);
  const changed = (at: number, byte: number): Uint8Array => {
    const frame = helloFrame(Start.present, 0, 0, 0);
    frame[at] = byte;
    return frame;
  };

  test("ends the connection with a reason", async () => {
    newHost();
    const cases: [Uint8Array, string][] = [
      [changed(0, 25), "no frame has type 1 and a body of 25 bytes"],
      [changed(3, 255), "no frame has type 1"],
      [changed(4, 9), "no frame has type 9"],
      [changed(8, 7), "version 7 is not spoken here: use 1"],
      [changed(12, 3), "make no sense"],
      [changed(17, 1), "make no sense"],
      [helloFrame(Start.position, MAX_IID, 0xffffffff, 0), "make no sense"],
      [numberFrame(FromReader.trim, 1), "the first frame is no hello"],
      [Buffer.concat([hello, hello]), "a second hello"],
    ];
    for (const [bytes, reason] of cases) {
      const peer = await connect();
      peer.socket.write(bytes);
      expect(await peer.bye()).toContain(reason);
    }
  });

  test("any bytes in any pieces: the learner and its other readers go on", async () => {
    const { deliver, server, local } = newHost();
    const good = new Checked();
    await good.has("welcome");
    let iid = 0;
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(hello, numberFrame(2, 3), numberFrame(3, 2 ** 50), helloFrame(Start.position, 4, 9, 1)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 6 }), fc.nat(20), async (frames, cut) => {
        const bytes = Buffer.concat(frames);
        const peer = await connect();
        peer.socket.write(bytes.subarray(0, cut));
        deliver(++iid, iid);
        peer.socket.write(bytes.subarray(cut));
        deliver(++iid, iid);
        await good.reach(iid + 1);
        peer.socket.end();
      }),
      { numRuns: 100 },
    );
    await until("all of them are gone", () => server.readers === 1);
    expect(local.acknowledged()).toBe(MAX_IID);
  });
});
