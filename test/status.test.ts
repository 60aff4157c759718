/**
 * What `kpaxos status` makes of what it hears: whom it asks, when it knows everything, and its verdict. No network.
 */
import { describe, expect, test } from "bun:test";
import { statusLines } from "../src/cli/status_text.ts";
import type { Config } from "../src/config/config.ts";
import { configsOfGroups } from "../src/config/groups.ts";
import { asGuest } from "../src/config/guest.ts";
import { parseConfig } from "../src/config/parse.ts";
import { type GroupStatus, groupStatus } from "../src/node/group_status.ts";
import { Inquiry, type InquiryOptions, leavingOf } from "../src/node/inquiry.ts";
import { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { type Ballot, NO_BALLOT, type Peer, StateFlag } from "../src/protocol/types.ts";
import { peerOf, Recorder } from "./support/recorder.ts";

const BALLOT = 65537 as Ballot;
const NO_BYTES = new Uint8Array(0);
/** Peers here: acceptor i is i, proposer i is 10 + i. */
const acceptor = (id: number): Peer => id as Peer;
const proposer = (id: number): Peer => (10 + id) as Peer;

function configOf(wire: "native" | "kernel-paxos", link: "ethernet" | "udp" = "ethernet"): Config {
  const address = (at: number): string =>
    link === "ethernet" ? `02:00:00:00:00:0${at}` : `10.0.0.${at} 9000`;
  const lines = [0, 1, 2].map((id) => `acceptor ${id} ${address(id + 1)}`);
  lines.push(`proposer 0 ${address(4)}`, `proposer 1 ${address(5)}`, `wire ${wire}`);
  return parseConfig(`${lines.join("\n")}\n`, "paxos.conf", { env: {} }).config!;
}

/** An acceptor that 1024 listen to. `votes`: it was told to, else it is fresh. */
function withFullAudience(votes: boolean): { readonly recorder: Recorder; readonly full: Acceptor } {
  const recorder = new Recorder();
  const options = {
    aid: 0,
    acceptors: 3,
    life: 1,
    fresh: votes,
    durable: false,
    random: () => 0.5,
    maxLeaseMs: 0,
  };
  const store = { instances: 16, bytes: 4096, perInstance: false, leaderTimeoutMs: 100, trimRule: null };
  const full = new Acceptor({ ...options, ...store }, recorder.journal, recorder);
  full.tick(1);
  for (let peer = 100; peer < 100 + 1024; peer++) full.onLearnerHi(peer as Peer);
  recorder.take();
  return { recorder, full };
}

class Asked {
  readonly config: Config;
  readonly said: string[] = [];
  readonly inquiry: Inquiry;
  nonce = 0;

  constructor(config: Config) {
    this.config = config;
    const native = config.settings.wire === "native";
    const options: InquiryOptions = {
      acceptors: 3,
      proposers: 2,
      native,
      overhears: native && config.link === "ethernet",
      leaves: leavingOf(config.settings.wire, config.link),
      acceptorOf: (peer) => (peer < 10 ? peer : -1),
      proposerOf: (peer) => (peer >= 10 ? peer - 10 : -1),
      random: () => 0.5,
    };
    this.inquiry = new Inquiry(options, {
      learnerHi: (aid) => this.said.push(`hi ${aid}`),
      learnerDel: () => this.said.push("del"),
      readAsk: (id, nonce) => {
        this.nonce = nonce;
        this.said.push(`read ${id}`);
      },
      repeat: (aid, first, last) => this.said.push(`repeat ${aid} ${first} ${last}`),
    });
  }

  /** What is said when so much time has passed. */
  at(ms: number): string[] {
    this.said.length = 0;
    this.inquiry.tick(ms * 1000);
    return [...this.said];
  }

  /** Acceptors that vote, hold instances up to 7, and echo the leader. */
  vote(ids: readonly number[], flags = 0, echoes = true): void {
    for (const id of ids) {
      this.inquiry.onAcceptorOk(acceptor(id));
      this.inquiry.onAcceptorState(acceptor(id), id, 3, 7, flags);
      this.inquiry.onAccepted(acceptor(id), id, 7, 0, BALLOT);
      if (echoes) this.inquiry.onEcho(acceptor(id), id, 7, BALLOT);
    }
  }

  lead(id: number, confirmed: boolean): void {
    this.inquiry.onReadIndex(proposer(id), this.nonce, confirmed ? 8 : 0, confirmed);
  }

  get status(): GroupStatus {
    return groupStatus(this.config, this.inquiry, ["no frame was received"]);
  }
}

describe("a guest", () => {
  const text =
    "acceptor 0 10.0.0.1 9000\nproposer 0 10.0.0.2 9000\ncpu 7\nscheduling realtime\nbusy-poll yes\nkeep-awake yes\ngroups 2\n";

  test("takes none of the cluster's processors and priorities, in no group, and what it was given itself", () => {
    const parsed = (overrides: Parameters<typeof parseConfig>[2]): Config =>
      parseConfig(text, "paxos.conf", overrides).config!;
    const plain = { cpu: "", scheduling: "normal", busyPoll: false, keepAwake: false };
    const groups = configsOfGroups(asGuest(parsed({ env: {} })));
    expect(groups.map(({ settings }) => settings)).toMatchObject([plain, plain]);
    const own = asGuest(parsed({ env: {}, flags: { cpu: "3", "busy-poll": true } }));
    expect(own.settings).toMatchObject({ ...plain, cpu: "3", busyPoll: true, groups: 2 });
  });
});

describe("whom it asks", () => {
  test("every hi is followed by its del, who has answered is left alone", () => {
    const asked = new Asked(configOf("native"));
    const first = ["hi 0", "hi 1", "hi 2", "del", "read 0", "read 1"];
    expect(asked.at(1)).toEqual(first);
    expect(asked.at(100)).toEqual([]);
    expect(asked.at(201)).toEqual(first);
    asked.vote([0, 2]);
    asked.lead(1, true);
    expect(asked.at(402)).toEqual(["hi 1", "del"]);
    asked.inquiry.onAcceptorOk(acceptor(1));
    expect(asked.at(603)).toEqual(["hi 1", "del", "read 0"]);
    asked.vote([1]);
    expect(asked.inquiry.isComplete).toBe(false);
    asked.lead(0, false);
    expect(asked.at(1404)).toEqual([]);
    expect(asked.inquiry.isComplete).toBe(true);
  });

  test("a silent proposer less and less often, one that does not lead yet again and again", () => {
    const asked = new Asked(configOf("native", "udp"));
    const times: Record<string, number[]> = { "read 0": [], "read 1": [] };
    for (let ms = 0; ms <= 20_000; ms += 100) {
      for (const question of asked.at(ms)) times[question]?.push(ms);
      asked.lead(1, false);
    }
    expect(times["read 0"]).toEqual([0, 200, 600, 1400, 3000, 6200, 12_600, 19_000]);
    expect(times["read 1"]).toHaveLength(101);
  });

  test("the newest record is asked for once it is known where, and only by itself", () => {
    const asked = new Asked(configOf("native", "udp"));
    asked.at(1);
    asked.said.length = 0;
    for (const id of [0, 1, 2]) asked.inquiry.onAcceptorOk(acceptor(id));
    asked.inquiry.onAcceptorState(acceptor(0), 0, 3, 7, 0);
    asked.inquiry.onAcceptorState(acceptor(1), 1, 3, 3, 0);
    asked.inquiry.onAcceptorState(acceptor(2), 2, 0, 0, 0);
    expect(asked.said).toEqual(["repeat 0 7 7"]);
    expect(asked.at(300)).toEqual(["hi 0", "del", "read 0", "read 1"]);
    asked.inquiry.onRepeated(acceptor(0), 0, 7, BALLOT);
    expect(asked.at(600)).toEqual([]);
    expect(asked.at(800)).toEqual(["read 0", "read 1"]);
  });

  test("the Kernel_Paxos wire on Ethernet: no del, which a learner of this host would be taken for; no read point", () => {
    const asked = new Asked(configOf("kernel-paxos"));
    expect(asked.at(1)).toEqual(["hi 0", "hi 1", "hi 2"]);
    asked.inquiry.close();
    const onUdp = new Asked(configOf("kernel-paxos", "udp"));
    expect(onUdp.at(1)).toEqual(asked.said);
    onUdp.inquiry.close();
    expect(onUdp.said.at(-1)).toBe("del");
  });

  test("answers to somebody else's question count for nothing", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.inquiry.onReadIndex(proposer(1), asked.nonce + 1, 8, true);
    expect(asked.inquiry).toMatchObject({ confirmed: -1, heardProposers: [false, true] });
    asked.inquiry.onReadIndex(acceptor(1), asked.nonce, 8, true);
    expect(asked.inquiry.confirmed).toBe(-1);
  });
});

