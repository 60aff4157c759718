/**
 * Where bundles get through: who is asked, how often, whose answers count, and what a path that lets no bundle pass costs. The hosts
 * here hear each other at once; only the paths that a test cuts drop bundles.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { type Peer, Role, type RoleName } from "../src/protocol/types.ts";
import { EVERYONE } from "../src/wire/native_frames.ts";
import { BundleFlag } from "../src/wire/native_layout.ts";
import { addressOf, Endpoint, memoryNetwork } from "./support/native_fixture.ts";

const NAMES = ["a0", "a1", "a2", "p0", "p1", "l0"] as const;
type Name = (typeof NAMES)[number];
const ROLE_OF: Readonly<Record<string, RoleName>> = { a: "acceptor", p: "proposer", l: "learner" };
const ALL = Role.acceptor | Role.learner;

let nowUs = 0;
let hosts: Record<Name, Endpoint>;
/** "a0 p0": bundles of a0 do not reach p0; "a0": nobody; "*a0 p0", "=a0 p0": those for everyone, for p0; with "!" before it nothing of a0 arrives. */
let cut: Set<string>;
/** Askings of each host, those of one destination by one. */
let askings: Partial<Record<Name, number>>;

function isCut(from: Name, to: Name): boolean {
  return cut.has(`!${from}`) || cut.has(`!${from} ${to}`);
}

function isBundleCut(from: Name, to: Name, forEveryone: boolean): boolean {
  const only = forEveryone ? "*" : "=";
  return isCut(from, to) || [from, `${from} ${to}`, `${only}${from} ${to}`].some((one) => cut.has(one));
}

function peerAt(at: Name, of: Name): Peer {
  const role = ROLE_OF[of[0]!]!;
  const id = Number(of[1]);
  const known = hosts[at].peers.find(Role[role], id, addressOf(role, id), 0);
  return known >= 0 ? known : hosts[at].peer(role, id);
}

/** A frame of `from` reached `to`. */
function noticed(from: Name, to: Name): Peer {
  const { peers } = hosts[to];
  const peer = peerAt(to, from);
  peers.life[peer] = hosts[from].life;
  peers.lastHeardUs[peer] = nowUs;
  return peer;
}

function nameOf(at: Name, peer: Peer): Name {
  return NAMES.find((name) => name !== at && peerAt(at, name) === peer)!;
}

function connect(from: Name, endpoint: Endpoint): void {
  endpoint.wire.bundles.speaker = {
    bundleAsk: (roles, peer, nonce) => {
      askings[from] = (askings[from] ?? 0) + 1;
      for (const to of NAMES) {
        const isMeant =
          peer === EVERYONE ? (Role[ROLE_OF[to[0]!]!] & roles) !== 0 : to === nameOf(from, peer as Peer);
        if (to === from || !isMeant) continue;
        const { bundles } = hosts[to].wire;
        const flags = peer === EVERYONE ? BundleFlag.everyone : 0;
        if (!isBundleCut(from, to, peer === EVERYONE))
          bundles.onBundleAsk(noticed(from, to), nonce, flags | BundleFlag.bundled);
        if (!isCut(from, to)) bundles.onBundleAsk(noticed(from, to), nonce, flags);
      }
    },
    bundleAnswer: (to, nonce, flags) => {
      const target = nameOf(from, to);
      if (!isCut(from, target))
        hosts[target].wire.bundles.onBundleAnswer(noticed(from, target), nonce, flags);
    },
  };
}

function start(name: Name, life?: number, bundlePayload = 1472): void {
  const role = ROLE_OF[name[0]!]!;
  const options = { role, id: Number(name[1]), bundlePayload, ...(life === undefined ? {} : { life }) };
  const endpoint = new Endpoint(memoryNetwork(), options);
  hosts[name] = endpoint;
  connect(name, endpoint);
}

/** Turns of all hosts for so long, in which each hears each, and `busy` has more than a frame for `for`. */
function pass(ms: number, busy: readonly Name[] = [], to: Name | "everyone" = "everyone"): void {
  for (let i = 0; i < ms / 10; i++) {
    nowUs += 10_000;
    for (const from of NAMES) for (const at of NAMES) if (from !== at && !isCut(from, at)) noticed(from, at);
    for (const name of NAMES) hosts[name].wire.bundles.tick(nowUs);
    for (const name of busy) hosts[name].wire.bundles.want(to === "everyone" ? EVERYONE : peerAt(name, to));
    for (const name of NAMES) hosts[name].wire.bundles.pump();
  }
}

const bundles = (from: Name, to: Name | "everyone" = "everyone"): boolean =>
  hosts[from].wire.bundles.mark(to === "everyone" ? EVERYONE : peerAt(from, to), ALL, 0) !== 0;

