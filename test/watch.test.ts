/**
 * What a process says when nothing moves: the causes, each once, none that is not so, and none of long ago.
 */
import { describe, expect, test } from "bun:test";
import type { Config } from "../src/config/config.ts";
import { parseConfig } from "../src/config/parse.ts";
import { createLog } from "../src/log.ts";
import type { LinkCounters } from "../src/net/link.ts";
import { Peers } from "../src/net/peers.ts";
import { AcceptorWatch } from "../src/node/acceptor_watch.ts";
import { BusyNote } from "../src/node/busy_note.ts";
import type { CoreContext } from "../src/node/context.ts";
import { diagnose, multicastReasons, type Patient } from "../src/node/diagnose.ts";
import { Growth, since } from "../src/node/growth.ts";
import type { Cores } from "../src/node/roles.ts";
import { Watch } from "../src/node/watch.ts";
import type { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { Busy, type Peer } from "../src/protocol/types.ts";
import type { Members } from "../src/wire/members.ts";
import { WireCounters } from "../src/wire/wire.ts";

const SECOND_US = 1_000_000;
const UDP = "acceptor 0 127.0.0.1 7000\nproposer 0 127.0.0.1 7001\nproposer 1 127.0.0.1 7002\n";
const ETHERNET = "acceptor 0 02:00:00:00:00:01\nproposer 0 02:00:00:00:00:02\nproposer 1 02:00:00:00:00:03\n";

function configOf(text: string): Config {
  const { config, diagnostics } = parseConfig(text, "paxos.conf");
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  return config;
}

function linkCounters(): LinkCounters {
  const frames = { rxFrames: 10, rxBytes: 0, txFrames: 0, txBytes: 0, txDropped: 0, rxDropped: 0 };
  return { ...frames, rxDroppedValues: 0, rxTruncated: 0, rxBadChecksum: 0, rxBadMac: 0, steps: 0 };
}

interface Client {
  readonly text?: string;
  readonly busy?: Busy;
  /** It has sent something. */
  readonly isWaiting?: boolean;
  /** It has asked proposers for something else. */
  readonly isAsking?: boolean;
  readonly delivered?: number;
  readonly waitsForSnapshot?: boolean;
  /** The proposer of this process. */
  readonly ownProposer?: { readonly id: number; readonly isStalled?: boolean };
  readonly heardUs?: number;
}

/** Only what a diagnosis looks at. */
function patient(client: Client = {}): Patient & { link: LinkCounters; wire: WireCounters; nowUs: number } {
  const { waitsForSnapshot = false, isWaiting = true, delivered = 0, ownProposer } = client;
  const peers = new Peers(4);
  peers.lastHeardUs.fill(client.heardUs ?? -1e9);
  const own = ownProposer === undefined ? {} : { proposer: { stage: "leading", votes: -1, ...ownProposer } };
  const cores = {
    client: { isWaiting, counters: { delivered } },
    learner: {
      isRegistered: () => true,
      isTurnedAway: () => false,
      isMute: () => false,
      isVoting: () => true,
      waitsForSnapshot,
      trimmedIid: 77,
    },
    ...own,
  };
  return {
    config: configOf(client.text ?? UDP),
    where: "eth0",
    cores: cores as unknown as Cores,
    wire: new WireCounters(),
    link: linkCounters(),
    peers,
    members: { proposers: [0, 1], acceptors: [2], learners: [] } as unknown as Members,
    busy: client.busy ?? 0,
    proposerId: 0,
    silentHost: undefined,
    isAsking: client.isAsking ?? false,
    beginEmptyBy: undefined,
    nowUs: SECOND_US,
    listenedUs: SECOND_US,
  };
}

describe("a proposer is named", () => {
  const isNamed = (client: Client): boolean =>
    diagnose(patient(client)).some((text) => text.includes("is it running"));

  test("over UDP, when what was sent to it does not come back", () => {
    expect(diagnose(patient())).toEqual([
      "what was sent to proposer 0 (127.0.0.1:7001) does not come back: is it running?",
    ]);
    expect(isNamed({ heardUs: 0 })).toBe(false);
  });

  test("not by who has sent nothing, nor by who cannot see what comes back before it has a snapshot", () => {
    expect(isNamed({ isWaiting: false })).toBe(false);
    expect(diagnose(patient({ waitsForSnapshot: true }))).toEqual([
      "instances 1 to 77 are trimmed, and no snapshot has come that leads past them: start a process that has one",
    ]);
  });

  test("with multicasts, too, whenever it is silent; but not by a client that hears none", () => {
    for (const text of [`${UDP}udp-multicast yes\n`, ETHERNET]) {
      const quiet = patient({ text, isWaiting: false });
      expect(diagnose(quiet).join()).toMatch(/proposer 0 .* was not heard: is it running/);
      const { client } = quiet.cores;
      expect(diagnose({ ...quiet, cores: { client } as unknown as Cores })).toEqual([]);
    }
  });

  test("not if it is this process, but if it is another one", () => {
    expect(isNamed({ ownProposer: { id: 0 } })).toBe(false);
    expect(isNamed({ ownProposer: { id: 1 } })).toBe(true);
  });

  test("on Ethernet in the native wire whenever it is silent: there it would be heard", () => {
    for (const more of [{}, { isWaiting: false }, { waitsForSnapshot: true }])
      expect(diagnose(patient({ text: ETHERNET, ...more })).join()).toContain(
        "proposer 0 (02:00:00:00:00:02) was not heard: is it running?",
      );
    expect(isNamed({ text: ETHERNET, heardUs: 0 })).toBe(false);
  });
});

describe("acceptors", () => {
  const three = [0, 1, 2].map((id) => `acceptor ${id} 127.0.0.1 ${7000 + id}\n`).join("");
  /** Who answers nothing, who answers and does not vote, and who is heard without an answer. */
  const said = (
    silent: readonly number[],
    mute: readonly number[],
    listenedUs = SECOND_US,
    full: readonly number[] = [],
  ): string[] => {
    const learner = {
      isRegistered: (aid: number) => !silent.includes(aid) && !full.includes(aid),
      isTurnedAway: (aid: number) => full.includes(aid),
      isMute: (aid: number) => mute.includes(aid),
    };
    const one = patient({ text: `${three}proposer 0 127.0.0.1 7003\n` });
    const cores = { learner } as unknown as Cores;
    return diagnose({ ...one, proposerId: undefined, cores, listenedUs });
  };
  const at = (...ids: readonly number[]): string =>
    ids.map((id) => `acceptor ${id} (127.0.0.1:${7000 + id})`).join(" and ");

  test("that are silent are told from those that answer and do not vote", () => {
    expect(said([], [])).toEqual([]);
    expect(said([2], [])).toEqual([`${at(2)} does not answer`]);
    expect(said([1, 2], [])).toEqual([`${at(1, 2)} do not answer, and 1 of 3 are no quorum`]);
    expect(said([], [2])).toEqual([`${at(2)} answers, but does not vote: its log says why`]);
    expect(said([], [1, 2])).toEqual([
      `${at(1, 2)} answer, but do not vote, and 1 of 3 is no quorum: their logs say why`,
    ]);
    expect(said([0], [1])).toEqual([
      `${at(0)} does not answer`,
      `${at(1)} answers, but does not vote, and 1 of 3 is no quorum: its log says why`,
    ]);
  });

  test("that have no place for this process are told from silent ones", () => {
    const why =
      "that 1024 listen already, end some, or have clients ask a learner host (--learner); else what is sent from here is lost";
    expect(said([], [], SECOND_US, [2])).toEqual([
      `${at(2)} is heard, and does not take this process as a listener: where its log says ${why}`,
    ]);
    expect(said([0], [], SECOND_US, [1, 2])).toEqual([
      `${at(0)} does not answer`,
      `${at(1, 2)} are heard, and do not take this process as a listener, and 0 of 3 that do are no quorum: where their logs say ${why}`,
    ]);
  });

  test("are not silent before they can have answered", () => {
    expect(said([0, 1, 2], [], 100_000)).toEqual([]);
    expect(said([0, 1, 2], [], 300_000)).toHaveLength(1);
  });
});

describe("multicasts that do not come", () => {
  const text = `${UDP}udp-multicast 239.1.2.0:5000\n`;
  const heard = [0, 1, 2, 3];
  /** What is said by who hears the peers alone in these seconds; everyone was told something in the second `told`. */
  const said = (cores: object, seconds: readonly number[] = heard, told = -1, more: object = {}): string => {
    const one = patient({ text });
    for (const second of seconds) {
      if (second === told) one.peers.everyoneUs = second * SECOND_US;
      for (const peer of [0, 2]) one.peers.heardAlone(peer as Peer, second * SECOND_US);
    }
    const nowUs = seconds.at(-1)! * SECOND_US;
    return multicastReasons({ ...one, cores: cores as Cores, nowUs, ...more }).join("\n");
  };
  const learner = (isVoting: boolean) => ({ learner: { isVoting: () => isVoting } });
  const acceptor = (isVoting: boolean) => ({ acceptor: { isVoting } });
  test("are missed by who hears for a while that an acceptor votes", () => {
    expect(said(learner(true))).toStartWith(
      "nothing comes by multicast (239.1.2.0:5000), though a member is heard: does the network carry",
    );
    expect(said(learner(true), heard, -1, { config: configOf(UDP) })).toBe("");
    expect(said(learner(true), [0, 1, 2])).toBe("");
    expect(said(learner(true), [0, 4, 5, 6])).toBe("");
    expect(said(learner(true), heard, 2)).toBe("");
    // They may stop to come.
    expect(said(learner(true), [0, 1, 2, 3, 4, 5], 1)).toContain("nothing comes by multicast");
  });

  test("are not missed where nobody votes, nor by who neither learns nor votes", () => {
    for (const cores of [learner(false), acceptor(false), {}]) expect(said(cores)).toBe("");
  });

  test("are missed by an acceptor that hears proposers, and not what a leader tells", () => {
    expect(said(acceptor(true))).toContain("though a member is heard: does anybody lead, does the network");
  });
});

describe("full acceptors", () => {
  const said = (client: Client): string => diagnose(patient({ heardUs: 0, ...client })).join("\n");

  test("in the native wire are a matter of learners that report by themselves", () => {
    for (const client of [{ busy: Busy.windowFull }, { ownProposer: { id: 0, isStalled: true } }]) {
      expect(said(client)).toMatch(/window is full: no learner reports .* or one holds the others back/);
      expect(said(client)).not.toContain("--cantrim");
    }
  });

  test("in the Kernel_Paxos wire of one that is told to trim", () => {
    const text = `${ETHERNET}wire kernel-paxos\n`;
    expect(said({ text, busy: Busy.windowFull })).toMatch(/because no learner trims: run one with --cantrim/);
    expect(said({ text, delivered: 5 })).toMatch(/^the acceptors may be full because no learner trims/);
    expect(said({ text })).toBe("");
  });
});

/** A watch, a second after the other; the log's times are the watch's. */
class Watched {
  readonly lines: string[] = [];
  readonly patient: ReturnType<typeof patient>;
  readonly watch: Watch;
  progress: number | null = 0;
  hears = true;
  #us = 0;

  constructor(client: Client = { heardUs: 1e12 }, verbosity: "error" | "quiet" = "error") {
    this.patient = patient(client);
    const log = createLog(verbosity, "", {
      sink: ({ message }) => this.lines.push(message),
      nowMs: () => this.#us / 1000,
    });
    this.watch = new Watch(
      log,
      { progress: () => this.progress, hears: () => this.hears },
      () => this.patient,
    );
  }

  /** What it says in these seconds. */
  run(seconds: number, each?: () => void): string[] {
    const from = this.lines.length;
    for (let i = 0; i < seconds; i++) {
      each?.();
      this.watch.tick(this.#us);
      this.#us += SECOND_US;
    }
    return this.lines.slice(from);
  }

  moves(seconds: number): string[] {
    return this.run(seconds, () => {
      this.progress = (this.progress ?? 0) + 1;
    });
  }
}

describe("a watch", () => {
  test("says what was counted since it last moved, not before", () => {
    const one = new Watched();
    one.moves(3);
    one.patient.link.rxDropped = 5;
    one.patient.wire.malformed = 6;
    expect(one.moves(3)).toEqual([]);
    // Not before anybody who is silent would be known to be.
    expect(one.run(5)).toEqual([]);
    expect(one.run(3)).toEqual([
      "nothing moves: nothing wrong is known here; look at the other processes' logs",
    ]);
    expect(one.moves(2)).toEqual(["it goes on"]);
    one.patient.link.rxDropped = 8;
    one.patient.wire.malformed = 7;
    const said = one.run(5);
    expect(said[0]).toContain("the kernel dropped 3 frames");
    expect(said[1]).toContain(
      "1 frames made no sense and were dropped: does another program send to this port?",
    );
    expect(said).toHaveLength(2);
  });

  test("says of strays once: as such while it has nothing to do, among the reasons where it stands still", () => {
    const idle = new Watched();
    idle.progress = null;
    idle.patient.wire.otherWire = 4;
    idle.patient.link.rxBadMac = 2;
    const said = idle.run(1300);
    expect(said).toHaveLength(2);
    expect(said[0]).toContain("2 frames sealed with a cluster-key");
    expect(said[1]).toContain("4 frames of the other wire were heard: `wire` must be the same");
    // Heard again, and again not more often than every ten minutes.
    const more = idle.run(1300, () => idle.patient.wire.otherWire++);
    expect(more.map((text) => text.split(" ").slice(1, 6).join(" "))).toEqual(
      Array(3).fill("frames of the other wire"),
    );

    const still = new Watched();
    still.run(1);
    still.patient.wire.otherWire = 4;
    const reasons = still.run(8);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toStartWith("nothing moves: 4 frames of the other wire were heard");
  });

  test("of who has nothing to do says that nobody is heard: once, and that somebody is", () => {
    const idle = new Watched({});
    idle.progress = null;
    idle.patient.link.rxFrames = 0;
    expect(idle.run(60)).toEqual([]);
    idle.hears = false;
    const said = idle.run(300);
    expect(said.map((text) => text.replace(/^nothing moves: (\w+ \w+ \w+).*/, "$1"))).toEqual([
      "what was sent",
      "no frame was",
    ]);
    // Somebody asks it for something meanwhile: that waits, and is told as everywhere.
    idle.progress = 0;
    expect(idle.run(2)).toEqual([]);
    expect(idle.run(3)).toHaveLength(2);
    idle.progress = null;
    expect(idle.run(20)).toEqual([]);
    idle.hears = true;
    expect(idle.run(20)).toEqual(["a quorum of acceptors is heard"]);
  });

  test("of who only asks knows the reasons of all the time, and does not say that nothing moves", () => {
    const { patient: asking } = new Watched();
    const lines: string[] = [];
    const log = createLog("error", "", { sink: ({ message }) => lines.push(message) });
    const watch = new Watch(log, { progress: undefined }, () => asking);
    asking.wire.otherVersion = 3;
    for (let second = 0; second < 20; second++) {
      if (second === 1) asking.wire.stranger = 2;
      watch.tick(second * SECOND_US);
    }
    expect(lines).toEqual([]);
    expect(watch.reasons()).toEqual([
      "3 frames of another version of kpaxos were heard: run the same version everywhere",
      "2 frames came from addresses that paxos.conf does not give to that role: compare the role lines on all hosts",
    ]);
  });

  test("leaves a missing snapshot to the line that says what to do", () => {
    const one = new Watched({ heardUs: 1e12, waitsForSnapshot: true });
    expect(one.run(30)).toEqual([]);
    expect(one.watch.reasons()).toHaveLength(1);
    expect(one.watch.untoldReasons()).toEqual([]);
  });

  test("knows which reasons the log has", () => {
    const one = new Watched({});
    one.run(2);
    expect(one.watch.untoldReasons()).toHaveLength(1);
    one.run(3);
    expect(one.watch.untoldReasons()).toEqual([]);
    one.patient.link.txDropped = 3;
    expect(one.watch.untoldReasons()).toEqual([
      "3 frames could not be sent on eth0: is it up, and not overloaded?",
    ]);
    one.moves(2);
    expect(one.watch.untoldReasons()).toHaveLength(1);
    const quiet = new Watched({}, "quiet");
    expect(quiet.run(10)).toEqual([]);
    expect(quiet.watch.untoldReasons()).toHaveLength(1);
  });

  test("does not say for ever what happened once", () => {
    const one = new Watched();
    one.patient.peers.refused = 1;
    one.patient.wire.cutValues = 1;
    expect(one.moves(1300).map((text) => text.replace(/:.*/, ""))).toEqual([
      "1 frames of senders that paxos.conf does not name were dropped",
      "a peer cuts the last bytes of its values (1 so far)",
    ]);
  });
});

describe("an acceptor's watch", () => {
  /** What an acceptor of the Kernel_Paxos wire says in so many seconds. */
  function said(
    seconds: number,
    more: { readonly trimIid?: number; readonly turnedAway?: number },
  ): string[] {
    const lines: string[] = [];
    let us = 0;
    const sink = ({ message }: { readonly message: string }): number => lines.push(message);
    const log = createLog("error", "", { sink, nowMs: () => us / 1000 });
    const acceptor = {
      log: { fill: () => (more.trimIid === undefined ? 0 : 0.7), trimIid: more.trimIid ?? 0, highestIid: 90 },
      counters: { refusedFull: 0, trimsRefused: 0, leasesTooLong: 1 },
      audience: { refused: more.turnedAway ?? 0, count: 1024 },
      fellows: null,
      isVoting: false,
    };
    const context = { config: configOf(`${ETHERNET}wire kernel-paxos\n`), log };
    const watch = new AcceptorWatch(context as unknown as CoreContext, acceptor as unknown as Acceptor, null);
    for (let i = 0; i < seconds; i++, us += SECOND_US) watch.tick(us);
    return lines;
  }

  test("says who does not trim, and what was trimmed so far", () => {
    const [, never] = said(2, { trimIid: 0 });
    expect(never).toMatch(
      /70 % full \(instances 1 to 90\): no learner has trimmed yet; run one with --cantrim/,
    );
    const [, slow] = said(2, { trimIid: 40 });
    expect(slow).toMatch(/\(instances 41 to 90\): no learner has trimmed behind instance 40; .* keeps up/);
  });

  test("does not say for ever what happened once", () => {
    expect(said(100, { turnedAway: 3 }).map((text) => text.replace(/:.*/, ""))).toEqual([
      "the leader asks for longer leases than `lease` says here",
      "learners were turned away 3 times",
    ]);
  });
});

test("a refusal of long ago is none", () => {
  const note = new BusyNote();
  expect(note.reason).toBe(0);
  note.tick(100 * SECOND_US);
  note.onBusy(0 as Peer, Busy.noQuorum);
  note.tick(105 * SECOND_US);
  expect(note.reason).toBe(Busy.noQuorum);
  note.tick(111 * SECOND_US);
  expect(note.reason).toBe(0);
});

test("growth is seen once, each counter by itself", () => {
  const growth = new Growth();
  const seen = [0, 1, 1, 3].map((count) => growth.of("a", count));
  expect([...seen, growth.of("b", 1)]).toEqual([false, true, false, true, true]);
  expect(since({ a: 5, b: 2 }, { a: 3, b: 2 })).toEqual({ a: 2, b: 0 });
});
