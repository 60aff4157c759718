/**
 * What a proposer says about its place among the proposers.
 */
import { expect, test } from "bun:test";
import type { CoreContext } from "../src/node/context.ts";
import { StageLog } from "../src/node/stage_log.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";

test("an acceptor that asks for promises to recover is not said to have recovered", () => {
  const cluster = new MemoryCluster({ seed: 1, wire: "native", proposers: 1 });
  for (const { id } of cluster.config.acceptors) cluster.acceptor(id);
  const proposer = cluster.proposer(0).cores.proposer!;
  cluster.runUntil("it leads", () => proposer.stage === "leading");
  const { log, lines } = collectingLog();
  const stageLog = new StageLog({ config: cluster.config, log } as CoreContext, proposer);
  cluster.stop(cluster.host("acceptor 2"), false);
  cluster.acceptor(2);
  const isTold = (): boolean => {
    stageLog.pump();
    return lines.some(({ message }) => message.includes("acceptor 2"));
  };
  cluster.runUntil("the proposer tells why it prepares again", isTold);
  expect(lines.map(({ message }) => message)).toContain(
    `preparing at ballot ${proposer.ballot}: acceptor 2 recovers, and has asked for promises at a higher ballot`,
  );
  expect(lines.some(({ message }) => message.includes("has recovered"))).toBe(false);
});

test("an acceptor whose records go absurdly far ahead is told of, and nothing is filled", () => {
  const cluster = new MemoryCluster({ seed: 1, wire: "native", proposers: 1 });
  for (const { id } of cluster.config.acceptors) cluster.acceptor(id);
  const leader = cluster.proposer(0);
  const proposer = leader.cores.proposer!;
  cluster.runUntil("it leads", () => proposer.stage === "leading");
  const { log, lines } = collectingLog();
  const stageLog = new StageLog({ config: cluster.config, log } as CoreContext, proposer);
  stageLog.tick(cluster.nowUs);
  leader.cores.learner!.onAcceptorState(2, 0, 10_000_000, 0, 0);
  cluster.runFor(1_000_000);
  stageLog.tick(cluster.nowUs);
  const told = lines.filter(({ message }) => message.includes("is left open"));
  expect(told.map(({ level }) => level)).toEqual(["warn"]);
  expect(told[0]!.message).toContain(`more than ${proposer.window.instances} above`);
  expect([proposer.openIid, proposer.window.low]).toEqual([0, 1]);
});
