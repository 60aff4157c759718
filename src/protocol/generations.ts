/**
 * The generations in which a leader's phase 1 counted its acceptors, as one word that goes with all it says from then on: so a
 * vote counts for the acceptor of one generation only, though two processes should take themselves for it (PROTOCOL: acceptors
 * that were replaced).
 *
 * Each acceptor has a field of as many bits as 32 allow, 8 at most, the first one lowest: its generation modulo what the field
 * holds. An acceptor of which nothing is known has not been replaced, so it counts as being in its first generation.
 */
const WORD_BITS = 32;
const MOST_BITS = 8;
/** Nobody's generation is named: whoever speaks does not lead, or there are more acceptors than bits. */
export const UNNAMED = -1;

function generationBits(acceptors: number): number {
  return Math.min(MOST_BITS, Math.floor(WORD_BITS / acceptors));
}

/** Whether so many acceptors can be named. */
export function canName(acceptors: number): boolean {
  return generationBits(acceptors) > 0;
}

/** What goes with a leadership in which the acceptors are of these generations. */
export function nameGenerations(generations: Float64Array): number {
  const bits = generationBits(generations.length);
  if (bits === 0) return UNNAMED;
  let named = 0;
  for (let aid = 0; aid < generations.length; aid++) {
    named |= (Math.max(1, generations[aid]!) % 2 ** bits) << (aid * bits);
  }
  return named >>> 0;
}

/**
 * The generation that is named for an acceptor beside its own: 0 the same, or none is named; above 0 it is newer, below 0 older.
 * Half of what a field holds is ahead; where that is one bit everything else is newer.
 */
export function compareGeneration(named: number, aid: number, acceptors: number, own: number): number {
  const bits = generationBits(acceptors);
  if (named < 0 || bits === 0 || own === 0) return 0;
  const size = 2 ** bits;
  const ahead = (((named >>> (aid * bits)) & (size - 1)) - (own % size) + size) % size;
  return ahead <= size / 2 ? ahead : ahead - size;
}
