/**
 * `kpaxos kv serve` as curl speaks to it: HTTP/1.1 on connections that stay, one request at a time on each.
 */
import { KEYS_PATH } from "../../src/kv/server.ts";
import type { Answered, Connection, Load, Protocol } from "./connection.ts";
import { keyOf } from "./connection.ts";
import { Incoming, Outgoing } from "./outgoing.ts";

const END_OF_HEADERS = "\r\n\r\n";

export function putRequest(key: string, value: Uint8Array): Buffer {
  const head = `PUT ${KEYS_PATH}/${key} HTTP/1.1\r\nhost: kv\r\ncontent-length: ${value.length}${END_OF_HEADERS}`;
  return Buffer.concat([Buffer.from(head), value]);
}

export function getRequest(key: string): Buffer {
  return Buffer.from(`GET ${KEYS_PATH}/${key} HTTP/1.1\r\nhost: kv${END_OF_HEADERS}`);
}

export class HttpConnection implements Connection {
  readonly out = new Outgoing();
  readonly #incoming = new Incoming();
  readonly #answered: Answered;
  readonly #least: number;
  #slot = -1;

  constructor({ operation, valueBytes }: Load, answered: Answered) {
    this.#answered = answered;
    this.#least = operation === "get" ? valueBytes : 1;
  }

  ask(slot: number, message: Uint8Array): void {
    if (this.#slot >= 0) throw new Error("a request is under way on this connection");
    this.#slot = slot;
    this.out.put(message);
  }

  feed(chunk: Uint8Array): void {
    this.#incoming.feed(chunk, (bytes) => {
      const headEnd = bytes.indexOf(END_OF_HEADERS);
      if (headEnd < 0) return 0;
      const head = bytes.toString("latin1", 0, headEnd);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      if (length === undefined) throw new Error(`an answer without content-length: ${head}`);
      const from = headEnd + END_OF_HEADERS.length;
      const end = from + Number(length);
      if (end > bytes.length) return 0;
      const slot = this.#slot;
      this.#slot = -1;
      const isGood = head.startsWith("HTTP/1.1 200") && end - from >= this.#least;
      this.#answered(
        slot,
        isGood ? null : `kpaxos kv: ${head.split("\r\n")[0]}: ${bytes.toString("utf8", from, end)}`,
      );
      return end;
    });
  }
}

export const HTTP: Protocol = {
  messagesOf: ({ operation, keys, valueBytes }) => {
    const value = crypto.getRandomValues(new Uint8Array(valueBytes));
    return Array.from({ length: keys }, (_, i) =>
      operation === "put" ? putRequest(keyOf(i), value) : getRequest(keyOf(i)),
    );
  },
  connect: (load, answered) => new HttpConnection(load, answered),
};
