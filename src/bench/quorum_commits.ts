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
  /** Rejects when it ends. */
  readonly failure: Promise<never>;
  readonly #input: { write(bytes: Uint8Array): unknown; flush(): unknown; end(): unknown };

  constructor(name: string, argv: readonly string[], told: (told: Told) => void) {
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
    this.failure = this.process.exited.then((ending) => {
      throw this.#ended(ending);
    });
    // Whoever waits for it hears of its end; later it is to end.
    this.failure.catch(() => undefined);
  }

  tell(): void {
    try {
      this.#input.write(ONE);
      this.#input.flush();
    } catch (error) {
      // It has ended: `failure` says how.
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
  readonly #parties: Party[] = [];
  readonly #rounds: QuorumRounds;
  #ready = 0;
  /** A time was told that our clock had yet to reach. */
  #isAhead = false;
  #heard: () => void = () => undefined;

  constructor(acceptors: number) {
    this.#rounds = new QuorumRounds(acceptors);
  }

  /** Each has a directory of its own in this one. Resolves when all are ready; from then on they are idle until they are told. */
  async start(backend: DiskBackend, directory: string, acceptors: number): Promise<void> {
    for (let id = 0; id < acceptors; id++) {
      const words = ["bench", "commit", "--when-told", "--storage", backend];
      const argv = [...selfCommand(), ...words, "--storage-path", join(directory, `${id}`)];
      this.#parties.push(new Party(`process ${id} that commits`, argv, (told) => this.#told(id, told)));
    }
    await this.#until(() => this.#ready === acceptors);
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

  /** Ends all. Of each round, from when all were told until a majority was done, in microseconds. */
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

  /** Resolves with the line of a party after which it is so. */
  async #until(isSo: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#heard = () => {
      if (isSo()) resolve();
    };
    this.#heard();
    await Promise.race([promise, ...this.#parties.map(({ failure }) => failure)]);
  }

  #told(id: number, { records, atMs }: Told): void {
    this.#isAhead ||= atMs > sharedClock() + CLOCK_ERROR_MS;
    if (records === 0) this.#ready++;
    else this.#rounds.done(id, records, atMs);
    this.#heard();
  }
}
