/**
 * The faults of the reference's configuration reader, by their numbers in docs/divergence.md: none of them is ours.
 */
import { expect, test } from "bun:test";
import { parseConfig } from "../src/config/parse.ts";

const ACCEPTORS = [
  "acceptor 0 02:00:00:00:00:01",
  "acceptor 1 02:00:00:00:00:02",
  "acceptor 2 02:00:00:00:00:03",
];
const REST = ["proposer 0 02:00:00:00:00:04"];

function read(...lines: readonly string[]): ReturnType<typeof parseConfig> {
  return parseConfig(`${lines.join("\n")}\n`, "paxos.conf");
}

function errors(...lines: readonly string[]): readonly string[] {
  return read(...lines)
    .diagnostics.filter(({ severity }) => severity === "error")
    .map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test("fault 32: learner lines, unknown keys and bad MACs are not ignored in silence", () => {
  const good = read(...ACCEPTORS, ...REST, "learner 0 02:00:00:00:00:05");
  expect(good.config?.learners.map(({ id, address }) => [id, address.kind])).toEqual([[0, "ethernet"]]);
  expect(errors(...ACCEPTORS, ...REST, "verbositi debug")[0]).toMatch(/^5:1 .*verbositi/);
  expect(errors(...ACCEPTORS, "proposer 0 02:00:00:00:00:0g")[0]).toMatch(/^4:12 /);
});

test("fault 33: the id in the file counts, not the line's place", () => {
  const { config } = read(ACCEPTORS[2]!, ACCEPTORS[0]!, ACCEPTORS[1]!, ...REST);
  const macs = config?.acceptors.map(({ id, address }) => [
    id,
    address.kind === "ethernet" ? address.mac : "",
  ]);
  expect(macs).toEqual([
    [0, "02:00:00:00:00:01"],
    [1, "02:00:00:00:00:02"],
    [2, "02:00:00:00:00:03"],
  ]);
});

test("fault 34: what stands before a # on its line counts", () => {
  const { config, diagnostics } = read(
    ...ACCEPTORS.map((line) => `${line} # in the rack by the door`),
    ...REST,
    "verbosity debug# loud",
    "# acceptor 3 02:00:00:00:00:09",
  );
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(config?.acceptors.length).toBe(3);
  expect(config?.settings.verbosity).toBe("debug");
});