describe("the verdict", () => {
  test("a leader whom a quorum hears, and a quorum that votes", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.vote([0, 2]);
    asked.inquiry.onHeartbeat(proposer(1), 7, BALLOT, 1);
    asked.lead(1, true);
    const { status } = asked;
    expect(status).toMatchObject({ ok: true, group: null, quorum: 2, reasons: ["no frame was received"] });
    expect(status.leader).toEqual({
      id: 1,
      address: "02:00:00:00:00:05",
      ballot: BALLOT,
      chosenIid: 8,
      confirmed: true,
    });
    expect(statusLines(status)).toEqual([
      "leader: proposer 1 (02:00:00:00:00:05, ballot 65537, chosen up to 8)",
      "acceptor 0  02:00:00:00:00:01  votes, trimmed up to 3, highest 7, follows ballot 65537, accepted at 65537",
      "acceptor 1  02:00:00:00:00:02  silent",
      "acceptor 2  02:00:00:00:00:03  votes, trimmed up to 3, highest 7, follows ballot 65537, accepted at 65537",
      "proposer 0  02:00:00:00:00:04  silent",
      "proposer 1  02:00:00:00:00:05  answers",
      "why: no frame was received",
      "values can be chosen: proposer 1 leads, 2 of 3 acceptors vote",
    ]);
  });

  test("who follows a higher ballot tells of a new leader; the former one's word counts no more", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.vote([0, 1, 2]);
    asked.lead(1, true);
    expect(asked.status.ok).toBe(true);
    asked.inquiry.onEcho(acceptor(0), 0, 9, (2 * 65536) as Ballot);
    expect(asked.status).toMatchObject({ ok: false, leader: { id: 0, confirmed: false, chosenIid: 9 } });
    expect(asked.status.verdict).toBe(
      "no value can be chosen now: proposer 0 was heard as leader, but no quorum confirmed it",
    );
    expect(statusLines(asked.status)[0]).toContain("not confirmed by a quorum");
    expect(asked.at(300)).toEqual(["read 0", "read 1"]);
    const full = StateFlag.halfFull | StateFlag.full;
    asked.vote([0, 1], full, false);
    expect(asked.status.verdict).toEndWith(
      "; proposer 0 was heard as leader, and cannot confirm it before its values are chosen",
    );
    asked.vote([0, 1], 0, false);
    asked.lead(0, true);
    expect(asked.status.ok).toBe(true);
    // It steps down.
    asked.lead(0, false);
    expect(asked.status.ok).toBe(false);
  });

  test("acceptors that answer and do not vote are no quorum", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.vote([0]);
    asked.inquiry.onAcceptorOk(acceptor(1));
    expect(asked.status).toMatchObject({
      ok: false,
      acceptors: [{ votes: true }, { votes: false }, { votes: null }],
    });
    expect(asked.status.verdict).toContain("1 of 3 acceptors vote, and 2 are a quorum");
    expect(statusLines(asked.status)[2]).toContain("answers, does not vote yet (fresh or recovering)");
  });

  test("who has no record tells nothing of its log, and that it votes", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.lead(1, true);
    // It knows that instance 1 is chosen.
    asked.inquiry.onRepeated(acceptor(0), 0, 1, NO_BALLOT);
    expect(asked.inquiry.acceptors[0]).toMatchObject({ highestIid: null, accepted: null });
    asked.inquiry.onRepeated(acceptor(0), 0, 1, BALLOT);
    asked.inquiry.onAcceptorState(acceptor(1), 1, 3, 7, 0);
    expect(asked.status).toMatchObject({
      ok: true,
      acceptors: [
        { answers: true, votes: true, trimmedIid: null, room: null },
        { answers: true, votes: true, trimmedIid: 3 },
        { answers: false, votes: null },
      ],
    });
    expect(asked.status.verdict).toBe("values can be chosen: proposer 1 leads, 2 of 3 acceptors vote");
  });

  test("who has no place in its audience answers a hi with its state alone, and is asked again to be sure", () => {
    const asked = new Asked(configOf("native", "udp"));
    asked.at(1);
    const { recorder, full } = withFullAudience(true);
    const asker = peerOf("c0");
    full.onLearnerHi(asker);
    expect(recorder.take()).toEqual(["acceptorState to=c0 trim=0 highest=0 log=1"]);
    asked.inquiry.onAcceptorState(acceptor(0), 0, 0, 0, 0);
    expect(asked.status.acceptors[0]).toMatchObject({
      answers: true,
      votes: true,
      highestIid: 0,
      takesListeners: null,
    });
    // The OK of another may have been lost.
    asked.vote([1, 2]);
    asked.lead(1, true);
    asked.lead(0, false);
    expect(asked.inquiry.isComplete).toBe(false);
    expect(asked.at(300)).toContain("hi 0");
    expect(asked.at(600)).not.toContain("hi 0");
    expect(asked.inquiry.isComplete).toBe(true);
    expect(asked.status.acceptors.map(({ takesListeners }) => takesListeners)).toEqual([false, true, true]);
    expect(statusLines(asked.status)[1]).toEndWith("log empty, takes no more listeners");
    expect(statusLines(asked.status)[2]).not.toContain("listeners");
  });

  test("one that does not vote and has no place in its audience answers a hi: there is nothing else that it could say", () => {
    const asked = new Asked(configOf("native", "udp"));
    asked.at(1);
    const { recorder, full } = withFullAudience(false);
    full.onLearnerHi(peerOf("c0"));
    expect(recorder.take()).toEqual(["acceptorOk to=c0"]);
    expect([full.audience.count, full.audience.refused]).toEqual([1024, 1]);
    asked.inquiry.onAcceptorOk(acceptor(0));
    expect(statusLines(asked.status)[1]).toContain("answers, does not vote yet (fresh or recovering)");
    // Who is gone leaves it as one that votes.
    full.tick(12_000_000);
    expect(full.audience.count).toBe(0);
  });

  test("full acceptors take no values, and a full minority does no harm", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.vote([0, 1, 2]);
    asked.lead(1, true);
    const full = StateFlag.halfFull | StateFlag.full;
    asked.vote([0], full);
    asked.vote([1], StateFlag.halfFull);
    expect(asked.status).toMatchObject({
      ok: true,
      acceptors: [{ room: "full" }, { room: "half full" }, { room: "free" }],
    });
    asked.vote([1], full);
    expect(asked.status.ok).toBe(false);
    expect(asked.status.verdict).toContain("2 acceptors are full, because nobody trims");
    expect(statusLines(asked.status)[1]).toContain("highest 7, full, follows");
  });

  test("that nobody leads is said only where every proposer said so, and none can be stuck", () => {
    const asked = new Asked(configOf("native", "udp"));
    const silent = "no leader has confirmed itself, and one whose values are not chosen cannot";
    asked.at(1);
    asked.vote([0, 1, 2], 0, false);
    asked.lead(0, false);
    expect(asked.status.verdict).toBe(`no value can be chosen now: ${silent}`);
    asked.lead(1, false);
    expect(asked.status.verdict).toBe("no value can be chosen now: nobody leads");
    asked.vote([0, 1], StateFlag.halfFull | StateFlag.full, false);
    expect(asked.status.verdict).toContain("2 acceptors are full, because nobody trims");
    expect(asked.status.verdict).toEndWith(`; ${silent}`);
  });

  test("UDP: no ballot is overheard", () => {
    const asked = new Asked(configOf("native", "udp"));
    asked.at(1);
    asked.vote([0, 1, 2], 0, false);
    asked.lead(0, true);
    asked.lead(1, false);
    expect(asked.inquiry.isComplete).toBe(true);
    const { status } = asked;
    expect(status).toMatchObject({ ok: true, reasons: [], leader: { id: 0, ballot: null } });
    expect(statusLines(status)[0]).toBe(
      "leader: proposer 0 (10.0.0.4:9000, ballot not told without multicast, chosen up to 8)",
    );
  });

  test("Ethernet: a leader that answered and was not overheard yet", () => {
    const asked = new Asked(configOf("native"));
    asked.at(1);
    asked.lead(1, true);
    expect(statusLines(asked.status)[0]).toBe(
      "leader: proposer 1 (02:00:00:00:00:05, ballot not heard, chosen up to 8)",
    );
  });

  test("the Kernel_Paxos wire: a quorum is what can be known, a leader what was accepted meanwhile", () => {
    const asked = new Asked(configOf("kernel-paxos"));
    asked.at(1);
    for (const id of [0, 1]) asked.inquiry.onAcceptorState(acceptor(id), id, 0, 0, 0);
    expect(asked.status).toMatchObject({
      ok: true,
      leader: null,
      acceptors: [{ votes: null, highestIid: null, room: null }, {}, { answers: false }],
      proposers: [{ heard: null }, { heard: null }],
    });
    expect(asked.status.verdict).toContain(
      "a quorum is there: 2 of 3 acceptors answer; who proposes is heard",
    );
    expect(statusLines(asked.status)[0]).toBe("proposing: nobody was heard");
    asked.inquiry.onAccepted(acceptor(0), 0, 12, 0, 21 as Ballot);
    expect(asked.status).toMatchObject({
      leader: { id: 1, ballot: 21, chosenIid: null, confirmed: null },
      acceptors: [{ highestIid: 12, acceptedBallot: 21 }, {}, {}],
    });
    expect(asked.status.verdict).toEndWith(
      "; proposer 1 had values accepted, now or, if they were repeated, before",
    );
    expect(statusLines(asked.status)[0]).toBe(
      "proposing, now or before: proposer 1 (02:00:00:00:00:05, ballot 21)",
    );
    const onUdp = new Asked(configOf("kernel-paxos", "udp"));
    onUdp.at(1);
    expect(onUdp.at(300)).toEqual(["hi 0", "hi 1", "hi 2"]);
    for (const id of [0, 1]) onUdp.inquiry.onAccepted(acceptor(id), id, 12, 0, 21 as Ballot);
    expect(onUdp.status.verdict).toEndWith("; proposer 1 had values accepted");
    expect(statusLines(onUdp.status)[0]).toBe("proposing: proposer 1 (10.0.0.5:9000, ballot 21)");
  });

  test("values, snapshots and the rest are not its business", () => {
    const { inquiry, said } = new Asked(configOf("native"));
    inquiry.onClientValue(proposer(0), NO_BYTES, 0, 0, 0);
    inquiry.onSnapshotAsk(proposer(0), 0, 5);
    inquiry.onPreVote(proposer(0), 1, BALLOT);
    inquiry.onPrepare(proposer(0), 1, BALLOT, 1);
    expect(said).toEqual([]);
  });
});
