/**
 * Completion scripts as zsh and fish themselves use them.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SCENARIOS } from "../src/sim/scenario.ts";
import { DRIVEN_SHELLS, type DrivenShell, keepState, pressTab } from "./support/completing.ts";
import { kpaxos } from "./support/shell.ts";
import { describeUnless } from "./support/skip.ts";

const TIMEOUT_MS = 30_000;

const home = mkdtempSync(join(tmpdir(), "kpaxos-completing-"));
afterAll(() => rmSync(home, { recursive: true }));

const files = join(home, "files");
mkdirSync(files);
for (const name of ["paxos.conf", "x y.conf"]) writeFileSync(join(files, name), "");
const states = join(home, "state/kpaxos/clusters");
const roles = ["acceptor/0", "proposer/0", "user-learner/0"];
keepState(
  join(states, "default"),
  "default",
  (["acceptor", "proposer", "user-learner"] as const).map((role) => ({ role, id: 0 })),
);
keepState(
  join(states, "two"),
  "two",
  [0, 1].map((group) => ({ role: "replica", id: 3, group })),
);
for (const name of ["a b", "a:b", "plain"]) keepState(join(home, name), "else", [{ role: "learner", id: 5 }]);

const both = ["replica/3@0", "replica/3@1"];
/** A line, and what is offered behind it. */
const OFFERS: readonly [line: string, offers: readonly string[]][] = [
  ["kpaxos co", ["completion", "config"]],
  ["kpaxos cluster a", ["add"]],
  ["kpaxos config check --fi", ["--file"]],
  ["kpaxos config check --wire k", ["kernel-paxos", "kernel_paxos"]],
  ["kpaxos completion ", ["bash", "fish", "zsh"]],
  ["kpaxos sim --scenario ", ["all", ...SCENARIOS.map(({ name }) => name)].sort()],
  ["kpaxos bench --wires ", ["kernel-paxos", "native"]],
  ["kpaxos bench -l ", ["replicas", "roles"]],
  ["kpaxos bench --windows ", []],
  // What is no file is no place for one.
  ["kpaxos status ", []],
  ["kpaxos submit ", []],
  ["kpaxos run acceptor --id ", []],
  // A word behind a flag is no command.
  ["kpaxos bench --report commit --acceptor", ["--acceptors"]],
  ["kpaxos cluster kill ", roles],
  ["kpaxos cluster kill -n two ", both],
  ["kpaxos cluster kill --name=two replica/3@", both],
  ["kpaxos cluster down --name ", ["default", "two"]],
  ["kpaxos cluster add user-learner --beside ac", ["acceptor/0"]],
  ["kpaxos cluster exec ", [...roles, "client"].sort()],
  ["kpaxos cluster exec client -- kpaxos cluster a", ["add"]],
  [`kpaxos cluster logs --dir '${home}/a b' `, ["learner/5"]],
  [`kpaxos cluster logs --dir ${home}/a\\ b `, ["learner/5"]],
  [`kpaxos cluster logs --dir=${home}/a:b l`, ["learner/5"]],
  ["kpaxos cluster logs --dir ~/plain ", ["learner/5"]],
];

/** A line, and what both call the only word that goes on: fish gives the word, zsh the line. */
const BECOMES: readonly [line: string, word: string, becomes: string][] = [
  ["kpaxos config check --wire=n", "--wire=native", "kpaxos config check --wire=native "],
  ["kpaxos bench --batching yes,", "yes,no", "kpaxos bench --batching yes,no "],
  ["kpaxos bench --storage=log,s", "--storage=log,sqlite", "kpaxos bench --storage=log,sqlite "],
  ["kpaxos bench --storage log,sqlite,", "log,sqlite,memory", "kpaxos bench --storage log,sqlite,memory "],
  ["kpaxos cluster down --name=t", "--name=two", "kpaxos cluster down --name=two "],
  ["kpaxos config check -f files/p", "files/paxos.conf", "kpaxos config check -f files/paxos.conf "],
  [
    "kpaxos config check --file=files/x",
    "--file=files/x y.conf",
    "kpaxos config check --file=files/x\\ y.conf ",
  ],
  ["kpaxos key show files/p", "files/paxos.conf", "kpaxos key show files/paxos.conf "],
  ["kpaxos cluster up --dir fil", "files/", "kpaxos cluster up --dir files/"],
  ["kpaxos run acceptor --storage-path fil", "files/", "kpaxos run acceptor --storage-path files/"],
];

const scriptOf = async (shell: DrivenShell): Promise<string> => (await kpaxos(["completion", shell])).out;

for (const shell of DRIVEN_SHELLS) {
  const reason = Bun.which(shell) === null ? `the program ${shell} is missing` : undefined;
  describeUnless(reason, shell, () => {
    test(
      "offers commands, flags, values and what there is of local clusters",
      async () => {
        const lines = OFFERS.map(([line]) => line);
        const found = await pressTab(shell, await scriptOf(shell), home, lines);
        expect(lines.map((line, at) => [line, found[at]!.offers])).toEqual(OFFERS.map(([...row]) => row));
      },
      TIMEOUT_MS,
    );
    test(
      "goes on behind --flag=, and with names of files",
      async () => {
        const lines = BECOMES.map(([line]) => line);
        const found = await pressTab(shell, await scriptOf(shell), home, lines);
        if (shell === "zsh") expect(found.map(({ line }) => line)).toEqual(BECOMES.map((row) => row[2]));
        else expect(found.map(({ offers }) => offers)).toEqual(BECOMES.map((row) => [row[1]]));
      },
      TIMEOUT_MS,
    );
  });
}
