/**
 * TypeScript and C seen without what is not code: comments and the inside of strings become blanks, so that a rule
 * about code is not broken by a sentence. Offsets and line numbers stay.
 */
export interface Scanned {
  /** Comments and contents of strings blanked. */
  readonly code: string;
  /** Only comments blanked. */
  readonly withStrings: string;
}

export function scan(text: string): Scanned {
  const code = text.split("");
  const withStrings = text.split("");
  const blank = (from: number, to: number, comment: boolean): void => {
    for (let i = from; i < to; i++) {
      if (text[i] === "\n") continue;
      code[i] = " ";
      if (comment) withStrings[i] = " ";
    }
  };
  /** Depths of braces at which a template's `${` was opened. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  const template = (from: number): number => {
    let end = from;
    while (end < text.length && text[end] !== "`" && !text.startsWith("${", end))
      end += text[end] === "\\" ? 2 : 1;
    blank(from, end, false);
    if (!text.startsWith("${", end)) return end + 1;
    templates.push(depth);
    depth++;
    return end + 2;
  };
  while (at < text.length) {
    const c = text[at]!;
    if (text.startsWith("//", at) || text.startsWith("/*", at)) {
      const close = text[at + 1] === "/" ? text.indexOf("\n", at) : text.indexOf("*/", at + 2) + 2;
      const end = close < at + 2 ? text.length : close;
      blank(at, end, true);
      at = end;
    } else if (c === '"' || c === "'") {
      const end = endOf(text, at, c);
      blank(at + 1, end - 1, false);
      at = end;
    } else if (c === "`") {
      at = template(at + 1);
    } else if (c === "/" && startsPattern(code, at)) {
      const end = endOfPattern(text, at);
      blank(at, end, false);
      at = end;
    } else if (c === "}" && templates.at(-1) === depth - 1) {
      templates.pop();
      depth--;
      at = template(at + 1);
    } else {
      if (c === "{") depth++;
      if (c === "}") depth--;
      at++;
    }
  }
  return { code: code.join(""), withStrings: withStrings.join("") };
}

function endOf(text: string, start: number, quote: string): number {
  let end = start + 1;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
  return end + 1;
}

/** A slash after a value divides; after anything else it opens a regular expression. */
function startsPattern(code: readonly string[], at: number): boolean {
  let before = at - 1;
  while (before >= 0 && /\s/.test(code[before]!)) before--;
  if (before < 0) return true;
  if (/[\w)\]}"'`$]/.test(code[before]!)) {
    const word = /(?:^|[^\w$])(return|typeof|case|of|in)$/;
    return word.test(code.slice(Math.max(0, before - 8), before + 1).join(""));
  }
  return true;
}

function endOfPattern(text: string, start: number): number {
  let end = start + 1;
  let inClass = false;
  while (end < text.length && text[end] !== "\n" && (inClass || text[end] !== "/")) {
    if (text[end] === "[") inClass = true;
    if (text[end] === "]") inClass = false;
    end += text[end] === "\\" ? 2 : 1;
  }
  return end + 1;
}

export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let i = 0; i < offset; i++) if (text[i] === "\n") line++;
  return line;
}

export interface Body {
  readonly line: number;
  readonly lines: number;
  /** What stands before the brace, in one line. */
  readonly header: string;
}

/** The bodies of functions: blocks whose header is a function's, not a class's, a loop's or an object's. */
export function functionBodies(code: string): Body[] {
  const bodies: Body[] = [];
  const open: number[] = [];
  for (let at = 0; at < code.length; at++) {
    if (code[at] === "{") open.push(at);
    if (code[at] !== "}") continue;
    const start = open.pop();
    if (start === undefined) continue;
    const header = headerOf(code, start);
    if (!isFunction(header)) continue;
    const line = lineOf(code, start);
    bodies.push({ line, lines: lineOf(code, at) - line + 1, header });
  }
  return bodies;
}

function headerOf(code: string, brace: number): string {
  let start = brace - 1;
  let nested = 0;
  while (start >= 0) {
    const c = code[start]!;
    if (c === ")") nested++;
    if (c === "(") nested--;
    // An open bracket that stays open: the block is an argument, its header starts here.
    if (nested < 0) break;
    if (nested === 0 && (c === ";" || c === "{" || c === "}")) break;
    start--;
  }
  return code
    .slice(start + 1, brace)
    .replace(/\s+/g, " ")
    .trim();
}

function isFunction(header: string): boolean {
  if (/=>$/.test(header)) return true;
  if (
    /^(if|for|while|switch|catch|with|else|do|try|class|interface|type|export (class|interface|type))\b/.test(
      header,
    )
  ) {
    return false;
  }
  return /\)( ?:[^=]*)?$/.test(header);
}
