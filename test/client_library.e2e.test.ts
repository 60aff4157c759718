/**
 * `Client` with a cluster whose leader dies while values are under way, and its end while some are.
 */
import { expect, test } from "bun:test";
import { Client, OutcomeUnknownError } from "../src/api/client.ts";
import { readConfig } from "../src/config/read.ts";
import { seat, withCluster } from "./support/cluster.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { until } from "./support/until.ts";

test("values are confirmed in order, and go on when the leader dies", async () => {
  const acceptors = [0, 1, 2].map((id) => seat("acceptor", id, id));
  const seats = [...acceptors, ...[0, 1].map((id) => seat("proposer", id, 3 + id)), seat("learner", 0, 5)];
  await withCluster({ seats, link: "loopback", start: false }, async (cluster) => {
    // The first proposer has led before there is a second.
    for (const { role, id } of [...acceptors, seats[3]!, seats[5]!]) await cluster.start(role, id).ready();
    const client = new Client({ config: readConfig(cluster.configPath), log: collectingLog().log });
    const ended = client.run();
    const confirmed: number[] = [];
    const leader = cluster.member("proposer", 0);
    const give = (first: number, count: number): Promise<unknown> =>
      Promise.all(
        Array.from({ length: count }, (_, index) =>
          client.submit(new TextEncoder().encode(`${first + index}`)).then(() => {
            // At once: what looks for it now and then comes too late on a fast machine.
            if (confirmed.push(first + index) === 1001) leader.kill("SIGKILL");
          }),
        ),
      );
    await give(0, 1000);
    await cluster.start("proposer", 1).ready();
    const given = give(1000, 20_000);
    await leader.exited;
    expect(confirmed.length).toBeLessThan(21_000);
    await given;
    expect(confirmed).toEqual(Array.from({ length: 21_000 }, (_, index) => index));
    // At the end those under way may be chosen; those behind them were not sent.
    const ends = Promise.all(
      Array.from({ length: 40_000 }, (_, index) =>
        client.submit(new TextEncoder().encode(`last ${index}`)).then(
          () => "confirmed",
          (error: unknown) => (error instanceof OutcomeUnknownError ? "unknown" : "not submitted"),
        ),
      ),
    );
    await until("some are under way", () => client.pending < 40_000);
    await client.close();
    await ended;
    const runs = (await ends).filter((end, index, all) => end !== all[index - 1]);
    expect(["confirmed,unknown,not submitted", "confirmed,not submitted"]).toContain(runs.join());
  });
}, 60_000);
