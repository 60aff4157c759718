/**
 * What processes have resident while a client works: looked at each so many values of the client, until it has ended.
 */
import type { LabProcess } from "../ops/lab_process.ts";
import { residentOf } from "./usage.ts";

export interface Resident {
  /** Values that had come back to the client, by what it says once a second (`--json`). */
  readonly values: number;
  /** Of each process, in bytes. */
  readonly bytes: readonly number[];
}

export interface Watch {
  readonly pids: readonly number[];
  readonly client: LabProcess;
  readonly everyValues: number;
  /** Passes a little time. */
  readonly nap: () => Promise<void>;
  readonly found?: (one: Resident) => void;
}

export async function watchResident({ pids, client, everyValues, nap, found }: Watch): Promise<Resident[]> {
  const all: Resident[] = [];
  const lines = client.stdout;
  let [read, values, next] = [0, 0, 0];
  while (client.isRunning) {
    for (; read < lines.length; read++) values += saidIn(lines[read]!);
    if (values >= next) {
      next = values + everyValues;
      const one = { values, bytes: pids.map(residentOf) };
      all.push(one);
      found?.(one);
    }
    await nap();
  }
  return all;
}

/** The first and the last of the second half: what grows without end has grown between them. */
export function secondHalf(all: readonly Resident[]): readonly [Resident, Resident] | undefined {
  const [first, last] = [all[all.length >> 1], all.at(-1)];
  return first === undefined || last === undefined ? undefined : [first, last];
}

/** Values of the second that a line is about; 0: it is about another thing. */
function saidIn(line: string): number {
  if (!line.startsWith('{"second"')) return 0;
  return (JSON.parse(line) as { readonly values: number }).values;
}
