/**
 * The highest ballot a proposer of the Kernel_Paxos wire has used, in a file: the wire has no life, so a restarted
 * proposer must not use a ballot of its former self again. Written before the ballot is used.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { makeDirectoryDurably, syncDirectory } from "../durable.ts";
import { CliError, codeOf, exitCodeOf, messageOf } from "../error.ts";
import type { Ballot } from "../protocol/types.ts";

export class RoundFile {
  readonly path: string;
  readonly #directory: string;

  constructor(directory: string, cluster: string, id: number) {
    this.#directory = directory;
    this.path = join(directory, `${cluster}-proposer-${id}.ballot`);
  }

  /** The highest ballot used by former lives; 0 when the file does not exist yet, but can be made. */
  read(): number {
    let text: string;
    try {
      makeDirectoryDurably(this.#directory);
      accessSync(this.#directory, constants.W_OK);
      text = readFileSync(this.path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return 0;
      throw this.#trouble(error);
    }
    const ballot = Number(text.trim());
    if (Number.isInteger(ballot) && ballot >= 0 && text.trim() !== "") return ballot;
    throw new CliError(`${this.path} does not hold a ballot: ${JSON.stringify(text.slice(0, 40))}`, {
      hint: "write the highest ballot this proposer has ever used into it (or remove it after the whole cluster was stopped)",
    });
  }

  /** Durable when it returns. */
  write(ballot: Ballot): void {
    const draft = `${this.path}.new`;
    try {
      makeDirectoryDurably(this.#directory);
      const fd = openSync(draft, "w", 0o644);
      try {
        writeSync(fd, `${ballot}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(draft, this.path);
      syncDirectory(this.#directory);
    } catch (error) {
      throw this.#trouble(error);
    }
  }

  #trouble(error: unknown): CliError {
    return new CliError(`cannot keep the ballot in ${this.path}: ${messageOf(error)}`, {
      exitCode: exitCodeOf(error),
      hint: "set `state-directory` to a directory this user may write",
      cause: error,
    });
  }
}
