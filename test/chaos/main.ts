/**
 * `npm run chaos -- [--seconds 120] [--seed N] [--mode minority|power-cut|amnesia|all] [--rate 100] [--udp]`: a cluster of
 * real processes that are killed, stopped and cut off from power under load; exit code 0 says that nothing was lost,
 * doubled or out of order.
 */
import { parseArgs } from "node:util";
import { type ChaosOptions, chaosCommand, runChaos } from "./chaos.ts";
import { exitOnSignals } from "./interrupt.ts";
import { MODES, type Mode } from "./mishaps.ts";

class UsageError extends Error {}

interface Wanted {
  readonly modes: readonly Mode[];
  readonly options: Omit<ChaosOptions, "mode">;
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (text === "" || !(number > 0)) throw new UsageError(`--${name} ${text} is not a positive number`);
  return number;
}

function readWords(): Wanted {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "120" },
      seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31) + 1}` },
      mode: { type: "string", default: "minority" },
      rate: { type: "string", default: "100" },
      udp: { type: "boolean", default: false },
    },
  });
  const modes = values.mode === "all" ? MODES : MODES.filter((mode) => mode === values.mode);
  if (modes.length === 0) throw new UsageError(`--mode is all or one of ${MODES.join(", ")}`);
  const options = {
    seconds: positive("seconds", values.seconds),
    seed: positive("seed", values.seed),
    udp: values.udp,
    valuesPerSecond: positive("rate", values.rate),
    say: (line: string) => console.log(line),
  };
  return { modes, options };
}

async function main(): Promise<number> {
  const { modes, options } = readWords();
  let failed = 0;
  for (const mode of modes) {
    const command = chaosCommand({ ...options, mode });
    console.log(command);
    const { problems, directory, values, acknowledged, kills, stops, cuts } = await runChaos({
      ...options,
      mode,
    });
    console.log(
      `${mode}: ${acknowledged} values acknowledged, ${values} delivered; ` +
        `${kills} processes killed, ${stops} stopped, ${cuts} power cuts: ` +
        `${problems.length === 0 ? "every acknowledged value is there once, in one order" : "FAILED"}`,
    );
    if (problems.length === 0) continue;
    failed++;
    for (const problem of problems) console.error(problem);
    console.error(`everything is kept in ${directory}\nagain: ${command}`);
  }
  return failed === 0 ? 0 : 1;
}

exitOnSignals();
try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}
