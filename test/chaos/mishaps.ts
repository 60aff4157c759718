/**
 * What befalls the processes of a cluster, drawn from a seed: kill -9 and a later start, SIGSTOP for a while, and all of
 * them killed at once. The draws are the same for the same seed; what the machine makes of them is not.
 *
 * Invariant: of the acceptors never more than a minority is down, stopped or recovering at once, but for a power cut.
 */
import type { Player } from "./players.ts";

export type Mode = "minority" | "power-cut" | "amnesia";
export const MODES: readonly Mode[] = ["minority", "power-cut", "amnesia"];

const LONGEST_PAUSE_MS = 700;
const LONGEST_DOWN_MS = 1500;
const LONGEST_STOP_MS = 3000;
const LONGEST_BETWEEN_CUTS_MS = 4000;
const STOP_SHARE = 0.3;
/** An acceptor that has forgotten everything must have recovered in this time. */
const RECOVERY_MS = 30_000;
const VOTES = /: votes:/;

export class Mishaps {
  kills = 0;
  stops = 0;
  cuts = 0;
  readonly #players: readonly Player[];
  readonly #random: () => number;
  readonly #mode: Mode;
  readonly #note: (text: string) => void;
  readonly #problem: (text: string) => void;
  readonly #busy = new Map<Player, Promise<void>>();
  /** Ends all pauses at once; true: whoever paused goes on with what it was to do. */
  readonly #wake = new Set<(goOn: boolean) => void>();
  #isOver = false;

  constructor(
    players: readonly Player[],
    mode: Mode,
    random: () => number,
    note: (text: string) => void,
    problem: (text: string) => void,
  ) {
    this.#players = players;
    this.#mode = mode;
    this.#random = random;
    this.#note = note;
    this.#problem = problem;
  }

  /** Plays until the time is up, then mends everything: all run when it returns. */
  async play(milliseconds: number): Promise<void> {
    const endMs = performance.now() + milliseconds;
    let cutMs = this.#nextCut();
    while (performance.now() < endMs) {
      await Bun.sleep(this.#random() * LONGEST_PAUSE_MS);
      if (performance.now() >= cutMs) {
        await this.#cut();
        cutMs = this.#nextCut();
      } else {
        this.#befall();
      }
    }
    this.#isOver = true;
    this.#endPauses(true);
    await Promise.all(this.#busy.values());
  }

  #nextCut(): number {
    const between = (0.4 + 0.6 * this.#random()) * LONGEST_BETWEEN_CUTS_MS;
    return this.#mode === "power-cut" ? performance.now() + between : Number.POSITIVE_INFINITY;
  }

  /** All at once, and up again in any order. */
  async #cut(): Promise<void> {
    for (const player of this.#players) player.kill();
    this.cuts++;
    this.#note(`power cut ${this.cuts}`);
    this.#endPauses(false);
    await Promise.all(this.#busy.values());
    await Promise.all([
      this.#pause(this.#random() * LONGEST_DOWN_MS),
      ...this.#players.map((player) => player.process!.exited),
    ]);
    for (const player of this.#shuffled()) player.start();
  }

  #shuffled(): Player[] {
    const list = [...this.#players];
    for (let at = list.length - 1; at > 0; at--) {
      const other = Math.floor(this.#random() * (at + 1));
      [list[at], list[other]] = [list[other]!, list[at]!];
    }
    return list;
  }

  #befall(): void {
    // Always the same number of draws, so that a seed means the same plan whoever is free to suffer it.
    const player = this.#players[Math.floor(this.#random() * this.#players.length)]!;
    const isStop = this.#random() < STOP_SHARE;
    const forMs = this.#random() * (isStop ? LONGEST_STOP_MS : LONGEST_DOWN_MS);
    if (this.#busy.has(player) || !player.isUp || !this.#maySuffer(player)) return;
    const doing = (isStop ? this.#stop(player, forMs) : this.#kill(player, forMs))
      .catch((error: unknown) => this.#problem(`liveness: ${String(error)}`))
      .finally(() => this.#busy.delete(player));
    this.#busy.set(player, doing);
  }

  #maySuffer(player: Player): boolean {
    if (!player.votes) return true;
    const acceptors = this.#players.filter((one) => one.votes);
    const away = acceptors.filter((one) => this.#busy.has(one) || !one.isUp).length;
    return 2 * (away + 1) < acceptors.length;
  }

  async #stop(player: Player, forMs: number): Promise<void> {
    player.stop();
    this.stops++;
    this.#note(`${player.name} stopped for ${Math.round(forMs)} ms`);
    if (await this.#pause(forMs)) player.goOn();
  }

  async #kill(player: Player, forMs: number): Promise<void> {
    player.kill();
    this.kills++;
    this.#note(`${player.name} killed, down for ${Math.round(forMs)} ms`);
    const goesOn = await this.#pause(forMs);
    await player.process!.exited;
    if (!goesOn) return;
    const life = player.start();
    // Until it votes again it counts as lost.
    if (player.votes && this.#mode === "amnesia") await life.waitForLine(VOTES, RECOVERY_MS);
  }

  /** Sleeps, but no longer than the mishaps last; false: a power cut came, and there is nobody left to go on with. */
  async #pause(milliseconds: number): Promise<boolean> {
    if (this.#isOver) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(true), milliseconds);
    this.#wake.add(resolve);
    const goOn = await promise;
    this.#wake.delete(resolve);
    clearTimeout(timer);
    return goOn;
  }

  #endPauses(goOn: boolean): void {
    for (const wake of this.#wake) wake(goOn);
  }
}
