/**
 * Processes that run on, or stand still, while all acceptors lose everything and another log begins: nothing of it gets into what
 * they know, nor of theirs into it, and they end. Whole clusters in memory; step by step: `log_check.test.ts`.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { CliError, ExitCode } from "../src/error.ts";
import { NO_FAULTS } from "../src/net/memory.ts";
import { Roles } from "../src/node/roles.ts";
import type { RangeLeadership } from "../src/protocol/proposer/range_leadership.ts";
import { Role } from "../src/protocol/types.ts";
import { clientParts } from "../src/sim/parts.ts";
import { ValueLog } from "../src/sim/value_log.ts";
import { Delivered, Recorder } from "./support/delivered.ts";
import { type ClusterOptions, type Host, MemoryCluster } from "./support/memory_cluster.ts";

// Much is simulated; how long that takes depends on who else is at work.
setDefaultTimeout(60_000);

const SECOND_US = 1_000_000;
const ACCEPTORS = ["acceptor 0", "acceptor 1", "acceptor 2"];

/** It is not told the acceptors' states, as long as they get lost. */
class MissesStates extends Roles {
  static isDeaf = false;

  override onAcceptorState(...args: Parameters<Roles["onAcceptorState"]>): void {
    if (!MissesStates.isDeaf) super.onAcceptorState(...args);
  }
}

/** An acceptor of a version that does not look at the mark of the log. */
class SeesNoMark extends Roles {
  override onGenerations(named: number): void {
    super.onGenerations(named, 0);
  }
}

interface Stage {
  readonly cluster: MemoryCluster;
  /** By what error each process that has ended did. */
  readonly ended: Map<string, unknown>;
}

/** A cluster that begins now, with so many values in its log. */
function begun(seed: number, values: number, more: Partial<ClusterOptions> = {}): Stage {
  const ended = new Map<string, unknown>();
  const cluster = new MemoryCluster({
    ...{ seed, wire: "native", proposers: 2, learners: 0, settings: ["batching no"] },
    threw: (host, error) => ended.set(host.name, error),
    ...more,
  });
  cluster.startAll();
  const client = cluster.client({ values, outstanding: 8, canTrim: false });
  cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
  cluster.stop(client);
  return { cluster, ended };
}

/** So many values are chosen of which what is checked of the former log does not hear. */
function write(cluster: MemoryCluster, values: number, proposerId: number): void {
  const recorder = new Recorder(new Delivered(), false);
  const sizes = { clients: 1, outstanding: 8, leastSize: 8, mostSize: 8 };
  const plan = { ...sizes, process: 9, values, proposerId, canTrim: false };
  const client = cluster.start("client 9", 1033, Role.client | Role.learner, 0, (context) =>
    clientParts(context, plan, new ValueLog().sink(9), (behind) => {
      recorder.behind = behind;
      return recorder;
    }),
  );
  cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
  cluster.stop(client);
}

function lose(cluster: MemoryCluster, ...names: string[]): void {
  for (const name of [...ACCEPTORS, ...names]) cluster.stop(cluster.host(name), false);
}

const begin = (cluster: MemoryCluster): Host[] => [0, 1, 2].map((id) => cluster.acceptor(id));
const highest = (cluster: MemoryCluster): number =>
  Math.max(...cluster.acceptors().map(({ log }) => log.highestIid));
const chosen = (cluster: MemoryCluster): number =>
  Math.max(...cluster.acceptors().map(({ chosenIid }) => chosenIid));

const endsSo = (error: unknown): void => {
  expect(error).toBeInstanceOf(CliError);
  expect(error).toMatchObject({ exitCode: ExitCode.config });
  expect((error as CliError).message).toContain("the acceptors have begun a new log");
};

describe.each([
  ["longer", 300],
  ["shorter", 20],
])("a proposer wakes up and hears of no state, and the new log is %s than the former one", (_, values) => {
  test.each([
    ["", false],
    [", which look at no marks", true],
  ])("it campaigns, and leads with nothing of the former one%s", (_more, marksAreIgnored) => {
    MissesStates.isDeaf = false;
    const { cluster, ended } = begun(301, 100, {
      receiver: ({ name }, roles) => {
        if (name === "proposer 0") return new MissesStates(roles.cores);
        return marksAreIgnored && name.startsWith("acceptor") ? new SeesNoMark(roles.cores) : roles;
      },
    });
    const former = cluster.host("proposer 0");
    const { learner, proposer } = former.cores;
    cluster.runUntil("it has read the log", () => learner!.next > 100);
    cluster.runUntil("it knows the log", () => learner!.logId > 0, SECOND_US);
    const { next } = learner!;
    former.heldUntilUs = cluster.nowUs + 3600 * SECOND_US;
    lose(cluster, "proposer 1");
    begin(cluster);
    const newOne = cluster.proposer(1);
    write(cluster, values, 1);
    cluster.stop(newOne, false);
    cluster.runFor(SECOND_US);
    const end = highest(cluster);
    const { campaigns } = proposer!.counters;
    MissesStates.isDeaf = true;
    former.heldUntilUs = 0;
    let hasLed = false;
    cluster.runUntil("it has campaigned", () => proposer!.counters.campaigns > campaigns + 1);
    const untilUs = cluster.nowUs + 2 * SECOND_US;
    cluster.runUntil("time has passed", () => {
      hasLed ||= proposer!.stage === "leading";
      return cluster.nowUs >= untilUs - 100_000;
    });
    expect([hasLed, learner!.next, highest(cluster)]).toEqual([false, next, end]);
    expect(chosen(cluster)).toBeLessThanOrEqual(end);
    MissesStates.isDeaf = false;
    cluster.runFor(5 * SECOND_US);
    endsSo(ended.get("proposer 0"));
    expect(highest(cluster)).toBe(end);
  });
});

