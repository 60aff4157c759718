/**
 * Commands for people to copy.
 */

function quote(word: string): string {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command line as a shell takes it. */
export function shellLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}