beforeEach(() => {
  nowUs = 0;
  cut = new Set();
  askings = {};
  hosts = {} as Record<Name, Endpoint>;
  for (const name of NAMES) start(name);
});

describe("bundles", () => {
  test("are made for nobody before somebody has more than a frame, and at once for whom it has them then", () => {
    pass(3000);
    expect(askings).toEqual({});
    expect(bundles("p0")).toBe(false);
    pass(10, ["p0"]);
    expect(askings).toEqual({ p0: 1 });
    expect(bundles("p0")).toBe(true);
    expect(bundles("a0")).toBe(false);
    expect(bundles("p0", "a1")).toBe(false);
    expect(bundles("p0", "l0")).toBe(false);
  });

  test("to one host need that host alone", () => {
    cut.add("a0 a2");
    pass(10, ["a0"], "p1");
    expect(bundles("a0", "p1")).toBe(true);
    expect(bundles("a0", "p0")).toBe(false);
    expect(bundles("a0")).toBe(false);
    pass(600, ["a0"]);
    expect(bundles("a0")).toBe(false);
    expect(bundles("a0", "p1")).toBe(true);
    pass(10, ["a0"], "l0");
    pass(600, ["a0"], "l0");
    expect(bundles("a0", "l0")).toBe(true);
  });

  test("are asked for twice a second while they are wanted", () => {
    pass(5000, ["p0", "a1"]);
    expect(askings).toEqual({ p0: 10, a1: 10 });
    pass(1000);
    // What was wanted last before it.
    expect(askings).toEqual({ p0: 11, a1: 11 });
    pass(5000);
    expect(askings).toEqual({ p0: 11, a1: 11 });
    // Nothing is known any more.
    expect(bundles("p0")).toBe(false);
  });

  test("of many destinations some wait for the next asking, and all have their turn", () => {
    const { bundles: paths } = hosts.p0.wire;
    const asked: number[] = [];
    paths.speaker = { bundleAsk: (_, peer) => asked.push(peer), bundleAnswer: () => undefined };
    const clients = Array.from({ length: 40 }, (_, id) => hosts.p0.peer("client", id));
    for (const most of [16, 32, 48]) {
      for (let turn = 0; turn < 50; turn++) {
        nowUs += 10_000;
        paths.tick(nowUs);
        for (const client of clients) paths.want(client);
        paths.want(EVERYONE);
        paths.pump();
      }
      expect(asked).toHaveLength(most);
    }
    for (const client of clients) expect(asked).toContain(client);
    expect(asked.filter((peer) => peer === EVERYONE)).toHaveLength(3);
  });

  test("differ by who is meant, and from client values", () => {
    pass(10, ["p0"]);
    const { bundles: paths } = hosts.p0.wire;
    const marks = [
      paths.mark(EVERYONE, Role.acceptor, 0),
      paths.mark(EVERYONE, Role.acceptor | Role.learner, 0),
      paths.mark(EVERYONE, Role.acceptor, 1),
      paths.mark(EVERYONE, 0, 0),
    ];
    expect(new Set(marks).size).toBe(4);
    expect(marks.every((mark) => mark > 0 && mark < 0x8000)).toBe(true);
  });

  test("do not exist where the link has none", () => {
    start("p0", undefined, 0);
    pass(1000, ["p0"]);
    expect(askings).toEqual({});
    expect(bundles("p0")).toBe(false);
  });
});

