/**
 * The boundary to the C library is crossed once a turn: three roles on real links under load, in one process, and each call of
 * each function of the library is counted.
 */
import { afterAll, expect, test } from "bun:test";
import type { Config, Member } from "../src/config/config.ts";
import { parseConfig } from "../src/config/parse.ts";
import { LearnerGate } from "../src/delivery/client_gates.ts";
import { createLog } from "../src/log.ts";
import { library } from "../src/native/library.ts";
import { buildAcceptor, buildFilter, buildLearner, buildProposer } from "../src/node/build.ts";
import { buildClient, ownApplication } from "../src/node/build_client.ts";
import type { Built, Context } from "../src/node/context.ts";
import { newLife } from "../src/node/identity.ts";
import { Lane } from "../src/node/lane.ts";
import { Runner } from "../src/node/run.ts";
import { freePorts } from "../src/ops/free_ports.ts";
import type { Client } from "../src/protocol/client/client.ts";
import { Role } from "../src/protocol/types.ts";

const VALUES = 20_000;
const TIMEOUT_MS = 60_000;
const HOST = "127.0.0.1";

type Callable = (...args: unknown[]) => unknown;
const functions = library() as unknown as Record<string, Callable>;
const originals = { ...functions };
const calls = new Map<string, number>();
/** Steps that brought frames. */
let fruitful = 0;

/** Links take the functions when they are opened. */
function count(): void {
  for (const [name, call] of Object.entries(originals)) {
    functions[name] = (...args) => {
      calls.set(name, (calls.get(name) ?? 0) + 1);
      const result = call(...args);
      if (name === "kpx_link_step" && Number(result) > 0) fruitful++;
      return result;
    };
  }
}

afterAll(() => Object.assign(functions, originals));

function lane(
  config: Config,
  member: Member | undefined,
  role: Role,
  build: (context: Context) => Built,
): Lane {
  const listens = role === Role.acceptor ? role : role | Role.learner;
  const owns = member === undefined ? 0 : role;
  const options = { config, log: createLog("quiet", ""), id: member?.id ?? 4711, member, listens, owns };
  return new Lane(options, newLife(), build, (error) => {
    throw error;
  });
}

const PARTS = { progress: () => null };

test(
  "one call a turn",
  async () => {
    const [a, p] = await freePorts(2, HOST);
    const text = `acceptor 0 ${HOST} ${a}\nproposer 0 ${HOST} ${p}\n`;
    const { config } = parseConfig(text, "ffi.conf");
    if (config === undefined) throw new Error("the configuration of this test is wrong");
    count();
    let client: Client | undefined;
    const lanes = [
      lane(config, config.acceptors[0], Role.acceptor, (context) => {
        const { acceptor, watch } = buildAcceptor(context, true);
        return { ...PARTS, cores: { acceptor }, extras: [watch] };
      }),
      lane(config, config.proposers[0], Role.proposer, (context) => {
        const filter = buildFilter(context, null);
        const plan = { role: Role.proposer, catchUp: true, canTrim: true };
        const learner = buildLearner(context, plan, context.outbox(Role.proposer), filter);
        return { ...PARTS, cores: buildProposer(context, { learner, filter }) };
      }),
      lane(config, undefined, Role.client, (context) => {
        const outbox = context.outbox(Role.client);
        const plan = {
          clients: 1,
          outstanding: 50,
          leastSize: 64,
          mostSize: 64,
          proposerId: 0,
          values: VALUES,
        };
        const built = buildClient(context, plan, outbox, { delivered: () => undefined });
        client = built.client;
        const learner = buildLearner(
          context,
          { role: Role.client, catchUp: false, canTrim: false },
          outbox,
          ownApplication(context, built, () => undefined),
        );
        const gate = new LearnerGate(client, learner, 1, true);
        return { ...PARTS, cores: { client, learner }, extras: [gate] };
      }),
    ];
    let turns = 0;
    let turnsWithFrames = 0;
    for (const { node } of lanes) {
      const turn = node.turn.bind(node);
      node.turn = (nowUs, received) => {
        turns++;
        if (received > 0) turnsWithFrames++;
        return turn(nowUs, received);
      };
    }
    const runner = new Runner(lanes);
    const running = runner.run();
    calls.clear();
    const began = performance.now();
    while (client!.counters.delivered < VALUES) {
      if (performance.now() - began > TIMEOUT_MS)
        throw new Error(`${client!.counters.delivered} values came back`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const seconds = (performance.now() - began) / 1000;
    const counted = new Map(calls);
    expect(turnsWithFrames).toBe(fruitful);
    runner.stop(() => undefined);
    await running;
    for (const one of lanes) one.close();

    const steps = counted.get("kpx_link_step") ?? 0;
    counted.delete("kpx_link_step");
    expect(turns).toBeGreaterThan(1000);
    // Before each turn one step; some steps find nothing, and no turn follows.
    expect(steps).toBeGreaterThanOrEqual(turns);
    // Each second a look at the counters of each link, and nothing else.
    expect([...counted.keys()].filter((name) => name !== "kpx_link_counters")).toEqual([]);
    expect(counted.get("kpx_link_counters") ?? 0).toBeLessThanOrEqual(lanes.length * (seconds + 2));
  },
  2 * TIMEOUT_MS,
);
