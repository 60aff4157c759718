/** The ballot that a proposer of the Kernel_Paxos wire keeps over its restarts. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RoundFile } from "../src/node/round_file.ts";
import type { Ballot } from "../src/protocol/types.ts";
import { errorOf } from "./support/refusal.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "kpaxos-round-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("none at first; then what was written last, in a directory that is made", () => {
  const where = join(directory, "of/its/own");
  expect(new RoundFile(where, "default", 3).read()).toBe(0);
  new RoundFile(where, "default", 3).write(101 as Ballot);
  new RoundFile(where, "default", 3).write(203 as Ballot);
  expect(new RoundFile(where, "default", 3).read()).toBe(203);
  expect(new RoundFile(where, "default", 4).read()).toBe(0);
  expect(readdirSync(where)).toEqual(["default-proposer-3.ballot"]);
});

test.each(["", "many", "-1", "1.5"])("%p is no ballot", (text) => {
  const file = new RoundFile(directory, "default", 0);
  writeFileSync(file.path, text);
  const { message, hint } = errorOf(() => file.read());
  expect(message).toBe(`${file.path} does not hold a ballot: ${JSON.stringify(text)}`);
  expect(hint).toContain("highest ballot");
});

test("a place that cannot be written is told before a ballot is used", () => {
  writeFileSync(join(directory, "file"), "");
  const file = new RoundFile(join(directory, "file"), "default", 0);
  for (const act of [() => file.read(), () => file.write(1 as Ballot)]) {
    const { message, hint } = errorOf(act);
    expect(message).toStartWith(`cannot keep the ballot in ${file.path}: `);
    expect(hint).toContain("state-directory");
  }
});
