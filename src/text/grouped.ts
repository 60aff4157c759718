/**
 * Numbers for people.
 */

/** The nearest whole number, its digits in groups: 1,234. */
export function grouped(number: number): string {
  return Math.round(number).toLocaleString("en");
}
