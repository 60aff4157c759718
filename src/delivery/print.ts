/**
 * Prints delivered values on standard output, a line each. Output that nobody reads is back-pressure: the learner waits,
 * nothing is dropped.
 */
import type { Extra } from "../node/roles.ts";
import type { ValueSink } from "./applications.ts";
import { Outflow } from "./outflow.ts";

const FLUSH_BYTES = 1 << 16;

export class PrintSink implements ValueSink, Extra {
  readonly #json: boolean;
  /** Before each line: whose values they are, where that is a question. */
  readonly #whose: string;
  readonly #out = new Outflow();
  #text = "";

  /** `group`: of a learner of several groups. */
  constructor(json: boolean, group?: number) {
    this.#json = json;
    this.#whose = group === undefined ? "" : json ? `"group":${group},` : `${group} `;
  }

  take(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    if (this.#out.isFull) return false;
    const hex = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString("hex");
    this.#text += this.#json
      ? `{${this.#whose}"iid":${iid},"index":${index},"session":${session},"sequence":${sequence},"value":"${hex}"}\n`
      : `${this.#whose}${iid} ${index} ${session} ${sequence} ${hex}\n`;
    if (this.#text.length >= FLUSH_BYTES) this.flush();
    return true;
  }

  pump(): boolean {
    this.flush();
    return false;
  }

  flush(): void {
    if (this.#text === "") return;
    this.#out.write(this.#text);
    this.#text = "";
  }
}
