/**
 * A host that speaks frame by frame: a stranger, an acceptor or a proposer that the test plays by hand.
 */
import { join } from "node:path";
import type { LabChild } from "../../src/ops/child.ts";
import { hostMac } from "../../src/ops/lab_names.ts";
import { compileC } from "./compile.ts";
import { until } from "./until.ts";

const SOURCE = join(import.meta.dir, "raw.c");

export interface RawFrame {
  readonly source: string;
  readonly destination: string;
  readonly etherType: number;
  readonly payload: string;
}

export class RawHost {
  /** Everything that arrived, in order. */
  readonly frames: RawFrame[] = [];
  readonly #child: LabChild;
  #ready = false;

  readonly #mac: string;

  /** `spawn` starts a program on host `index`. */
  static async start(index: number, spawn: (argv: readonly string[]) => LabChild): Promise<RawHost> {
    const host = new RawHost(index, spawn([compileC(SOURCE), "eth0"]));
    await until("the raw host listens", () => host.#ready);
    return host;
  }

  private constructor(index: number, child: LabChild) {
    this.#mac = hostMac(index);
    this.#child = child;
    void this.#read();
  }

  async #read(): Promise<void> {
    const { stdout } = this.#child;
    if (!(stdout instanceof ReadableStream)) throw new Error("stdout must be a pipe");
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stdout) {
      const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) this.#keep(line);
    }
  }

  #keep(line: string): void {
    if (line === "ready") {
      this.#ready = true;
      return;
    }
    const [source = "", destination = "", type = "", payload = ""] = line.split(" ");
    this.frames.push({ source, destination, etherType: Number.parseInt(type, 16), payload });
  }

  send(destination: string, etherType: number, payload: string): void {
    const { stdin } = this.#child;
    if (stdin === undefined || typeof stdin === "number") throw new Error("stdin must be a pipe");
    stdin.write(`${destination} ${etherType.toString(16).padStart(4, "0")} ${payload}\n`);
    stdin.flush();
  }

  toHost(host: number, etherType: number, payload: string): void {
    this.send(hostMac(host), etherType, payload);
  }

  /** Payloads that a host has sent us with this EtherType; a bridge also brings frames for others. */
  heard(host: number, etherType: number): string[] {
    return this.frames
      .filter(
        ({ source, destination, etherType: type }) =>
          source === hostMac(host) && destination === this.#mac && type === etherType,
      )
      .map(({ payload }) => payload);
  }

  /** Waits for a frame from a host that was not there at `after` (of `heard`). */
  async next(host: number, etherType: number, after = 0, timeoutMs = 5000): Promise<string> {
    try {
      return await until(
        `a frame ${etherType.toString(16)} from host ${host}`,
        () => this.heard(host, etherType)[after],
        timeoutMs,
      );
    } catch (cause) {
      const last = this.frames.slice(-10).map((frame) => JSON.stringify(frame));
      throw new Error(`heard last:\n${last.join("\n")}`, { cause });
    }
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}