describe("a path that lets no bundle pass", () => {
  test.each(["a1", "p1", "l0"] as const)("to %s: what is for everyone goes singly", (to) => {
    cut.add(`p0 ${to}`);
    pass(5000, ["p0"]);
    expect(bundles("p0")).toBe(false);
    cut.clear();
    // Who only listens does not say so when it has nothing to object any more.
    pass(2600, ["p0"]);
    expect(bundles("p0")).toBe(true);
  });

  test.each(["a1", "p1", "l0"] as const)(
    "to %s is told of, but not for a bundle that came late once",
    (to) => {
      const told: Name[] = [];
      hosts.p0.wire.bundles.onDenied = (peer) => told.push(nameOf("p0", peer));
      cut.add(`p0 ${to}`);
      pass(10, ["p0"]);
      cut.clear();
      pass(1000, ["p0"]);
      expect(told).toEqual([]);
      cut = new Set([`p0 ${to}`, "p0 a2"]);
      pass(5000, ["p0"]);
      expect(new Set(told)).toEqual(new Set([to, "a2"]));
    },
  );

  test.each(["a1", "p1", "l0"] as const)("to %s from now on: noticed within 3.5 s", (to) => {
    pass(1000, ["p0"]);
    cut.add(`p0 ${to}`);
    pass(1000, ["p0"]);
    expect(bundles("p0")).toBe(true);
    pass(2500, ["p0"]);
    expect(bundles("p0")).toBe(false);
  });

  test.each(["a1", "l0"] as const)(
    "to %s when it is for everyone: what comes to it alone does not stand for it",
    (to) => {
      cut.add(`*p0 ${to}`);
      for (let i = 0; i < 10; i++) {
        for (const name of NAMES) hosts[name].wire.bundles.tick(nowUs);
        hosts.p0.wire.bundles.want(peerAt("p0", to));
        pass(500, ["p0"]);
        expect(bundles("p0")).toBe(false);
      }
      expect(bundles("p0", to)).toBe(true);
    },
  );

  test("to a0 when it is for it alone: what comes to everyone does not stand for it, and goes on", () => {
    cut.add("=p0 a0");
    for (let i = 0; i < 10; i++) {
      hosts.p0.wire.bundles.want(peerAt("p0", "a0"));
      pass(500, ["p0"]);
      expect(bundles("p0", "a0")).toBe(false);
      expect(bundles("p0")).toBe(true);
    }
  });

  test("since it was used last: nothing that came before counts", () => {
    pass(1000, ["p0"]);
    pass(60_000);
    cut.add("p0 l0");
    pass(20, ["p0"]);
    expect(bundles("p0")).toBe(false);
  });

  test("none at all: noticed within 3.5 s, and asked on", () => {
    pass(1000, ["p0"]);
    cut.add("p0");
    pass(3500, ["p0"]);
    expect(bundles("p0")).toBe(false);
    cut.clear();
    pass(2600, ["p0"]);
    expect(bundles("p0")).toBe(true);
  });

  test("for a second, as when queues are full: nothing changes", () => {
    pass(1000, ["p0"]);
    cut.add("p0");
    for (let i = 0; i < 10; i++) {
      pass(100, ["p0"]);
      expect(bundles("p0")).toBe(true);
    }
    cut.clear();
    for (let i = 0; i < 40; i++) {
      pass(100, ["p0"]);
      expect(bundles("p0")).toBe(true);
    }
  });
});

describe("who is waited for", () => {
  test("not a host that is silent, but one that comes back", () => {
    cut = new Set(["!a2", "p0 a2"]);
    pass(2500, ["p0"]);
    expect(bundles("p0")).toBe(true);
    cut = new Set(["p0 a2"]);
    pass(20, ["p0"]);
    expect(bundles("p0")).toBe(false);
    cut.clear();
    pass(3000, ["p0"]);
    expect(bundles("p0")).toBe(true);
  });

  test("a host that was started anew", () => {
    pass(500, ["p0"], "a0");
    pass(600, ["p0"], "a1");
    pass(600, ["p0"]);
    expect(bundles("p0")).toBe(true);
    expect(bundles("p0", "a1")).toBe(true);
    start("a1", 4711, 0);
    cut.add("p0 a1");
    pass(20);
    expect(bundles("p0")).toBe(false);
    expect(bundles("p0", "a0")).toBe(true);
    expect(bundles("p0", "a1")).toBe(false);
  });

  test("nobody: without an answer of a voter there are none", () => {
    cut = new Set(["!a0", "!a1", "!a2", "!p1"]);
    pass(5000, ["p0"]);
    expect(bundles("p0")).toBe(false);
  });

  test("what was answered long ago, or was never asked, counts for nothing", () => {
    pass(10, ["p0"]);
    pass(2100);
    expect(bundles("p0")).toBe(false);
    const { bundles: paths } = hosts.p0.wire;
    for (const from of ["a0", "a1", "a2", "p1"] as const) {
      paths.onBundleAnswer(noticed(from, "p0"), 2, 3);
      paths.onBundleAnswer(noticed(from, "p0"), 1000, 3);
    }
    expect(bundles("p0")).toBe(false);
  });

  test("what was answered holds from the asking on, however late it is read", () => {
    hosts.p0.wire.bundles.speaker = { bundleAsk: () => undefined, bundleAnswer: () => undefined };
    pass(10, ["p0"]);
    const { bundles: paths } = hosts.p0.wire;
    const answer = (): void => {
      for (const from of ["a0", "a1", "a2", "p1"] as const)
        paths.onBundleAnswer(noticed(from, "p0"), 1, BundleFlag.everyone | BundleFlag.bundled);
    };
    pass(1900);
    answer();
    expect(bundles("p0")).toBe(true);
    pass(200);
    answer();
    expect(bundles("p0")).toBe(false);
  });

  test("an asker that was started anew is not taken for its former self", () => {
    pass(1000, ["p0"]);
    start("p0", 4711);
    cut.add("p0");
    pass(10, ["p0"]);
    expect(askings.p0).toBe(3);
    expect(bundles("p0")).toBe(false);
  });
});
