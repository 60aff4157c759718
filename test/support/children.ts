/**
 * Programs that are started for a test, and are ended together.
 */
import { diesWithUs, type LabChild } from "../../src/ops/child.ts";

export interface SpawnOptions {
  readonly stdin?: "pipe" | "ignore";
  readonly stdout?: "pipe" | "ignore" | "inherit";
  readonly stderr?: "pipe" | "ignore" | "inherit";
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

export class Children {
  readonly #running = new Set<LabChild>();

  spawn(argv: readonly string[], options: SpawnOptions): LabChild {
    const child = Bun.spawn(diesWithUs(argv), {
      stdin: options.stdin ?? "ignore",
      stdout: options.stdout ?? "pipe",
      stderr: options.stderr ?? "pipe",
      env: { ...process.env, ...options.env },
      // A group of its own: Ctrl-C at our terminal is for us, who then end it in order.
      detached: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.#running.add(child);
    child.exited.then(() => this.#running.delete(child));
    return child;
  }

  kill(): void {
    for (const child of this.#running) child.kill("SIGKILL");
    this.#running.clear();
  }
}
