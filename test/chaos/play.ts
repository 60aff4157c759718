/**
 * What is played under chaos, whatever befalls its processes: who takes part, the load, and in the end the judgement.
 */
import type { Player } from "./players.ts";

/** Roles as processes of their own; replicas of all three; replicas with a key-value store. */
export type ConfigName = "roles" | "replicas" | "kv";
export const CONFIGS: readonly ConfigName[] = ["roles", "replicas", "kv"];

export const CLIENTS = 3;
/** All that was asked for has to be there in this time, once all runs again. */
export const SETTLE_MS = 25_000;

export interface LoadOptions {
  /** Of each of the clients. */
  readonly valuesPerSecond: number;
  readonly seed: number;
}

export interface Play {
  /** Whom mishaps may befall; all run when mishaps begin. */
  readonly players: readonly Player[];
  /** Values or writes that were acknowledged, and all that are in the log or were answered. */
  readonly acknowledged: number;
  readonly values: number;
  /** Keys of which it could not be decided whether what was answered is linearizable. */
  readonly undecided: number;
  /** Starts the load, and waits until there is something to lose. */
  begin(): Promise<void>;
  /** All run again: everything asked for has to come, to a newcomer, too. */
  settle(note: (text: string) => void): Promise<void>;
  /** Ends the load at once; who ends from now on is no problem. */
  dismiss(): void;
  /** Once all have ended: everything that is wrong. */
  judge(): readonly string[];
  problem(text: string): void;
  /** Everything that happened, for people. */
  write(directory: string): void;
}