test("a leader that lives on has nothing chosen in the new log, says nothing there that counts, and ends", () => {
  const { cluster, ended } = begun(302, 100, { proposers: 1 });
  const leader = cluster.host("proposer 0").cores.proposer!;
  cluster.client({ values: 100_000, outstanding: 8, canTrim: false });
  cluster.runFor(SECOND_US);
  expect(leader.stage).toBe("leading");
  lose(cluster);
  begin(cluster);
  cluster.runUntil("it has ended", () => ended.has("proposer 0"), 8 * SECOND_US);
  endsSo(ended.get("proposer 0"));
  expect(cluster.acceptors().every((one) => one.isVoting)).toBe(true);
  expect([highest(cluster), chosen(cluster)]).toEqual([0, 0]);
});

test.each([
  ["", false],
  [", which it is told of later", true],
])("of a new log that outgrows the former one at once%s, who runs delivers nothing", (_, isToldLater) => {
  MissesStates.isDeaf = false;
  const { cluster, ended } = begun(303, 100, {
    receiver: ({ name }, roles) => (name === "learner 0" ? new MissesStates(roles.cores) : roles),
  });
  const learner = cluster.learner(0);
  cluster.runUntil("it has read the log", () => learner.recorder!.last >= 100);
  cluster.runUntil("it knows the log", () => learner.cores.learner!.logId > 0, SECOND_US);
  const { last } = learner.recorder!;
  lose(cluster, "proposer 0", "proposer 1");
  MissesStates.isDeaf = isToldLater;
  begin(cluster);
  cluster.proposer(0);
  cluster.runUntil("they vote", () => cluster.acceptors().every((one) => one.isVoting));
  const sinceUs = cluster.nowUs;
  write(cluster, 400, 0);
  expect(highest(cluster)).toBeGreaterThan(last + 100);
  expect(cluster.nowUs - sinceUs).toBeLessThan(2.5 * SECOND_US);
  cluster.runFor(3 * SECOND_US);
  expect(learner.recorder!.last).toBe(last);
  MissesStates.isDeaf = false;
  cluster.runUntil("it has ended", () => ended.has("learner 0"), 8 * SECOND_US);
  endsSo(ended.get("learner 0"));
  expect(learner.recorder!.last).toBe(last);
});

test("acceptors that restart in memory, one after the other, end nobody and are counted again", () => {
  const { cluster, ended } = begun(304, 100);
  const learner = cluster.learner(0);
  for (let round = 0; round < 2; round++) {
    for (const id of [0, 1, 2]) {
      cluster.stop(cluster.host(`acceptor ${id}`), false);
      const { cores } = cluster.acceptor(id);
      cluster.runUntil("it votes", () => cores.acceptor!.isVoting);
    }
    // The one that came first is needed.
    cluster.stop(cluster.host("acceptor 2"), false);
    const client = cluster.client({ values: 50, canTrim: false });
    cluster.runUntil("all is chosen", () => client.cores.client!.isDone);
    cluster.stop(client);
    const { cores } = cluster.acceptor(2);
    cluster.runUntil("it votes", () => cores.acceptor!.isVoting);
  }
  const all = learner.cores.learner!;
  cluster.runUntil("it has delivered all", () => all.next > highest(cluster));
  cluster.runFor(5 * SECOND_US);
  expect([...ended.keys()]).toEqual([]);
  expect(all.toldLogId).toBe(all.logId);
});

test("a leader that lives on holds up nobody: another one leads in the new log before it has ended", () => {
  const { cluster, ended } = begun(305, 100);
  const [leader, other] = [0, 1].map((id) => cluster.host(`proposer ${id}`));
  expect(leader!.cores.proposer!.stage).toBe("leading");
  cluster.stop(other!, false);
  // Time in which it is the only one that is heard.
  cluster.runFor(SECOND_US);
  lose(cluster);
  begin(cluster);
  cluster.runUntil("they vote", () => cluster.acceptors().every((one) => one.isVoting));
  const { cores } = cluster.proposer(1);
  cluster.runUntil("it leads", () => cores.proposer!.stage === "leading", 2 * SECOND_US);
  expect(ended.size).toBe(0);
  write(cluster, 20, 1);
  cluster.runUntil("the former one has ended", () => ended.has("proposer 0"), 8 * SECOND_US);
  endsSo(ended.get("proposer 0"));
  expect(holes(cluster)).toEqual([]);
});

