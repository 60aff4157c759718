/**
 * One test for each fault of the reference that the protocol cores could share. Messages are written as in the
 * transcripts (`support/transcript.ts`). Faults of the wires, of delivery and of configuration are tested there.
 */
import { describe, expect, test } from "bun:test";
import { ballotAbove, ballotOwner, KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { ValueQueue } from "../../src/protocol/proposer/value_queue.ts";
import { Bench } from "../support/transcript.ts";

const WIRES = ["native", "kernel-paxos"] as const;

/** What the last of several turns says; the ones before it make the situation. */
function play(...turns: string[]): string[] {
  return playOn(new Bench(), ...turns);
}

function playOn(bench: Bench, ...turns: string[]): string[] {
  let said: string[] = [];
  for (const turn of turns) said = bench.turn(turn.split("\n").map((line) => line.trim()));
  return said.filter((line) => !/^(learnerHi|chosen|heartbeat)/.test(line));
}

/** A proposer that leads alone, with an empty log. */
function leader(wire: (typeof WIRES)[number], options = ""): Bench {
  const bench = new Bench();
  if (wire === "native") {
    playOn(bench, `new proposer proposers=1 ${options}`, "start iid=1\nrangePromise aid=0,1,2 ballot=1.0");
  } else playOn(bench, `new proposer wire=kernel-paxos proposers=1 ${options}`, "after ms=51");
  return bench;
}

describe("safety", () => {
  test("fault 6: an empty value is a value: repeated, carried over, delivered", () => {
    const accept = "new acceptor\naccept from=p0 iid=1 ballot=1.0 life=7 value=";
    expect(play(accept, "repeat from=l0 first=1 last=1")).toEqual([
      "repeated to=l0 iid=1 ballot=1.0 life=7 value=",
    ]);
    expect(play(accept, "prepare from=p1 iid=1 ballot=1.1 life=8")).toContain(
      "  record iid=1 valueBallot=1.0 valueLife=7 value=",
    );
    const bench = leader("kernel-paxos", "window=1");
    const promise = "promise aid=0,1 iid=1 ballot=1.0 valueBallot=0.8 value=\nvalue from=c0 value=own";
    expect(playOn(bench, promise)).toEqual(["accept iid=1 riding=2 ballot=1.0 value="]);
    const accepted = "new learner wire=kernel-paxos\naccepted aid=0,1 iid=1 ballot=1.0 value=";
    expect(play(accepted)).toEqual(["deliver iid=1 value="]);
  });

  test("fault 7: the first ballot is a proposer's own, and no two proposers share one", () => {
    for (const scheme of [NATIVE_BALLOTS, KERNEL_PAXOS_BALLOTS]) {
      const ids = Array.from({ length: 10 }, (_, id) => id);
      const seen = ids.flatMap((id) =>
        [0, 1, 7, 65536, 65537, 1_000_003].map((b) => ballotAbove(scheme, b, id)),
      );
      for (const ballot of seen) expect(ballot).toBeGreaterThanOrEqual(scheme.stride);
      const owned = ids.map((id) => new Set(seen.filter((b) => ballotOwner(scheme, b) === id)));
      expect(new Set(seen).size).toBe(owned.reduce((sum, set) => sum + set.size, 0));
    }
    for (const wire of WIRES) {
      const said = play(
        `new proposer wire=${wire} id=3 proposers=5`,
        "after ms=400\npreVoted aid=0,1,2 round=2",
      );
      expect(said).toContain("write ballot=1.3");
    }
  });

  test("fault 8: after a preemption the ballot jumps above the winner's", () => {
    const said = play("new proposer proposers=1\nstart iid=1", "preempted aid=0 ballot=900.4", "after ms=30");
    expect(said).toContain("prepare iid=1 ballot=901.0");
    const kernelPaxos = leader("kernel-paxos", "window=1");
    expect(playOn(kernelPaxos, "preempted aid=0 ballot=900.0", "after ms=30")).toContain(
      "prepare iid=1 ballot=901.0",
    );
  });

  test("fault 8: a ballot does not wrap around; a proposer that has none left says nothing more", () => {
    for (const scheme of [NATIVE_BALLOTS, KERNEL_PAXOS_BALLOTS]) {
      expect(ballotAbove(scheme, scheme.max, 1)).toBe(0 as ReturnType<typeof ballotAbove>);
    }
    const bench = leader("kernel-paxos");
    const last = Math.floor(KERNEL_PAXOS_BALLOTS.max / 10);
    playOn(bench, `preempted aid=0 ballot=${last}.0`, "after ms=30");
    expect(bench.cores.proposer!.stage).toBe("exhausted");
    expect(playOn(bench, "after ms=5\nvalue from=c0 value=a")).toEqual([]);
  });

  test("fault 9: a proposer that restarts goes above the ballot it has kept (Kernel_Paxos wire)", () => {
    const bench = leader("kernel-paxos");
    playOn(bench, "preempted aid=0 ballot=7.0", "after ms=30");
    const again = playOn(bench, "new proposer wire=kernel-paxos proposers=1", "after ms=51");
    expect(again[0]).toBe("write ballot=9.0");
  });

  test("fault 9: a proposer that restarts cannot speak for its former self: its life is another (native)", () => {
    const former = "new acceptor\nprepare from=p0 iid=1 ballot=1.0 life=7";
    expect(play(former, "prepare from=p0 iid=1 ballot=1.0 life=9")).toEqual([
      "preempted to=p0 iid=1 ballot=1.0",
    ]);
    expect(play(former, "accept from=p0 iid=1 ballot=1.0 life=9 value=b")).toEqual([
      "preempted to=p0 iid=1 ballot=1.0",
    ]);
    // A promise to the former life is none to this one.
    const bench = new Bench();
    playOn(bench, "new proposer proposers=1 life=9\nstart iid=1", "rangePromise aid=0,1,2 ballot=1.0 life=7");
    expect(bench.cores.proposer!.stage).toBe("preparing");
  });

  test("fault 10: votes of different ballots are no quorum, and a repeat carries the accepted ballot", () => {
    const votes = `new learner wire=kernel-paxos
      accepted aid=0 iid=1 ballot=1.0 value=a
      accepted aid=1 iid=1 ballot=1.1 value=b
      accepted aid=2 iid=1 ballot=2.0 value=c`;
    expect(play(votes)).toEqual([]);
    for (const wire of WIRES) {
      const accept = `new acceptor wire=${wire}\naccept from=p0 iid=1 ballot=1.0 value=a`;
      expect(play(accept, "prepare from=p1 iid=1 ballot=9.1", "repeat from=l0 first=1 last=1")).toEqual([
        "repeated to=l0 iid=1 ballot=1.0 life=0 value=a",
      ]);
    }
  });

  test("fault 12: the acceptor's store refuses what it has no room for; nothing untrimmed is overwritten", () => {
    const bench = new Bench();
    playOn(bench, "new acceptor instances=8");
    for (let iid = 1; iid <= 8; iid++)
      playOn(bench, `accept from=p0 iid=${iid} ballot=1.0 life=7 value=v${iid}`);
    for (const iid of [9, 17, 1_000_001, 2 ** 40 + 1]) {
      const said = playOn(bench, `accept from=p0 iid=${iid} ballot=2.0 life=7 value=x`);
      expect(said).toContain("acceptorState to=p0 trim=0 highest=8 halfFull full log=100");
      expect(said.filter((line) => /^(write|accepted)/.test(line))).toEqual([]);
    }
    expect(bench.cores.acceptor!.counters.refusedFull).toBe(4);
    const repeats = playOn(bench, "repeat from=l0 first=1 last=max");
    expect(repeats.map((line) => line.split("value=")[1])).toEqual("v1 v2 v3 v4 v5 v6 v7 v8".split(" "));
    // An old instance is not decided again: it is gone, and stays gone.
    playOn(bench, "hi from=l0\ntrim from=l0 iid=0", "after ms=2100\ntrim from=l0 iid=4");
    const again = playOn(bench, "accept from=p1 iid=3 ballot=9.1 life=8 value=again");
    expect(again.at(-1)).toStartWith("acceptorState to=p1 trim=4 highest=8");
    expect(again.filter((line) => /^(write|accepted)/.test(line))).toEqual([]);
  });

  test("fault 13: one learner cannot trim what another one still needs (native)", () => {
    const bench = new Bench();
    playOn(bench, "new acceptor\naccept from=p0 iid=1 ballot=1.0 life=7 value=a\ntrim from=l1 iid=0");
    expect(playOn(bench, "trim from=l0 iid=1")).toEqual([]);
    expect(bench.cores.acceptor!.log.trimIid).toBe(0);
  });
});

describe("liveness", () => {
  test("fault 4: repeat with a huge range ends", () => {
    for (const wire of WIRES) {
      const bench = new Bench();
      playOn(bench, `new acceptor wire=${wire} instances=1024`);
      for (let iid = 1; iid <= 500; iid++) playOn(bench, `accept from=p0 iid=${iid} ballot=1.0 value=v`);
      const answers = playOn(bench, "repeat from=l0 first=1 last=max");
      expect(answers.length).toBeGreaterThan(0);
      expect(answers.length).toBeLessThanOrEqual(64);
      expect(playOn(bench, "repeat from=l0 first=501 last=max")).toEqual([]);
      expect(playOn(bench, `repeat from=l0 first=${2 ** 52} last=max`)).toEqual([]);
    }
  });

  test("fault 4: neither does a huge range of accepted keep a learner busy", () => {
    const bench = new Bench();
    playOn(bench, "new learner catch-up learner-window=16");
    playOn(bench, "acceptedRange aid=0,1,2 first=1 last=max ballot=1.0 life=7");
    expect(playOn(bench, "accept iid=1 ballot=1.0 life=7 value=a")).toEqual(["deliver iid=1 value=a"]);
  });

  test("fault 14: preempted carries the ballot that won, also when a promise rode along", () => {
    const setting = `new acceptor wire=kernel-paxos
      prepare from=p1 iid=1 ballot=4.1
      prepare from=p1 iid=2 ballot=5.1
      accept from=p1 iid=3 ballot=1.1 value=c`;
    for (const riding of [0, 2, 3, 9]) {
      expect(play(setting, `accept from=p0 iid=1 riding=${riding} ballot=2.0 value=a`)).toEqual([
        "preempted to=p0 iid=1 ballot=4.1",
      ]);
    }
  });

  test("fault 15: a promise that rode on an accept is told, or was not given", () => {
    const setting = `new acceptor wire=kernel-paxos
      prepare from=p1 iid=5 ballot=5.1
      accept from=p1 iid=6 ballot=1.1 value=f
      prepare from=p1 iid=1 ballot=4.1`;
    // Preempted: the riding instance is as free as before.
    const free = play(
      setting,
      "accept from=p0 iid=1 riding=7 ballot=2.0 value=a",
      "prepare from=p1 iid=7 ballot=1.1",
    );
    expect(free).toEqual(["write promised iid=7 ballot=1.1", "promise to=p1 iid=7 ballot=1.1"]);
    // Accepted, but the riding promise is refused, or has a value to tell.
    expect(play(setting, "accept from=p0 iid=2 riding=5 ballot=2.0 value=b")).toContain(
      "promise to=p0 iid=5 ballot=5.1",
    );
    expect(play(setting, "accept from=p0 iid=2 riding=6 ballot=2.0 value=b")).toContain(
      "promise to=p0 iid=6 ballot=2.0 valueBallot=1.1 value=f",
    );
  });

  test("fault 16: a rival's riding promise is not taken for an own one", () => {
    const bench = leader("kernel-paxos", "window=2");
    playOn(bench, "value from=c0 value=a");
    expect(playOn(bench, "accepted aid=0,1,2 iid=50 riding=1 ballot=3.1 value=theirs")).toEqual([]);
    expect(playOn(bench, "accepted aid=0,1 iid=51 riding=1 ballot=1.0 value=ours")).toContain(
      "accept iid=1 riding=3 ballot=1.0 value=a",
    );
  });

  test.each([...WIRES])("fault 17: the window is filled for ever (%s)", (wire) => {
    const bench = leader(wire, "window=4");
    for (let iid = 1; iid <= 300; iid++) {
      const promise = wire === "native" ? "" : `\npromise aid=0,1 iid=${iid} ballot=1.0`;
      const said = playOn(bench, `value from=c0 value=v${iid}${promise}`);
      expect(said.some((line) => line.startsWith(`accept iid=${iid} `))).toBe(true);
      const life = wire === "native" ? "life=7" : "";
      playOn(bench, `accepted aid=0,1 iid=${iid} ballot=1.0 ${life} value=v${iid}`);
    }
    expect(bench.cores.learner!.counters.delivered).toBe(300);
  });

  test("fault 17: a passive proposer takes over and serves, however much was chosen before", () => {
    const bench = new Bench();
    playOn(bench, "new proposer id=1", "chosen from=p0 iid=0 ballot=1.0");
    expect(bench.cores.proposer!.stage).toBe("passive");
    for (let iid = 1; iid <= 300; iid++) {
      playOn(
        bench,
        `accepted aid=0,1 iid=${iid} ballot=1.0 life=5 value=v\nchosen from=p0 iid=${iid} ballot=1.0`,
      );
    }
    expect(playOn(bench, "after ms=1200")).toContain("preVote round=2 ballot=1.1");
    expect(playOn(bench, "preVoted aid=0,2 round=2")).toContain("prepare iid=301 ballot=1.1");
    expect(playOn(bench, "rangePromise aid=0,2 asked=301 ballot=1.1\nvalue from=c0 value=a")).toContain(
      "accept iid=301 ballot=1.1 value=a",
    );
  });

  test.each([...WIRES])(
    "fault 18: the second proposer's clients are served, through the first one (%s)",
    (wire) => {
      const bench = new Bench();
      const votes = wire === "native" ? "\npreVoted aid=0,1,2 round=2" : "";
      playOn(bench, `new proposer wire=${wire} id=1`, `after ms=200${votes}`, "preempted aid=0 ballot=3.0");
      expect(playOn(bench, "value from=c0 value=a")).toEqual(["clientValue to=p0 hops=1 value=a"]);
    },
  );

  test.each([...WIRES])("fault 19: a trim beyond the window does not stop the proposer (%s)", (wire) => {
    const bench = leader(wire, "window=4");
    playOn(bench, "state aid=0,1,2 trim=100000 highest=100000", "after ms=1", "after ms=200", "after ms=200");
    expect(bench.cores.proposer!.window.low).toBe(100_001);
    const promise = wire === "native" ? "" : "\npromise aid=0,1 iid=100001 ballot=1.0";
    const said = playOn(bench, `value from=c0 value=a${promise}`);
    expect(said.some((line) => /^accept iid=100001 .*value=a$/.test(line))).toBe(true);
  });

  test.each([...WIRES])("fault 20: every hi is answered, and del leaves a proposer in (%s)", (wire) => {
    const bench = new Bench();
    playOn(bench, `new acceptor wire=${wire}`, "prepare from=p0 iid=1 ballot=1.0 life=7");
    for (let i = 0; i < 3; i++) {
      // A learner beside the proposer has the proposer's address in the Kernel_Paxos wire.
      expect(playOn(bench, "hi from=p0")).toContain("acceptorOk to=p0");
      expect(playOn(bench, "hi from=l1")).toContain("acceptorOk to=l1");
    }
    playOn(bench, "del from=p0\ndel from=l1");
    expect(bench.cores.acceptor!.audience.count).toBe(1);
  });

  test("fault 20: an acceptor that restarted is told of everybody again", () => {
    const bench = new Bench();
    playOn(bench, "new learner catch-up", "ok aid=0,1,2");
    const hellos = Array.from({ length: 12 }, () =>
      bench.turn(["after ms=100"]).filter((l) => l.startsWith("learnerHi")),
    );
    expect(hellos.flat().length).toBeGreaterThanOrEqual(3);
    // And the proposer, which may go on with its old promise, by its accepts.
    const acceptor = new Bench();
    playOn(acceptor, "new acceptor", "accept from=p0 iid=5 ballot=1.0 life=7 value=a");
    expect(acceptor.cores.acceptor!.audience.count).toBe(1);
  });

  test("fault 20: it knows who listens once all had the time to say hi twice", () => {
    const bench = new Bench();
    playOn(bench, "new acceptor");
    const known = Array.from({ length: 40 }, () => {
      bench.turn(["after ms=100"]);
      return bench.cores.acceptor!.audience.isKnown;
    });
    expect(known.slice(0, 20)).not.toContain(true);
    expect(known.slice(35)).not.toContain(false);
    // After so long it has forgotten them.
    const again = [11_000, 1_000, 1_000, 1_000, 1_000].map((ms) => {
      bench.turn([`after ms=${ms}`]);
      return bench.cores.acceptor!.audience.isKnown;
    });
    expect(again.slice(0, 2)).toEqual([false, false]);
    expect(again.at(-1)).toBe(true);
  });

  test("fault 21: the end of the log is found by asking, not by the next value (Kernel_Paxos wire)", () => {
    const bench = new Bench();
    playOn(bench, "new learner wire=kernel-paxos\nok aid=0,1,2\naccepted aid=0,1 iid=1 ballot=1.0 value=a");
    const probes = Array.from({ length: 11 }, () => bench.turn(["after ms=100"]));
    expect(probes.flat()).toContain("repeat to=a0 first=2 last=65");
  });

  test("fault 21: a hole that nobody proposed is filled (native)", () => {
    const bench = new Bench();
    playOn(bench, "new proposer proposers=1\nstart iid=1");
    expect(playOn(bench, "rangePromise aid=0,1 ballot=1.0 records=3:0.1:c")).toEqual([
      "accept iid=1 ballot=1.0 value=",
      "accept iid=2 ballot=1.0 value=",
      "accept iid=3 ballot=1.0 value=c",
    ]);
  });

  test("fault 22: what is lost is sent again within some round trips, not after whole seconds", () => {
    const bench = leader("native");
    playOn(bench, "value from=c0 value=a");
    const said = Array.from({ length: 10 }, () => bench.turn(["after ms=5"])).flat();
    expect(said.filter((line) => line.startsWith("accept ")).length).toBeGreaterThanOrEqual(1);
  });

  test("fault 24: instances beyond 2^32 are like any other (native)", () => {
    const far = 2 ** 40 + 7;
    const bench = new Bench();
    const hears = `start iid=${far}\nhi from=l0\nchosen from=p0 iid=${far - 1} ballot=1.0 life=7\ntrim from=l0 iid=0`;
    playOn(
      bench,
      "new proposer proposers=1\nnew acceptor",
      hears,
      `after ms=2100\ntrim from=l0 iid=${far - 1}`,
    );
    playOn(bench, `rangePromise aid=0,1 first=${far} ballot=1.0`);
    expect(playOn(bench, "value from=c0 value=a")).toContain(`accept iid=${far} ballot=1.0 value=a`);
    const accept = `accept from=p0 iid=${far} ballot=1.0 life=7 value=a`;
    expect(playOn(bench, `${accept}\naccepted aid=0,1 iid=${far} ballot=1.0 life=7`)).toContain(
      `deliver iid=${far} value=a`,
    );
    expect(playOn(bench, `repeat from=l0 first=${far - 2} last=${far + 2}`)).toContain(
      `repeated to=l0 iid=${far} ballot=1.0 life=7 value=a`,
    );
    // The instance with the same low bits is another one.
    expect(playOn(bench, `accept from=p0 iid=7 ballot=9.0 life=7 value=x`)).toEqual([
      `acceptorState to=p0 trim=${far - 1} highest=${far} log=100`,
    ]);
  });
});

describe("clients", () => {
  test("fault 26: a full queue of client values refuses, and keeps what it has", () => {
    const queue = new ValueQueue(256);
    let pushed = 0;
    while (queue.push(new Uint8Array(20).fill(pushed), 0, 20)) pushed++;
    expect(pushed).toBeGreaterThan(5);
    expect(queue.push(new Uint8Array(20), 0, 20)).toBe(false);
    for (let i = 0; i < pushed; i++) {
      expect(queue.peekLength()).toBe(20);
      expect(queue.bytes[queue.peekOffset()]).toBe(i);
      queue.pop();
    }
    expect(queue.count).toBe(0);
  });

  test("fault 26: and the client is told", () => {
    const bench = new Bench();
    playOn(bench, "new proposer proposers=1 queue-bytes=64\nstart iid=1");
    const said = Array.from({ length: 10 }, () => playOn(bench, "value from=c0 value=0123456789")).flat();
    expect(said.filter((line) => line === "busy to=c0 reason=queueFull").length).toBeGreaterThan(3);
  });
});
