/**
 * What an acceptor's birth is told, and what comes of it.
 */
import type { Life } from "../types.ts";

/** How an acceptor has come to vote. */
export type Voice = "kept" | "born" | "alone" | "recovered";

export interface BirthOptions {
  readonly aid: number;
  readonly acceptors: number;
  readonly life: Life;
  /** Votes without asking anybody, at generation 1. */
  readonly alone: boolean;
  /** What it holds survives its process: it is not given up without being asked. */
  readonly durable: boolean;
  /** So long it waits for a word of a twin that lives, before others are told of a new generation; unless given not at all. */
  readonly listenUs?: number | undefined;
  /** Uniform in 0…1; the simulator seeds it. */
  readonly random: () => number;
}
