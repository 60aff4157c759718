/**
 * `Replica` beside acceptors that have forgotten everything: it says who answers and does not vote.
 */
import { expect, test } from "bun:test";
import { Replica } from "../src/api/replica.ts";
import { readConfig } from "../src/config/read.ts";
import { seat, withCluster } from "./support/cluster.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { until } from "./support/until.ts";

const NOTHING = new Uint8Array(0);

test("a replica knows that the acceptors that answer do not vote", async () => {
  const acceptors = [0, 1, 2].map((id) => seat("acceptor", id, id));
  const seats = [...acceptors, seat("proposer", 0, 3)];
  await withCluster({ seats, link: "loopback" }, async (cluster) => {
    await cluster.runClient(["--values", "10"]);
    const forgetful = [1, 2].map((id) => cluster.member("acceptor", id));
    for (const one of forgetful) one.kill("SIGKILL");
    await Promise.all(forgetful.map((one) => one.exited));
    for (const id of [1, 2]) await cluster.start("acceptor", id).ready();
    const machine = { name: "none", apply: () => NOTHING, snapshot: () => NOTHING, restore: () => undefined };
    const { log, lines } = collectingLog();
    const replica = new Replica({
      config: readConfig(cluster.configPath),
      id: 9,
      machine,
      log,
      timeoutMs: 4000,
    });
    const ended = replica.run();
    const said =
      /^acceptor 1 \(127\.0\.0\.1:\d+\) and acceptor 2 \(127\.0\.0\.1:\d+\) answer, but do not vote, and 1 of 3 is no quorum: their logs say why$/;
    await until("it says so", () => replica.status().reasons.some((reason) => said.test(reason)), 8_000);
    const late = await replica.submit(new Uint8Array(1)).catch((error: unknown) => String(error));
    expect(late).toMatch(/no result within 4000 ms.*answer, but do not vote/);
    expect(lines.some(({ message }) => /nothing moves: .* answer, but do not vote/.test(message))).toBe(true);
    await replica.close();
    await ended;
  });
}, 60_000);
