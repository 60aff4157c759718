/**
 * `kpaxos cluster` as a user types it: a home of its own for the clusters' state, and a mark in the environment by which
 * everything that was started can be found again.
 */
import { randomUUID } from "node:crypto";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterFacts } from "../../src/ops/cluster_facts.ts";
import { type ProcessId, processesWith } from "../../src/ops/process_id.ts";

const NOBODY = 65534;

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RoleView {
  readonly name: string;
  readonly alive: boolean;
  readonly pid: number | null;
  readonly address: string;
  readonly host: string | null;
}

export interface StatusView {
  readonly up: boolean;
  readonly directory: string;
  readonly config: string;
  readonly place: string;
  readonly link: string;
  readonly roles: readonly RoleView[];
  readonly asked: ClusterFacts;
}

/** Why no ordinary user can have a cluster on raw Ethernet here; undefined: one can. */
export function whyNoOrdinaryUser(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can become somebody else";
  if (Bun.which("setpriv") === null) return "the program setpriv is missing";
  const words = [...asNobody(), "unshare", "--user", "--map-root-user", "--net", "--mount", "ip", "link"];
  const tried = Bun.spawnSync(words, { stdout: "ignore", stderr: "pipe" });
  return tried.exitCode === 0 ? undefined : `no user namespaces: ${tried.stderr.toString().trim()}`;
}

function asNobody(): string[] {
  return ["setpriv", "--reuid", `${NOBODY}`, "--regid", `${NOBODY}`, "--clear-groups", "--"];
}

export class ClusterUser {
  readonly home: string;
  readonly #mark: string;
  readonly #argv: readonly string[];
  readonly #env: Readonly<Record<string, string | undefined>>;

  constructor(
    command: readonly string[],
    options: { ordinary?: boolean; env?: Record<string, string> } = {},
  ) {
    this.home = mkdtempSync(join(tmpdir(), "kpaxos-cluster-test-"));
    if (options.ordinary === true) chownSync(this.home, NOBODY, NOBODY);
    this.#argv = [...(options.ordinary === true ? asNobody() : []), ...command];
    this.#mark = randomUUID();
    this.#env = {
      ...process.env,
      HOME: this.home,
      XDG_STATE_HOME: "",
      BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
      CLUSTER_TEST: this.#mark,
      ...options.env,
    };
  }

  spawn(words: readonly string[]) {
    return Bun.spawn([...this.#argv, ...words], {
      cwd: this.home,
      env: this.#env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  async run(...words: string[]): Promise<Ended> {
    const child = this.spawn(words);
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, err };
  }

  /** It must succeed. */
  async ok(...words: string[]): Promise<string> {
    const ended = await this.run(...words);
    if (ended.code !== 0) throw new Error(`${words.join(" ")}: exit ${ended.code}\n${ended.err}${ended.out}`);
    return ended.out;
  }

  async status(...words: string[]): Promise<StatusView> {
    const { out, err } = await this.run("cluster", "status", "--json", ...words);
    if (out === "") throw new Error(err);
    return JSON.parse(out) as StatusView;
  }

  /** Everything alive that it started, whatever has become of its parent. */
  processes(): ProcessId[] {
    return processesWith(`CLUSTER_TEST=${this.#mark}`);
  }

  /** Traces of clusters with this name: files, namespaces, devices. */
  traces(name = "default"): string[] {
    const inDirectory = (directory: string, prefix: string): string[] =>
      existsSync(directory)
        ? readdirSync(directory)
            .filter((entry) => entry.startsWith(prefix))
            .map((entry) => join(directory, entry))
        : [];
    return [
      ...inDirectory(join(this.home, ".local/state/kpaxos/clusters"), ""),
      ...inDirectory("/run/netns", `kpx-${name}-`),
      ...inDirectory("/dev/shm", `kpaxos-${name}-`),
    ];
  }

  /** For the end of a test, however it went. */
  close(): void {
    for (const { pid } of this.processes()) process.kill(pid, "SIGKILL");
    rmSync(this.home, { recursive: true, force: true });
  }
}
