/**
 * What a quorum's commits take where as many processes commit at once on one disk as a cluster on it has acceptors. Each is a
 * process of this very program, with a storage of its own in the backend that is measured.
 *
 * Invariant: after `close` nothing runs any more; what this process leaves behind when it is killed ends by itself.
 */
import { join } from "node:path";
import { CliError, codeOf } from "../error.ts";
import { diesWithUs } from "../ops/child.ts";
import { selfCommand } from "../ops/lab_capability.ts";
import { type Ending, how, LabProcess } from "../ops/lab_process.ts";
import { readTold, sharedClock, type Told } from "./commit_when_told.ts";
import type { DiskBackend } from "./committer.ts";
import { QuorumRounds } from "./quorum_rounds.ts";

const END_MS = 10_000;
/** Of what two processes read at once. */
const CLOCK_ERROR_MS = 0.1;
const ONE = new Uint8Array(1);

class Party {
  readonly process: LabProcess;
  readonly #input: { write(bytes: Uint8Array): unknown; flush(): unknown; end(): unknown };

  /** `ended`: told what went wrong, should it end; and again when it is to end. */
  constructor(
    name: string,
    argv: readonly string[],
    told: (told: Told) => void,
    ended: (error: unknown) => void,
  ) {
    const child = Bun.spawn(diesWithUs(argv), {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      // Ctrl-C at our terminal is for us, who then end it.
      detached: true,
    });
    this.#input = child.stdin;
    const decoder = new TextDecoder();
    let rest = "";
    const onStdout = (chunk: Uint8Array): void => {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) told(readTold(line));
    };
    this.process = new LabProcess(name, argv, child, { onStdout });
    this.process.exited.then((ending) => ended(this.#ended(ending)), ended);
  }

  tell(): void {
    try {
      this.#input.write(ONE);
      this.#input.flush();
    } catch (error) {
      // It has ended: `ended` is told how.
      if (codeOf(error) !== "EPIPE") throw error;
    }
  }

  async end(): Promise<void> {
    this.#input.end();
    const ending = await this.process.ending(END_MS);
    if (ending.exitCode !== 0) throw this.#ended(ending);
  }

  #ended(ending: Ending): CliError {
    return new CliError(`${this.process.name} ended${how(ending)}:\n${this.process.tail()}`);
  }
}

export class CommittingQuorum {
  readonly #acceptors: number;
  readonly #parties: Party[] = [];
  readonly #rounds: QuorumRounds;
  #ready = 0;
  /** A time was told that our clock had yet to reach. */
  #isAhead = false;
  /** Of the first that ended; undefined: all run. */
  #failure: unknown;
  #heard: () => void = () => undefined;

  constructor(acceptors: number) {
    this.#acceptors = acceptors;
    this.#rounds = new QuorumRounds(acceptors);
  }

  /** Each has a directory of its own in this one. Resolves when all are ready; from then on they are idle until they are told. */
  async start(backend: DiskBackend, directory: string): Promise<void> {
    for (let id = 0; id < this.#acceptors; id++) {
      const words = ["bench", "commit", "--when-told", "--storage", backend];
      const argv = [...selfCommand(), ...words, "--storage-path", join(directory, `${id}`)];
      const party = new Party(
        `process ${id} that commits`,
        argv,
        (told) => this.#told(id, told),
        (error) => this.#ended(error),
      );
      this.#parties.push(party);
    }
    await this.#until(() => this.#ready === this.#acceptors);
  }

  /** So many rounds one after the other. Resolves when nobody commits any more. */
  async commit(rounds: number): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      this.#rounds.tell(sharedClock());
      for (const party of this.#parties) party.tell();
      await this.#until(() => this.#rounds.isOver);
    }
    await this.#until(() => this.#rounds.isDoneByAll);
  }

  /** Ends all. Of each round, from before the first is told until a majority was done, in microseconds. */
  async end(): Promise<number[]> {
    await Promise.all(this.#parties.map((party) => party.end()));
    const { timesUs } = this.#rounds;
    if (this.#isAhead || timesUs.some((us) => us < 0))
      throw new CliError("the system's clock was set while commits were measured", {
        hint: "measure again",
      });
    return timesUs;
  }

  /** However it went: nothing runs any more. */
  async close(): Promise<void> {
    for (const { process } of this.#parties) process.kill("SIGKILL");
    await Promise.allSettled(this.#parties.map(({ process }) => process.exited));
  }

  /** Resolves with the line of a party after which it is so; rejects when one ends. */
  async #until(isSo: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#heard = () => {
      if (this.#failure !== undefined) reject(this.#failure);
      else if (isSo()) resolve();
    };
    this.#heard();
    await promise;
  }

  #ended(error: unknown): void {
    this.#failure ??= error;
    this.#heard();
  }

  #told(id: number, { records, atMs }: Told): void {
    this.#isAhead ||= atMs > sharedClock() + CLOCK_ERROR_MS;
    if (records === 0) this.#ready++;
    else this.#rounds.done(id, records, atMs);
    this.#heard();
  }
}
