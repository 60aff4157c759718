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
  readonly #out = new Outflow();
  #text = "";

  constructor(json: boolean) {
    this.#json = json;
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
      ? `{"iid":${iid},"index":${index},"session":${session},"sequence":${sequence},"value":"${hex}"}\n`
      : `${iid} ${index} ${session} ${sequence} ${hex}\n`;
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
