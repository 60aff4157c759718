/**
 * The arguments of a transcript's command: `word name=value …`, with peers, ballots and standings as `recorder.ts` writes them.
 */
import type { BallotScheme } from "../../src/protocol/ballot.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { type Ballot, MAX_IID, NO_PEER, Standing } from "../../src/protocol/types.ts";
import { peerName, peerOf } from "./recorder.ts";

/** How ballots are written; it may change with the command that makes a core. */
interface Wire {
  readonly scheme: BallotScheme;
}

/** The arguments of one command. */
export class Args {
  readonly word: string;
  readonly #command: string;
  readonly #values = new Map<string, string>();
  readonly #wire: Wire;

  constructor(command: string, wire: Wire) {
    const [word, ...rest] = command.split(/\s+/);
    this.word = word!;
    this.#command = command;
    this.#wire = wire;
    for (const pair of rest) {
      const at = pair.indexOf("=");
      this.#values.set(at < 0 ? pair : pair.slice(0, at), at < 0 ? "yes" : pair.slice(at + 1));
    }
  }

  /** Another command of the same wire. */
  like(command: string): Args {
    return new Args(command, this.#wire);
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
    return (Number(round) * this.#wire.scheme.stride + Number(id)) as Ballot;
  }

  standing(): Standing {
    const name = this.text("standing", "voting") as keyof typeof Standing;
    return Standing[name];
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

/** generation/incarnation of each acceptor. */
export function vectorOf(text: string): StandingVector {
  const entries = text.split(",").map((entry) => entry.split("/").map(Number));
  const vector = new StandingVector(entries.length);
  entries.forEach(([generation, incarnation], aid) => {
    vector.set(aid, generation!, incarnation!);
  });
  return vector;
}

/** Generations and incarnations, as `vectorText` of the recorder writes them. */
export function standingOf(text: string): [Float64Array, Float64Array] {
  const { generations, incarnations } = vectorOf(text);
  return [generations, incarnations];
}
