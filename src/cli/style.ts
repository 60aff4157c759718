/**
 * Colour and wrapping of text meant for people. Colour only on a terminal, and never with NO_COLOR or TERM=dumb.
 */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  /** Columns to wrap at. */
  readonly width: number;
}

interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const PLAIN_WIDTH = 100;
const same = (text: string): string => text;

export const PLAIN: Style = { bold: same, dim: same, red: same, width: PLAIN_WIDTH };

export function styleFor(stream: Terminal, env: Readonly<Record<string, string | undefined>>): Style {
  if (stream.isTTY !== true) return PLAIN;
  const width = Math.max(40, Math.min(PLAIN_WIDTH, stream.columns ?? PLAIN_WIDTH));
  if ((env.NO_COLOR ?? "") !== "" || env.TERM === "dumb") return { ...PLAIN, width };
  const paint = (on: number, off: number) => (text: string) => `\x1b[${on}m${text}\x1b[${off}m`;
  return { bold: paint(1, 22), dim: paint(2, 22), red: paint(31, 39), width };
}

/** Lines of at most `width` columns; a longer word stands alone. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}
