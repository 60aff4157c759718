/**
 * `kpaxos kv` as its users have it: servers beside a cluster's processes, and commands that are run to their end. Loopback only.
 */
import { join } from "node:path";
import type { ReplicaStatus } from "../../src/api/replica.ts";
import { deviceName } from "../../src/delivery/device_layout.ts";
import { kvSocketPath } from "../../src/kv/place.ts";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import { COMMAND, type TestCluster } from "./cluster.ts";

const END_MS = 30_000;

export interface Said {
  readonly exitCode: number | null;
  readonly stdout: Uint8Array;
  /** Of stdout. */
  readonly text: string;
  readonly stderr: string;
}

/** What `/v1/status` tells. */
export interface KvStatus extends ReplicaStatus {
  readonly keys: number;
}

export class KvShell {
  readonly #cluster: TestCluster;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  /** Starts a server without waiting for it. */
  launch(id: number, args: readonly string[] = []): LabProcess {
    const words = ["kv", "serve", "-f", this.#cluster.configPath, "--id", `${id}`, ...args];
    return this.#cluster.launch(`kv server ${id}`, 0, words);
  }

  async serve(id: number, args: readonly string[] = []): Promise<LabProcess> {
    const server = this.launch(id, args);
    await server.ready();
    return server;
  }

  /** Path of a server's socket. */
  socket(id: number): string {
    return kvSocketPath(join(this.#cluster.directory, "devices"), deviceName("kpaxos", id));
  }

  async status(id: number): Promise<KvStatus> {
    const response = await fetch("http://kv/v1/status", { unix: this.socket(id) });
    return (await response.json()) as KvStatus;
  }

  /** `kpaxos kv` with these words; `stdin`: what is piped into it. */
  async run(words: readonly string[], stdin?: Uint8Array): Promise<Said> {
    const child = Bun.spawn([...COMMAND, "kv", ...words, "-f", this.#cluster.configPath], {
      cwd: this.#cluster.directory,
      stdin: stdin ?? "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: END_MS,
    });
    const [stdout, stderr] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
    return { exitCode: child.exitCode, stdout, text: new TextDecoder().decode(stdout), stderr };
  }

  /** The same; it must succeed. Returns what it printed. */
  async ok(words: readonly string[], stdin?: Uint8Array): Promise<string> {
    const said = await this.run(words, stdin);
    if (said.exitCode !== 0)
      throw new Error(`kv ${words.join(" ")}: exit code ${said.exitCode}\n${said.stderr}`);
    return said.text;
  }
}
