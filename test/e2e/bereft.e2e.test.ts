/**
 * All that know the sessions of a trimmed log are killed at once, and had them in memory: real processes on loopback. Values flow
 * again by themselves, none is delivered twice, and the client knows of which it cannot be told.
 */
import { expect, test } from "bun:test";
import { type Deliveries, expectSameOrder, seat, withCluster } from "../support/cluster.ts";
import { endClient, goesOn, hasBegun } from "../support/e2e.ts";

const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  ...[0, 1].map((id) => seat("proposer", id, 3 + id)),
  ...[0, 1].map((id) => seat("learner", id, 5 + id)),
];
const WINDOW = 4096;
const SETTINGS = {
  // As many values as instances.
  batching: "no",
  "acceptor-window-instances": `${WINDOW}`,
  "client-timeout": "200ms",
  "leader-timeout": "200ms",
  "learner-timeout": "2s",
  "trim-every": "200",
};

const UNKNOWN = /goes on behind instance (\d+) without a snapshot of the sessions/;
const ANEW = /all of them have begun anew, at or before instance (\d+)/;

const places = (one: Deliveries): string[] =>
  one.list.map(({ session, sequence }) => `${session}/${sequence}`);

test("all proposers and learners are killed at once behind a trim: values flow again, and none comes twice", async () => {
  await withCluster({ seats: SEATS, link: "loopback", settings: SETTINGS, start: false }, async (cluster) => {
    const begin = (): Deliveries[] => {
      for (const id of [0, 1]) cluster.start("proposer", id);
      return [0, 1].map((id) => cluster.startLearner(id, ["--catch-up"]));
    };
    for (const id of [0, 1, 2]) cluster.start("acceptor", id);
    const first = begin();
    const load = ["--nclients", "4", "--outstanding", "20", "--value-size", "200", "--json"];
    const client = cluster.client(cluster.spareHost, load);
    await hasBegun(client);
    await Promise.all(first.map((one) => one.reach(2 * WINDOW)));
    const doomed = [
      ...first.map(({ process }) => process),
      ...[0, 1].map((id) => cluster.member("proposer", id)),
    ];
    for (const one of doomed) one.kill("SIGKILL");
    await Promise.all(doomed.map((one) => one.exited));

    const second = begin();
    const said = await Promise.all(second.map(({ process }) => process.waitForLine(UNKNOWN, 20_000)));
    await Promise.any([...cluster.processes].map((one) => one.waitForLine(ANEW, 20_000)));
    await goesOn(client);
    const figures = await endClient(client);
    expect(figures).toMatchObject({ duplicates: 0 });
    await expectSameOrder(second);

    const trimmed = Math.max(...said.map((line) => Number(UNKNOWN.exec(line)![1])));
    expect(trimmed).toBeGreaterThan(200);
    const before = new Set(first.flatMap(places));
    for (const one of second) {
      const now = places(one);
      expect(new Set(now).size).toBe(now.length);
      expect(now.filter((place) => before.has(place))).toEqual([]);
      const gaps = one.process.stderr.filter((line) => line.includes("they are not delivered here"));
      expect(gaps.length).toBeGreaterThan(0);
    }
    // All that the client was told is delivered was, or fell between: told to neither, and to it alone.
    const { uncertain } = figures as typeof figures & { readonly uncertain: number };
    expect(uncertain).toBeGreaterThan(0);
    expect(uncertain).toBeLessThanOrEqual(80);
    expect(figures.values).toBeGreaterThan(second[0]!.list.length);
  });
}, 90_000);
