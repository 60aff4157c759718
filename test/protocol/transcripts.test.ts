/**
 * Runs every transcript of test/testdata/transcripts against the cores. `KPAXOS_REWRITE=1` writes their answers anew.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatTranscript, parseTranscript, runSection } from "../support/transcript.ts";

const FOLDER = join(import.meta.dir, "../testdata/transcripts");

for (const file of readdirSync(FOLDER).sort()) {
  const path = join(FOLDER, file);
  if (process.env.KPAXOS_REWRITE === "1") {
    const old = parseTranscript(readFileSync(path, "utf8"));
    writeFileSync(path, formatTranscript(old.map(runSection)));
  }
  const text = readFileSync(path, "utf8");
  const sections = parseTranscript(text);
  describe(file, () => {
    test("is read without loss", () => expect(formatTranscript(sections)).toBe(text));
    for (const section of sections.filter((s) => s.blocks.length > 0)) {
      test(section.title, () => {
        expect(formatTranscript([runSection(section)])).toBe(formatTranscript([section]));
      });
    }
  });
}
