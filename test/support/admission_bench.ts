/**
 * A proposer's admission with a session filter behind it: what is taken of messages, what is said, what is delivered.
 */
import { expect } from "bun:test";
import { BatchReader, isBatch } from "../../src/protocol/batch.ts";
import { SessionFilter } from "../../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../../src/protocol/learner/session_table.ts";
import { Admission, Judging } from "../../src/protocol/proposer/admission.ts";
import { batchOf, type Entry } from "./entries.ts";
import { peerOf, Recorder } from "./recorder.ts";

export const C0 = peerOf("c0");
export const C1 = peerOf("c1");
export const P1 = peerOf("p1");

export class AdmissionBench {
  readonly outbox = new Recorder();
  readonly filter: SessionFilter;
  readonly admission: Admission;
  iid = 0;

  constructor(sessions = 8) {
    this.filter = new SessionFilter(new SessionTable({ sessions, maxValueBytes: 1024 }), null);
    this.admission = new Admission(this.filter, this.outbox);
  }

  /** An instance with these entries is delivered here. */
  deliver(...entries: Entry[]): void {
    const bytes = batchOf(entries);
    this.iid++;
    expect(this.filter.deliver(this.iid, bytes, 0, bytes.length)).toBe(true);
  }

  /** A message for which there is no room. */
  refuse(entries: Entry[], judging: Judging = Judging.strict, from = C0, isForwarded = false): void {
    const bytes = batchOf(entries);
    this.admission.open(from, bytes, 0, bytes.length, isForwarded, judging);
    expect(this.admission.next()).toBe(true);
    this.admission.refused();
  }

  /** What is taken of a message, run by run, each entry as session/sequence. */
  admit(
    entries: Entry[],
    judging: Judging = Judging.strict,
    from = C0,
    isForwarded = false,
    shortens = true,
  ): string[] {
    const bytes = batchOf(entries, shortens);
    const { admission } = this;
    const runs: string[] = [];
    admission.open(from, bytes, 0, bytes.length, isForwarded, judging);
    while (admission.next()) {
      expect(isBatch(admission.bytes, admission.offset, admission.length)).toBe(true);
      const reader = new BatchReader();
      reader.open(admission.bytes, admission.offset, admission.length);
      const run: string[] = [];
      while (reader.next()) run.push(`${reader.session}/${reader.sequence}`);
      runs.push(run.join(" "));
    }
    return runs;
  }

  said(): string[] {
    this.admission.flush();
    return this.outbox.take();
  }
}

export function values(session: number, first: number, last = first): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => ({ session, sequence: first + i, value: "v" }));
}
