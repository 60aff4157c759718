/**
 * Text → lines of words with their places. Knows the outer form of a `paxos.conf` (comments, blanks, line ends, byte
 * order mark) and no key. Total: any text has lines.
 */
export interface Word {
  readonly text: string;
  /** From 1, in characters of the line. */
  readonly column: number;
}

export interface Line {
  /** From 1. */
  readonly number: number;
  /** At least one. */
  readonly words: readonly Word[];
  /** All after the first word, inner blanks kept; "" when there is nothing. */
  readonly rest: string;
  readonly restColumn: number;
}

export interface Lines {
  /** Those with at least one word. */
  readonly lines: readonly Line[];
  /** Number of the last line, for what is missing from the file as a whole. */
  readonly lastNumber: number;
}

export function splitLines(text: string): Lines {
  // CRLF, LF, and the lone CR of old editors.
  const all = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  if (all.length > 1 && all.at(-1) === "") all.pop();
  const lines: Line[] = [];
  for (const [i, raw] of all.entries()) {
    const line = readLine(raw, i + 1);
    if (line !== undefined) lines.push(line);
  }
  return { lines, lastNumber: all.length };
}

function readLine(raw: string, number: number): Line | undefined {
  const hash = raw.indexOf("#");
  const text = (hash < 0 ? raw : raw.slice(0, hash)).trimEnd();
  const words: Word[] = [];
  for (const match of text.matchAll(/\S+/g)) words.push({ text: match[0], column: match.index + 1 });
  const first = words[0];
  if (first === undefined) return undefined;
  const firstEnd = first.column - 1 + first.text.length;
  const restColumn = words[1]?.column ?? firstEnd + 1;
  return { number, words, rest: text.slice(restColumn - 1), restColumn };
}
