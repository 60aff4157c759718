/**
 * The word that was probably meant: for unknown flags, subcommands and configuration keys. Compares without
 * regard to case. Never guesses wildly: a candidate further away than about a third of its length is no hint.
 */

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`. */
export function distance(a: string, b: string): number {
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  for (let i = 0; i <= a.length; i++) table[i * width] = i;
  for (let j = 0; j <= b.length; j++) table[j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const here = i * width + j;
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(table[here - width]! + 1, table[here - 1]! + 1);
      best = Math.min(best, table[here - width - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, table[here - 2 * width - 2]! + 1);
      }
      table[here] = best;
    }
  }
  return table[a.length * width + b.length]!;
}

/** The nearest candidate, the first of equals; undefined when none is near. */
export function nearest(
  word: string,
  candidates: Iterable<string>,
  maxDistance: number = Math.max(1, Math.ceil(word.length / 3)),
): string | undefined {
  // Long garbage is never a typing slip, and the table above is quadratic.
  if (word.length > 64) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = maxDistance + 1;
  for (const candidate of candidates) {
    const d = distance(lower, candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}
