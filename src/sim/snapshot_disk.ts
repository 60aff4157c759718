/**
 * Where a simulated process keeps its snapshots. Writing takes a while, beside the turns; who dies meanwhile has the old one or
 * the new one, whole.
 */
import type { Encoded } from "../delivery/snapshot.ts";
import { decodeSnapshot, encodedOf } from "../delivery/snapshot.ts";
import type { Loaded, SnapshotPlace } from "../delivery/snapshot_file.ts";
import { CliError } from "../error.ts";
import type { Random } from "./random.ts";

const LEAST_US = 1_000;
const MOST_US = 60_000;

export class SnapshotDisk {
  readonly counters = { written: 0, cut: 0 };
  readonly #random: Random;
  readonly #later: (us: number, run: () => void) => void;
  #bytes: Uint8Array | undefined;
  /** What is there covers so much. */
  iid = 0;
  /** Being written. */
  #draft: Uint8Array | undefined;
  #draftIid = 0;

  constructor(random: Random, later: (us: number, run: () => void) => void) {
    this.#random = random;
    this.#later = later;
  }

  get bytes(): Uint8Array | undefined {
    return this.#bytes;
  }

  write({ bytes, iid }: Encoded, done: () => void): void {
    const draft = bytes.slice();
    this.#draft = draft;
    this.#draftIid = iid;
    this.#later(this.#random.between(LEAST_US, MOST_US), () => {
      // Unless its process has died.
      if (this.#draft !== draft) return;
      this.#draft = undefined;
      this.#keep(draft);
      this.counters.written++;
      done();
    });
  }

  /** The process is gone. */
  cut(): void {
    if (this.#draft === undefined) return;
    this.counters.cut++;
    if (this.#random.happens(0.5)) this.#keep(this.#draft);
    this.#draft = undefined;
  }

  #keep(draft: Uint8Array): void {
    this.#bytes = draft;
    this.iid = this.#draftIid;
  }
}

/** One process's view of it. */
export class SimSnapshotPlace implements SnapshotPlace {
  readonly path = "its snapshot";
  written = 0;
  readonly #disk: SnapshotDisk;
  #isWriting = false;

  constructor(disk: SnapshotDisk) {
    this.#disk = disk;
  }

  load(clusterId: number, kind: number): Loaded | undefined {
    const { bytes } = this.#disk;
    if (bytes === undefined) return undefined;
    const snapshot = decodeSnapshot(bytes, clusterId);
    if (typeof snapshot === "string") throw this.refusal(snapshot);
    if (snapshot.kind !== kind) throw this.refusal("it is of another application");
    this.written = snapshot.iid;
    return { snapshot, encoded: encodedOf(snapshot, bytes) };
  }

  refusal(why: string): CliError {
    return new CliError(`${this.path} cannot be used: ${why}`, {});
  }

  write(snapshot: Encoded): boolean {
    if (this.#isWriting) return false;
    this.#isWriting = true;
    const { iid } = snapshot;
    this.#disk.write(snapshot, () => {
      this.#isWriting = false;
      this.written = iid;
    });
    return true;
  }
}
