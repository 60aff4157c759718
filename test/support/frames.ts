/**
 * Numbered raw frames between hosts of a laboratory: what was sent, what arrived, in which order.
 */
import { join } from "node:path";
import { compileC } from "./compile.ts";
import type { Lab } from "./lab.ts";
import { until } from "./until.ts";

const SOURCE = join(import.meta.dir, "frames.c");
export const ETHERTYPE = "88b5";
export const BROADCAST = "ff:ff:ff:ff:ff:ff";
export const MULTICAST = "03:4b:50:00:00:00";

export interface Arrivals {
  /** The numbers in order of arrival. */
  readonly numbers: number[];
  damaged: number;
  /** Resolves to the same numbers once `count` frames came or the time is up. */
  readonly finished: Promise<number[]>;
}

/** Starts listening on host `index`; resolves when nothing can be missed any more. */
export async function listen(lab: Lab, index: number, count: number, seconds = 10): Promise<Arrivals> {
  const host = lab.hosts[index]!;
  const child = lab.spawn(
    index,
    [compileC(SOURCE), "receive", host.interface, ETHERTYPE, `${count}`, `${seconds}`],
    {
      stderr: "inherit",
    },
  );
  const stdout = child.stdout;
  if (!(stdout instanceof ReadableStream)) throw new Error("stdout must be a pipe");
  const numbers: number[] = [];
  let ready = false;
  const read = async (arrivals: { damaged: number }): Promise<number[]> => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stdout) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "ready") {
          ready = true;
          continue;
        }
        numbers.push(Number.parseInt(line, 10));
        if (line.endsWith("damaged")) arrivals.damaged++;
      }
    }
    return numbers;
  };
  const arrivals = { numbers, damaged: 0, finished: Promise.resolve(numbers) };
  arrivals.finished = read(arrivals);
  await until("the receiver is ready", () => ready);
  return arrivals;
}

/** Sends `count` frames numbered from `first`, about 32 a millisecond. */
export function send(lab: Lab, index: number, destination: string, count: number, first = 0): void {
  const host = lab.hosts[index]!;
  const argv = [compileC(SOURCE), "send", host.interface, destination, ETHERTYPE, `${first}`, `${count}`];
  const result = lab.exec(index, argv);
  if (result.exitCode !== 0) throw new Error(`frames send: ${result.stderr}`);
}
