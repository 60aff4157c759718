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
