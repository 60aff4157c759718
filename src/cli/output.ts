/**
 * Data on standard output. The stream and not `console.log`, because Bun's console swallows EPIPE:
 * `kpaxos tail | head -1` would never end.
 */
import { standardOutput } from "../streams.ts";
export function print(line: string): void {
  standardOutput().write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}
