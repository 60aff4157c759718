/**
 * The order in a pair of the floor and kpaxos. It changes from round to round: a machine that becomes slower, or faster, favours neither.
 */

/** `round`: from 1 on. The floor goes first in odd ones. */
export async function inTurns<Floor, Ours>(
  round: number,
  floor: () => Promise<Floor>,
  ours: () => Promise<Ours>,
): Promise<{ readonly floor: Floor; readonly ours: Ours }> {
  if (round % 2 === 1) {
    const first = await floor();
    return { floor: first, ours: await ours() };
  }
  const first = await ours();
  return { floor: await floor(), ours: first };
}
