/**
 * Transcripts: text files that show what a core answers, run against the cores as they are. A file holds sections
 * (`=== title`), a section blocks: commands, a line `----`, the answers, an empty line. The commands of one block are one
 * turn: time passes (`after`), messages come in, then the cores act. Everything else in a file is prose.
 *
 * Commands are messages as `Receiver` names them (`prepare from=p0 iid=1 ballot=1.0 life=7`) and a few more; peers and
 * ballots are written as in `recorder.ts`. `KPAXOS_REWRITE=1` writes the answers anew; a human reads the diff.
 */
import { type Cores, Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor.ts";
import { KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { Learner } from "../../src/protocol/learner.ts";
import { Proposer } from "../../src/protocol/proposer.ts";
import { Status } from "../../src/protocol/proposer_window.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { TrimRule } from "../../src/protocol/trim_rule.ts";
import { type Ballot, MAX_IID, NO_PEER } from "../../src/protocol/types.ts";
import { peerName, peerOf, Recorder } from "./recorder.ts";

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

/** Of three acceptors that nobody has heard of. */
const STANDING = new StandingVector(3).bytes;
const TITLE = "=== ";
const RULE = "----";
const NOTHING = "(nothing)";

/** generation/incarnation of each acceptor. */
function vectorOf(text: string): Uint8Array {
  const entries = text.split(",").map((entry) => entry.split("/").map(Number));
  const vector = new StandingVector(entries.length);
  entries.forEach(([generation, incarnation], aid) => {
    vector.set(aid, generation!, incarnation!);
  });
  return vector.bytes;
}

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

/** The arguments of one command. */
class Args {
  readonly word: string;
  readonly #command: string;
  readonly #values = new Map<string, string>();
  readonly #bench: Bench;

  constructor(command: string, bench: Bench) {
    const [word, ...rest] = command.split(/\s+/);
    this.word = word!;
    this.#command = command;
    this.#bench = bench;
    for (const pair of rest) {
      const at = pair.indexOf("=");
      this.#values.set(at < 0 ? pair : pair.slice(0, at), at < 0 ? "yes" : pair.slice(at + 1));
    }
  }

  /** Another command of the same bench. */
  like(command: string): Args {
    return new Args(command, this.#bench);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string, otherwise?: string): string {
    const value = this.#values.get(name) ?? otherwise;
    if (value === undefined) throw new Error(`"${this.#command}" lacks ${name}=`);
    return value;
  }

  number(name: string, otherwise?: number): number {
    const text = this.text(name, otherwise?.toString());
    if (text === "max") return MAX_IID;
    const value = Number(text);
    if (!Number.isSafeInteger(value)) throw new Error(`"${this.#command}": ${name}=${text} is no number`);
    return value;
  }

  peer(): ReturnType<typeof peerOf> {
    const name = this.text("from", "nobody");
    return name === peerName(NO_PEER) ? NO_PEER : peerOf(name);
  }

  ballot(name = "ballot", otherwise?: string): Ballot {
    const [round, id] = this.text(name, otherwise).split(".");
    if (round === "none") return 0 as Ballot;
    return (Number(round) * this.#bench.scheme.stride + Number(id)) as Ballot;
  }

  /** Acceptors: `aid=0` or `aid=0,2`. */
  aids(): number[] {
    return this.text("aid").split(",").map(Number);
  }

  /** The value's bytes, in the middle of a buffer; `length` −1: none is given. */
  value(): { bytes: Uint8Array; offset: number; length: number } {
    if (!this.has("value")) return { bytes: new Uint8Array(8), offset: 4, length: -1 };
    const text = this.text("value");
    const times = /^(.)\*(\d+)$/.exec(text);
    const bytes = Buffer.from(
      `????${times === null ? text : times[1]!.repeat(Number(times[2]))}????`,
      "latin1",
    );
    return { bytes, offset: 4, length: bytes.length - 8 };
  }
}

/** The cores of one process under command. */
export class Bench {
  isNative = true;
  #recorder = new Recorder();
  #roles = new Roles({ pairsAccepts: true, acceptorOf: (peer) => peer, wallOffsetUs: 0 });
  #nowUs = 1_000_000;
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
    for (const args of all) if (args.word === "after") this.#nowUs += args.number("ms") * 1000;
    this.#roles.tick(this.#nowUs);
    for (const args of all) if (args.word !== "new" && args.word !== "after") this.#do(args);
    this.#roles.pump(this.#nowUs);
    for (const args of all) if (args.word === "show") this.#show(args);
    return this.#recorder.take();
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
    return new Acceptor(
      {
        aid: 0,
        acceptors: args.number("acceptors", 3),
        life: this.isNative ? args.number("life", 100) : 0,
        fresh: !args.has("empty"),
        random: () => 0.5,
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
    if (args.word !== "show") throw new Error(`no command "${args.word}"`);
  }

  #show(args: Args): void {
    const { acceptor, proposer, learner } = this.#roles.cores;
    const lines = this.#recorder.lines;
    if (acceptor !== undefined) {
      const { log, promised, promisedLife, chosenIid, counters } = acceptor;
      const by = promised === 0 ? "none" : `${this.#recorder.ballot(promised)} life=${promisedLife}`;
      lines.push(`acceptor promised=${by} trim=${log.trimIid} highest=${log.highestIid} chosen=${chosenIid}`);
      lines.push(`acceptor refusedFull=${counters.refusedFull} used=${log.arena.used}`);
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

const QUIET: Readonly<Record<string, (recorder: Recorder, args: Args) => void>> = {
  frames: (recorder, args) => {
    recorder.frames = args.number("free");
  },
  application: (recorder, args) => {
    if (args.has("takes")) recorder.takes = args.text("takes") === "yes";
    if (args.has("acknowledged")) recorder.acknowledgedIid = args.number("acknowledged");
  },
};

const MESSAGES: Readonly<Record<string, (roles: Roles, args: Args) => void>> = {
  prepare: (r, a) => r.onPrepare(a.peer(), a.number("iid"), a.ballot(), a.number("life", 0)),
  promise: (r, a) => {
    const { bytes, offset, length } = a.value();
    for (const aid of a.aids()) {
      const valueBallot = a.ballot("valueBallot", "none");
      r.onPromise(
        a.peer(),
        aid,
        a.number("iid"),
        a.ballot(),
        valueBallot,
        bytes,
        offset,
        Math.max(0, length),
      );
    }
  },
  /** One frame of a range promise; its records are `record=iid:round.id:value`, one after the other. */
  rangePromise: (r, a) => {
    for (const aid of a.aids()) {
      const asked = a.number("asked", 1);
      const first = a.number("first", asked);
      const trim = a.number("trim", 0);
      const standing = a.has("vector") ? vectorOf(a.text("vector")) : STANDING;
      r.onPromiseBegin(
        a.peer(),
        aid,
        a.ballot(),
        a.number("life", 7),
        asked,
        first,
        a.number("last", MAX_IID),
        trim,
        standing,
        0,
        standing.length,
      );
      for (const record of a.text("records", "").split(",").filter(Boolean)) {
        const [iid, ballot, text] = record.split(":");
        const value = a.like(`record ballot=${ballot} value=${text}`);
        const { bytes, offset, length } = value.value();
        r.onPromiseRecord(a.peer(), aid, Number(iid), value.ballot(), 1, 0, bytes, offset, length);
      }
      r.onPromiseEnd(a.peer(), aid);
    }
  },
  accept: (r, a) => {
    const { bytes, offset, length } = a.value();
    const iid = a.number("iid");
    r.onAccept(a.peer(), iid, a.number("riding", 0), a.ballot(), a.number("life", 0), bytes, offset, length);
  },
  accepted: (r, a) => {
    const { bytes, offset, length } = a.value();
    for (const aid of a.aids()) {
      const riding = a.number("riding", 0);
      const life = a.number("life", 0);
      r.onAccepted(a.peer(), aid, a.number("iid"), riding, a.ballot(), life, bytes, offset, length);
    }
  },
  acceptedRange: (r, a) => {
    for (const aid of a.aids()) {
      const first = a.number("first");
      r.onAcceptedRange(a.peer(), aid, first, a.number("last"), a.ballot(), a.number("life", 0));
    }
  },
  chosen: (r, a) => r.onChosen(a.peer(), a.number("iid"), a.ballot(), a.number("life", 0)),
  heartbeat: (r, a) =>
    r.onHeartbeat(
      a.peer(),
      a.number("iid"),
      a.ballot(),
      a.number("life", 0),
      a.number("round", 0),
      a.number("leaseMs", 0),
    ),
  echo: (r, a) => {
    for (const aid of a.aids()) {
      r.onEcho(a.peer(), aid, a.number("iid", 0), a.ballot(), a.number("life", 7), a.number("round"));
    }
  },
  preVoted: (r, a) => {
    for (const aid of a.aids()) {
      r.onPreVoted(a.peer(), aid, a.number("round", 1), a.ballot("ballot", "none"), !a.has("refused"));
    }
  },
  preVote: (r, a) => r.onPreVote(a.peer(), a.number("round", 1), a.ballot()),
  readAsk: (r, a) => r.onReadAsk(a.peer(), a.number("nonce")),
  preempted: (r, a) => r.onPreempted(a.peer(), a.aids()[0]!, a.number("iid", 1), a.ballot()),
  repeat: (r, a) => r.onRepeat(a.peer(), a.number("first"), a.number("last")),
  trim: (r, a) => r.onTrim(a.peer(), a.number("iid"), !a.has("alone")),
  state: (r, a) => {
    for (const aid of a.aids()) {
      const flags = (a.has("halfFull") ? 1 : 0) | (a.has("full") ? 2 : 0);
      r.onAcceptorState(a.peer(), aid, a.number("trim", 0), a.number("highest", 0), flags);
    }
  },
  value: (r, a) => {
    const { bytes, offset, length } = a.value();
    r.onClientValue(a.peer(), bytes, offset, length, a.number("hops", 0));
  },
  hi: (r, a) => r.onLearnerHi(a.peer()),
  del: (r, a) => r.onLearnerDel(a.peer()),
  ok: (r, a) => {
    for (const aid of a.aids()) r.onAcceptorOk(peerOf(`a${aid}`));
  },
};
