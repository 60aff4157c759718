/**
 * Transcripts: text files that show what a core answers, run against the cores as they are. A file holds sections
 * (`=== title`), a section blocks: commands, a line `----`, the answers, an empty line. The commands of one block are one
 * turn: time passes (`after`), messages come in, then the cores act. Everything else in a file is prose.
 *
 * An acceptor has voted before, unless it is made `empty`; what it asks others then, and what it is, is shown.
 *
 * Commands are messages as `Receiver` names them (`prepare from=p0 iid=1 ballot=1.0 life=7`) and a few more; peers and
 * ballots are written as in `recorder.ts`. `KPAXOS_REWRITE=1` writes the answers anew; a human reads the diff.
 */
import { type Cores, Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { TrimRule } from "../../src/protocol/acceptor/trim_rule.ts";
import { KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { Learner } from "../../src/protocol/learner/learner.ts";
import { Proposer } from "../../src/protocol/proposer/proposer.ts";
import { Status } from "../../src/protocol/proposer/proposer_window.ts";
import { type Peer, Standing } from "../../src/protocol/types.ts";
import { peerName, Recorder } from "./recorder.ts";
import { Args, standingOf } from "./transcript_args.ts";
import { MESSAGES, QUIET } from "./transcript_messages.ts";

export interface Block {
  /** Lines before the block: prose, and empty lines. */
  readonly prose: readonly string[];
  readonly commands: readonly string[];
  readonly answers: readonly string[];
}
export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
  /** Lines after the last block. */
  readonly tail: readonly string[];
}

const TITLE = "=== ";
const RULE = "----";
const NOTHING = "(nothing)";
/** An acceptor that is there ticks at least once in such a time. */
const STEP_US = 100_000;

const proposerOf = (peer: Peer): number => {
  const name = peerName(peer);
  return name.startsWith("p") ? Number(name.slice(1)) : -1;
};

export function parseTranscript(text: string): Section[] {
  const sections: { title: string; blocks: Block[]; tail: string[] }[] = [
    { title: "", blocks: [], tail: [] },
  ];
  const lines = text.replace(/\n$/, "").split("\n");
  let start = 0;
  for (let i = 0; i < lines.length; i++) {
    const section = sections.at(-1)!;
    if (lines[i]!.startsWith(TITLE)) {
      section.tail.push(...lines.slice(start, i));
      sections.push({ title: lines[i]!.slice(TITLE.length), blocks: [], tail: [] });
      start = i + 1;
    } else if (lines[i] === RULE) {
      let from = i;
      while (from > start && lines[from - 1] !== "" && !lines[from - 1]!.startsWith("#")) from--;
      let end = i + 1;
      while (end < lines.length && lines[end] !== "") end++;
      section.blocks.push({
        prose: lines.slice(start, from),
        commands: lines.slice(from, i),
        answers: lines.slice(i + 1, end),
      });
      start = end;
      i = end - 1;
    }
  }
  sections.at(-1)!.tail.push(...lines.slice(start));
  return sections;
}

export function formatTranscript(sections: readonly Section[]): string {
  const lines = sections.flatMap((section) => [
    ...(section.title === "" ? [] : [TITLE + section.title]),
    ...section.blocks.flatMap((b) => [...b.prose, ...b.commands, RULE, ...b.answers]),
    ...section.tail,
  ]);
  return `${lines.join("\n")}\n`;
}

/** Runs a section from scratch; what it would look like with the answers of today. */
export function runSection(section: Section): Section {
  const bench = new Bench();
  const blocks = section.blocks.map((block) => {
    const answers = bench.turn(block.commands);
    return { ...block, answers: answers.length === 0 ? [NOTHING] : answers };
  });
  return { ...section, blocks };
}

/** The cores of one process under command. */
export class Bench {
  isNative = true;
  #recorder = new Recorder();
  #roles = new Roles({ pairsAccepts: true, acceptorOf: (peer) => peer, proposerOf, wallOffsetUs: 0 });
  #nowUs = 1_000_000;
  #asksAround = false;
  /** The ballots the proposer has kept on disk: they outlive it. */
  #keptBallot = 0;

  get scheme(): typeof NATIVE_BALLOTS {
    return this.isNative ? NATIVE_BALLOTS : KERNEL_PAXOS_BALLOTS;
  }

  get cores(): Cores {
    return this.#roles.cores;
  }

  /** One turn: time passes, messages come in, the cores act. What they said, line by line. */
  turn(commands: readonly string[]): string[] {
    const all = commands.map((command) => new Args(command, this));
    for (const args of all) if (args.word === "new") this.#make(args);
    for (const args of all) if (args.word === "after") this.#pass(args.number("ms") * 1000);
    this.#roles.tick(this.#nowUs);
    for (const args of all) if (args.word !== "new" && args.word !== "after") this.#do(args);
    this.#roles.pump(this.#nowUs);
    for (const args of all) if (args.word === "show") this.#show(args);
    return this.#recorder.take().filter((line) => this.#asksAround || !line.startsWith("standingAsk"));
  }

  /** An acceptor is there all the while, unless it is about that. */
  #pass(us: number): void {
    const endUs = this.#nowUs + us;
    const birth = this.#roles.cores.acceptor?.fellows?.birth;
    const steps = birth?.isVoting === true && !this.#asksAround ? Math.ceil(us / STEP_US) : 1;
    for (let step = 1; step < steps; step++) birth!.tick(this.#nowUs + step * STEP_US, false);
    this.#nowUs = endUs;
  }

  #make(args: Args): void {
    this.isNative = args.text("wire", "native") === "native";
    const { acceptor, proposer, learner } = this.#roles.cores;
    // A core that is made again is a new life of it; the other cores of the process stay.
    if (acceptor === undefined && proposer === undefined && learner === undefined) {
      this.#recorder = new Recorder({
        scheme: this.scheme,
        maxValue: args.number("max-value", 64),
        promiseRecords: args.number("promise-records", 100),
      });
    }
    const acceptors = args.number("acceptors", 3);
    const cores: { -readonly [K in keyof Cores]: Cores[K] } = { ...this.#roles.cores };
    if (args.has("acceptor")) cores.acceptor = this.#acceptor(args);
    if (args.has("learner")) cores.learner = this.#learner(args, acceptors, false);
    if (args.has("proposer")) {
      cores.learner = this.#learner(args, acceptors, true);
      cores.proposer = this.#proposer(args, acceptors, cores.learner);
    }
    this.#roles = new Roles({ ...cores, pairsAccepts: this.isNative });
  }

  #acceptor(args: Args): Acceptor {
    this.#asksAround = args.has("empty") || args.has("kept");
    let randoms = 0;
    const acceptor = new Acceptor(
      {
        aid: args.number("aid", 0),
        acceptors: args.number("acceptors", 3),
        life: this.isNative ? args.number("life", 100) : 0,
        fresh: args.has("alone"),
        durable: args.has("durable"),
        // So that nonces count from 1.
        random: () => (randoms++ + 0.5) / 2 ** 52,
        perInstance: !this.isNative,
        leaderTimeoutMs: args.number("leader-timeout", 500),
        maxLeaseMs: args.number("lease", 0),
        instances: args.number("instances", 1024),
        bytes: args.number("bytes", 1 << 20),
        trimRule: this.isNative
          ? new TrimRule(args.number("learner-timeout", 10_000), args.has("trim-all") ? "all" : "quorum")
          : null,
      },
      this.#recorder.journal,
      this.#recorder,
    );
    const votes = !args.has("empty");
    if (votes && this.isNative) acceptor.restoreStanding(...standingOf("1/100,1/101,1/102"));
    // Unless it is about that, the others have been asked already.
    if (votes && !args.has("kept")) acceptor.fellows?.birth.resume();
    return acceptor;
  }

  #learner(args: Args, acceptors: number, ofProposer: boolean): Learner {
    return new Learner(
      {
        acceptors,
        windowInstances: args.number("learner-window", 256),
        windowBytes: args.number("learner-bytes", 1 << 20),
        catchUp: args.has("catch-up") || (ofProposer && !this.isNative),
        statesTellHighest: this.isNative,
        waitsForStart: ofProposer,
        keepsState: args.has("keeps-state"),
        beginning: 128,
        canTrim: args.has("can-trim"),
        hasApplications: !ofProposer,
        trimEvery: args.number("trim-every", 100),
        trimBytes: Number.POSITIVE_INFINITY,
      },
      this.#recorder,
      this.#recorder.application,
    );
  }

  #proposer(args: Args, acceptors: number, learner: Learner): Proposer {
    return new Proposer(
      {
        id: args.number("id", 0),
        proposers: args.number("proposers", 2),
        acceptors,
        life: this.isNative ? args.number("life", 7) : 0,
        scheme: this.scheme,
        perInstance: !this.isNative,
        preexecWindow: args.number("window", 4),
        queueBytes: args.number("queue-bytes", 4096),
        timeoutMs: args.number("timeout", 1000),
        leaderTimeoutMs: args.number("leader-timeout", 500),
        leaseMs: args.number("lease", 0),
        mayJump: true,
        batching: args.has("batching"),
        usedBallot: this.isNative ? 0 : this.#keptBallot,
        keepBallot: (ballot) => {
          this.#keptBallot = ballot;
          this.#recorder.lines.push(`write ballot=${this.#recorder.ballot(ballot)}`);
        },
        random: () => 0.5,
      },
      this.#recorder,
      learner,
    );
  }

  #do(args: Args): void {
    if (args.word in QUIET) return QUIET[args.word]!(this.#recorder, args);
    const act = MESSAGES[args.word];
    if (act !== undefined) return act(this.#roles, args);
    if (args.word === "close") return this.#roles.cores.learner?.close();
    if (args.word === "start") return this.#roles.cores.learner?.startAt(args.number("iid"));
    if (args.word === "restored") return this.#roles.cores.learner?.restored(args.number("iid"));
    if (args.word !== "show") throw new Error(`no command "${args.word}"`);
  }

  #showStanding({ fellows }: Acceptor): void {
    const { birth, recovery } = fellows!;
    const name = Object.entries(Standing).find(([, value]) => value === birth.state)![0];
    const way = birth.voice === null ? "" : ` (${birth.voice})`;
    const stuck = recovery.lacks === undefined ? "" : ` lacks ${recovery.lacks}`;
    this.#recorder.lines.push(`acceptor ${name}${way} generation=${birth.generation}${stuck}`);
  }

  #show(args: Args): void {
    const { acceptor, proposer, learner } = this.#roles.cores;
    const lines = this.#recorder.lines;
    if (acceptor !== undefined) {
      const { log, promised, promisedLife, chosenIid, counters } = acceptor;
      const by = promised === 0 ? "none" : `${this.#recorder.ballot(promised)} life=${promisedLife}`;
      lines.push(`acceptor promised=${by} trim=${log.trimIid} highest=${log.highestIid} chosen=${chosenIid}`);
      lines.push(`acceptor refusedFull=${counters.refusedFull} used=${log.arena.used}`);
      if (this.#asksAround) this.#showStanding(acceptor);
    }
    if (learner !== undefined) {
      const { delivered, skipped } = learner.counters;
      const counts = `highest=${learner.highestIid} delivered=${delivered} skipped=${skipped}`;
      lines.push(`learner next=${learner.next} ${counts}`);
    }
    if (proposer === undefined) return;
    const { stage, leader, window, queue } = proposer;
    const where = leader < 0 ? "" : ` leader=p${leader}`;
    const first = window.low;
    const last = first + args.number("window", 4) - 1;
    const names = Object.keys(Status);
    const states = [];
    for (let iid = first; iid <= last; iid++) states.push(`${iid}:${names[window.status(iid)]}`);
    lines.push(
      `proposer ${stage}${where} ballot=${this.#recorder.ballot(proposer.ballot)} ${states.join(" ")}`,
    );
    lines.push(`proposer queued=${queue.count} requeued=${window.requeued} dropped=${window.dropped}`);
  }
}
