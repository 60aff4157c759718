/**
 * Who calls a store under chaos, at servers that do right and wrong: what was answered is judged, what was refused was not done,
 * what broke off may have been.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KvHistory } from "../../src/sim/kv_history.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { Caller } from "./kv_caller.ts";

type Fault = (request: Request, store: Map<string, string>, calls: number) => Response | undefined;

function answer(request: Request, body: string, store: Map<string, string>): Response {
  const url = new URL(request.url);
  const key = decodeURIComponent(url.pathname.split("/").at(-1)!);
  const held = store.get(key);
  if (request.method === "GET") return new Response(held ?? "", { status: held === undefined ? 404 : 200 });
  if (request.method === "DELETE") {
    return new Response("", { status: store.delete(key) ? 200 : 404 });
  }
  const expected = url.searchParams.get("expect");
  const isAbsent = request.headers.get("if-none-match") === "*";
  const differs = expected !== null && held !== Buffer.from(expected, "base64url").toString();
  if (differs || (isAbsent && held !== undefined)) return new Response("", { status: 412 });
  store.set(key, body);
  return new Response("{}");
}

/** So many calls by two callers of a store that has this fault. */
async function play(fault: Fault): Promise<KvHistory> {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  const socket = join(directory, "kv");
  const store = new Map<string, string>();
  const history = new KvHistory();
  let calls = 0;
  const server = Bun.serve({
    unix: socket,
    fetch: async (request) => {
      const body = await request.text();
      return fault(request, store, ++calls) ?? answer(request, body, store);
    },
  });
  const callers = [0, 1].map(
    (id) => new Caller({ name: `c${id}`, socket, history, random: seededRandom(id + 1), perSecond: 1e6 }),
  );
  try {
    for (const caller of callers) caller.start();
    await until("there are enough calls", () => calls >= 300, 20_000);
    await Promise.all(callers.map((caller) => caller.finish()));
    expect(callers.flatMap(({ problems }) => problems)).toEqual([]);
    return history;
  } finally {
    await server.stop(true);
    rmSync(directory, { recursive: true });
  }
}

test("a store that does right is found linearizable, with swaps and deletes that took place and others that did not", async () => {
  const history = await play(() => undefined);
  expect(history.check()).toEqual([]);
  expect(history.answered).toBeGreaterThan(290);
  const said = history.lines().join("\n");
  for (const kind of ["swap", "delete"])
    for (const output of [true, false]) expect(said).toMatch(new RegExp(`"${kind}".*→ ${output}`));
});

const FAULTS: readonly [what: string, fault: Fault][] = [
  [
    "forgets writes",
    (request, _store, calls) =>
      request.method === "PUT" && calls % 20 === 0 ? new Response("{}") : undefined,
  ],
  [
    "reads what is not there",
    (request, _store, calls) =>
      request.method === "GET" && calls % 20 === 0 ? new Response("nobody's") : undefined,
  ],
  [
    "says that nothing was done, and has done it",
    (request, store, calls) => {
      if (request.method !== "PUT" || calls % 10 !== 0) return undefined;
      store.set(decodeURIComponent(new URL(request.url).pathname.split("/").at(-1)!), `written ${calls}`);
      return new Response("{}", { status: 503 });
    },
  ],
  [
    "lets a swap take place that must not",
    (request, store) => {
      if (!new URL(request.url).searchParams.has("expect")) return undefined;
      return store.size > 0 ? new Response("{}") : undefined;
    },
  ],
];

for (const [what, fault] of FAULTS) {
  test(`a store that ${what} is found`, async () => {
    const history = await play(fault);
    expect(() => history.check()).toThrow("linearizability");
  });
}

test("calls that were answered with 503 and 504 are no violation", async () => {
  const history = await play((_request, _store, calls) =>
    calls % 5 === 0 ? new Response("{}", { status: calls % 2 === 0 ? 503 : 504 }) : undefined,
  );
  expect(history.check()).toEqual([]);
  expect(history.lost).toBeGreaterThan(5);
});
