/**
 * What the library refuses of its options before it opens anything: what TypeScript cannot, and JavaScript programs get wrong.
 */
export function checkTimeout(timeoutMs: number): void {
  if (!(timeoutMs > 0)) throw new RangeError(`timeoutMs ${timeoutMs}: a number of milliseconds above 0`);
}

/** It names files. */
export function checkMachineName(name: string): void {
  if (/^[\w.-]{1,64}$/.test(name)) return;
  throw new RangeError(
    `machine.name ${JSON.stringify(name)}: 1 to 64 letters, digits, dots, dashes or underscores`,
  );
}
