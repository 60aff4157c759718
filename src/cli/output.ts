/**
 * Data on standard output. `process.stdout.write` and not `console.log`, because Bun's console swallows EPIPE:
 * `kpaxos tail | head -1` would never end.
 */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}