/** Of the acceptors' log, from its beginning: instances of which no quorum has a record. */
function holes(cluster: MemoryCluster): number[] {
  const acceptors = cluster.acceptors();
  const from = Math.max(...acceptors.map(({ log }) => log.trimIid)) + 1;
  const found: number[] = [];
  for (let iid = from; iid <= highest(cluster); iid++)
    if (acceptors.filter(({ log }) => log.ballotAt(iid) > 0).length < 2) found.push(iid);
  return found;
}

test("whoever runs on, stands still or hears late: nothing of one log gets into the other, and all of the former one end", () => {
  const faults = { loss: 0.03, duplication: 0.02, reordering: 0.2, lateUs: 20_000 };
  for (let seed = 400; seed < 440; seed++) {
    // Whatever is delivered is checked against what was submitted to the former log (`ValueLog`).
    const { cluster, ended } = begun(seed, 60, { learners: 2, faults });
    const { random } = cluster;
    const load = cluster.client({ values: 100_000, outstanding: 4, canTrim: false });
    const old = ["learner 0", "learner 1", "proposer 0"].map((name) => cluster.host(name));
    cluster.runUntil("they know the log", () => old.every(({ cores }) => cores.learner!.logId > 0));
    for (const host of old)
      if (random() < 0.5) host.heldUntilUs = cluster.nowUs + Math.floor(random() * 3 * SECOND_US);
    cluster.runFor(Math.floor(random() * 100_000));
    lose(cluster, "proposer 1");
    const delivered = cluster.delivered.last;
    cluster.stop(load, false);
    cluster.runFor(30_000 + Math.floor(random() * 600_000));
    begin(cluster);
    cluster.proposer(1);
    const few = random() < 0.5;
    write(cluster, few ? 20 : 2 * delivered, 1);
    cluster.runUntil("all of the former log have ended", () => ended.size === old.length, 12 * SECOND_US);
    for (const error of ended.values()) endsSo(error);
    write(cluster, 20, 1);
    cluster.runFor(SECOND_US);
    expect([seed, holes(cluster)]).toEqual([seed, []]);
    expect(chosen(cluster)).toBeLessThanOrEqual(highest(cluster));
  }
});

test("a proposer that starts, and hears of the former log from one acceptor alone, says nothing of it in the new one", () => {
  MissesStates.isDeaf = false;
  const { cluster } = begun(304, 3000, {
    proposers: 1,
    receiver: ({ name }, roles) => (name === "proposer 0" ? new MissesStates(roles.cores) : roles),
  });
  const former = cluster.host("acceptor 2");
  const { log, chosenIid } = former.cores.acceptor!;
  expect(chosenIid).toBeGreaterThan(2900);
  for (const name of ["proposer 0", "acceptor 0", "acceptor 1"]) cluster.stop(cluster.host(name), false);
  // It runs on, and hears nobody but who starts in the end.
  const hides = (host: Host): Host => {
    cluster.network.cut(former.link, host.link);
    cluster.network.cut(host.link, former.link);
    return host;
  };
  const [first, second, third] = begin(cluster).map(hides);
  const leader = hides(cluster.proposer(0));
  cluster.runUntil("it leads", () => leader.cores.proposer!.isReady);
  for (const host of [third!, leader]) cluster.stop(host, false);
  const acceptors = [first!, second!].map(({ cores }) => cores.acceptor!);
  expect(log.highestIid).toBeGreaterThan(2900);
  expect(acceptors.map((one) => one.log.highestIid)).toEqual([0, 0]);
  MissesStates.isDeaf = true;
  const { link, cores } = cluster.proposer(0);
  const { proposer } = cores;
  // It hears the one of the former log first.
  const late = { ...NO_FAULTS, leastDelayUs: 5_000, mostDelayUs: 5_000 };
  for (const one of [first!, second!]) cluster.network.worsen(one.link.place, link.place, late);
  const { range } = proposer!.leadership as RangeLeadership;
  cluster.runUntil("it is told of both", () => range.isPromised && range.start > 2900, 5 * SECOND_US);
  cluster.runFor(2 * SECOND_US);
  expect(acceptors.map((one) => one.chosenIid)).toEqual([0, 0]);
  // Without the one of the former log it comes to lead.
  cluster.stop(former, false);
  MissesStates.isDeaf = false;
  cluster.runUntil("it leads", () => proposer!.isReady);
  write(cluster, 20, 0);
  expect(Math.max(...acceptors.map((one) => one.log.highestIid))).toBeLessThan(100);
});
