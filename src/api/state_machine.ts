/**
 * What an application replicates: a deterministic state machine. Every replica applies the same commands in the same
 * order, so all have the same state; anything that differs from process to process (clocks, random numbers, the order of a
 * hash table filled differently) must stay out of `apply`.
 */

/** Where in the log a command is. */
export interface LogPosition {
  readonly iid: number;
  readonly index: number;
}

export interface StateMachine {
  /** Names the kind of its snapshots: machines of another name never take them. */
  readonly name: string;
  /**
   * Applies a command that was chosen and returns the result for whoever submitted it here. `command` is valid during the call
   * only, and never empty. Must not throw: a command that makes no sense has a result that says so.
   */
  apply(command: Uint8Array, position: LogPosition): Uint8Array;
  /** The whole state, between two commands. */
  snapshot(): Uint8Array;
  /** Replaces the state by that of a snapshot; throws when it is none of this machine's. */
  restore(snapshot: Uint8Array): void;
}

/** How a read is made linearizable; see `Replicated.read`. */
export const READ_MODES = ["log", "confirmed", "local"] as const;
export type ReadMode = (typeof READ_MODES)[number];

/** A running replica of a state machine, as applications use it. */
export interface Replicated {
  /**
   * Has a command chosen and applied here, and resolves with its result. Rejects with an `OutcomeUnknownError` when the command
   * may have been chosen, or may still be, but its result cannot be known here. An empty command is applied by no machine:
   * it does nothing but take its place in the log.
   */
  submit(command: Uint8Array): Promise<Uint8Array>;
  /**
   * Resolves when this replica's state holds everything that was acknowledged to anybody before the call. `log`: by a
   * command of its own in the log; `confirmed`: by asking the leader, which has a quorum confirm that it leads (or holds a
   * lease); `local`: at once, with what is here, however old.
   */
  read(mode: ReadMode): Promise<void>;
}

/** What somebody who waited in vain is told, and why, if that is known. */
export function lateness(what: string, reason: string | undefined): string {
  return reason === undefined ? what : `${what}: ${reason}`;
}

export function lateResult(timeoutMs: number, reason: string | undefined): string {
  return lateness(`no result within ${timeoutMs} ms; the command may still be chosen`, reason);
}

/** A read changes nothing, so its outcome is known. */
export function lateRead(timeoutMs: number, reason: string | undefined): string {
  return lateness(`nothing could be read within ${timeoutMs} ms`, reason);
}

/** The command may have been chosen, or may still be. Submitting it again may apply it twice. */
export class OutcomeUnknownError extends Error {
  override readonly name = "OutcomeUnknownError";
}
