/**
 * What a client of this folder asks over one connection, whatever it speaks.
 */
import type { Outgoing } from "./outgoing.ts";

/** `problem`: what is wrong with the answer; null: nothing. */
export type Answered = (slot: number, problem: string | null) => void;

export interface Connection {
  readonly out: Outgoing;
  /** Puts a request, as `messagesOf` made it, on its way; its answer is told with the same slot. */
  ask(slot: number, message: Uint8Array): void;
  /** What the server sent. Throws when that is not understood. */
  feed(chunk: Uint8Array): void;
}

export type Operation = "put" | "get";

export interface Load {
  readonly operation: Operation;
  readonly keys: number;
  readonly valueBytes: number;
}

export interface Protocol {
  /** The requests for the keys, in their order. */
  messagesOf(load: Load): Uint8Array[];
  connect(load: Load, answered: Answered): Connection;
}

/** All of one length. */
export function keyOf(index: number): string {
  return `key-${`${index}`.padStart(6, "0")}`;
}
