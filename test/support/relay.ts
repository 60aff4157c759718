/**
 * A laboratory whose hub is `relay.c`: real Ethernet frames, lost, doubled, reordered, delayed and cut on command.
 */
import { join } from "node:path";
import type { LabChild } from "../../src/ops/child.ts";
import { compileC } from "./compile.ts";
import { Lab, type LabOptions } from "./lab.ts";

const SOURCE = join(import.meta.dir, "relay.c");

/** Percentages are per frame and receiver, so a multicast may reach some and miss others. */
export interface Faults {
  readonly loss?: number;
  readonly dup?: number;
  readonly corrupt?: number;
  readonly reorder?: number;
  readonly delayMs?: readonly [min: number, max: number];
  /** False: what is several frames in one goes nowhere. */
  readonly bundles?: boolean;
}

export interface RelayStats {
  readonly seed: number;
  readonly ports: readonly { readonly name: string; readonly rx: number; readonly tx: number }[];
  readonly rx: number;
  readonly tx: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly corrupted: number;
  readonly reordered: number;
  readonly delayed: number;
  readonly partitioned: number;
  readonly txFailed: number;
  readonly overflowed: number;
  readonly kernelDropped: number;
  readonly held: number;
  /** What passed that was several frames in one. */
  readonly bundles: number;
}

export class Relay {
  readonly #child: LabChild;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";
  /** Commands are answered in order; this is the last one's turn. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(child: LabChild) {
    if (!(child.stdout instanceof ReadableStream)) throw new Error("the relay's stdout must be a pipe");
    this.#child = child;
    this.#chunks = child.stdout[Symbol.asyncIterator]();
  }

  static async start(lab: Lab, seed: number): Promise<Relay> {
    const child = lab.spawnInHub([compileC(SOURCE), "--seed", `${seed}`, ...lab.ports], {
      stdin: "pipe",
      stderr: "inherit",
    });
    const relay = new Relay(child);
    const first = await relay.#line();
    if (first !== "ready") throw new Error(`the relay did not start: ${first}`);
    return relay;
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error(`the relay ended, exit code ${await this.#child.exited}`);
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  #ask(command: string): Promise<string> {
    const answer = this.#turn.then(() => {
      const stdin = this.#child.stdin;
      if (stdin === undefined || typeof stdin === "number")
        throw new Error("the relay's stdin must be a pipe");
      stdin.write(`${command}\n`);
      stdin.flush();
      return this.#line();
    });
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  /** Takes effect before the promise resolves. */
  async command(command: string): Promise<void> {
    const answer = await this.#ask(command);
    if (answer !== "ok") throw new Error(`relay: ${answer}`);
  }

  async set(faults: Faults): Promise<void> {
    const { loss, dup, corrupt, reorder, delayMs, bundles } = faults;
    if (loss !== undefined) await this.command(`loss ${loss}`);
    if (dup !== undefined) await this.command(`dup ${dup}`);
    if (corrupt !== undefined) await this.command(`corrupt ${corrupt}`);
    if (bundles !== undefined) await this.command(`bundles ${bundles ? "on" : "off"}`);
    if (reorder !== undefined) await this.command(`reorder ${reorder}`);
    if (delayMs !== undefined) await this.command(`delay ${delayMs[0]} ${delayMs[1]}`);
  }

  partition(a: number, b: number): Promise<void> {
    return this.command(`partition ${a} ${b}`);
  }

  oneway(from: number, to: number): Promise<void> {
    return this.command(`oneway ${from} ${to}`);
  }

  /** Ends partitions; other faults stay. */
  heal(): Promise<void> {
    return this.command("heal");
  }

  /** Ends all faults. */
  clear(): Promise<void> {
    return this.command("clear");
  }

  async stats(): Promise<RelayStats> {
    return JSON.parse(await this.#ask("stats")) as RelayStats;
  }

  /** Ends it and returns its exit code. */
  async stop(signal: "SIGTERM" | "EOF" = "SIGTERM"): Promise<number> {
    const stdin = this.#child.stdin;
    if (signal === "SIGTERM") this.#child.kill("SIGTERM");
    else if (stdin !== undefined && typeof stdin !== "number") stdin.end();
    return await this.#child.exited;
  }
}

export interface RelayLab {
  readonly lab: Lab;
  readonly relay: Relay;
  close(): void;
}

/** A laboratory whose hosts are joined by a relay. Closing the laboratory ends the relay too. */
export async function createRelayLab(
  options: Omit<LabOptions, "bridge"> & { readonly seed?: number; readonly faults?: Faults },
): Promise<RelayLab> {
  const lab = Lab.create({ ...options, bridge: false });
  try {
    const relay = await Relay.start(lab, options.seed ?? 1);
    await relay.set(options.faults ?? {});
    return { lab, relay, close: () => lab.close() };
  } catch (error) {
    lab.close();
    throw error;
  }
}
