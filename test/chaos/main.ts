/**
 * `npm run chaos -- [--seconds 120] [--seed N] [--config roles|replicas|kv|all] [--mode minority|power-cut|amnesia|all]
 * [--rate 100] [--udp] [--storage sqlite|log]`: a cluster of real processes that are killed, stopped and cut off from power under load; exit code 0
 * says that nothing was lost, doubled or out of order.
 */
import { parseArgs } from "node:util";
import { BACKENDS } from "../support/storage_model.ts";
import { type ChaosOptions, chaosCommand, runChaos } from "./chaos.ts";
import { MODES, type Mode } from "./mishaps.ts";
import { CONFIGS, type ConfigName } from "./play.ts";
import { runScript, UsageError } from "./script.ts";

interface Wanted {
  readonly configs: readonly ConfigName[];
  readonly modes: readonly Mode[];
  readonly options: Omit<ChaosOptions, "config" | "mode">;
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
      config: { type: "string", default: "roles" },
      mode: { type: "string", default: "minority" },
      rate: { type: "string", default: "100" },
      udp: { type: "boolean", default: false },
      storage: { type: "string", default: "sqlite" },
    },
  });
  const modes = some("mode", values.mode, MODES);
  const configs = some("config", values.config, CONFIGS);
  const options = {
    seconds: positive("seconds", values.seconds),
    seed: positive("seed", values.seed),
    udp: values.udp,
    storage: some("storage", values.storage, BACKENDS)[0]!,
    valuesPerSecond: positive("rate", values.rate),
    say: (line: string) => console.log(line),
  };
  return { configs, modes, options };
}

function some<T extends string>(name: string, wanted: string, all: readonly T[]): readonly T[] {
  const found = wanted === "all" ? all : all.filter((one) => one === wanted);
  if (found.length === 0) throw new UsageError(`--${name} is all or one of ${all.join(", ")}`);
  return found;
}

async function main(): Promise<number> {
  const { configs, modes, options } = readWords();
  let failed = 0;
  for (const config of configs) {
    for (const mode of modes) if (!(await passes({ ...options, config, mode }))) failed++;
  }
  return failed === 0 ? 0 : 1;
}

async function passes(options: ChaosOptions): Promise<boolean> {
  const { config, mode } = options;
  const command = chaosCommand(options);
  console.log(command);
  const report = await runChaos(options);
  const { problems, directory, values, acknowledged, undecided, kills, stops, cuts } = report;
  const isGood = problems.length === 0;
  const proved =
    config === "kv"
      ? "everything that was answered is linearizable"
      : "every acknowledged value is there once, in one order";
  console.log(
    `${config}, ${mode}: ${acknowledged} acknowledged, ${values} in all; ` +
      `${kills} processes killed, ${stops} stopped, ${cuts} power cuts: ${isGood ? proved : "FAILED"}`,
  );
  if (undecided > 0) console.log(`${undecided} keys are not decided: the search for an order was given up`);
  if (isGood) return true;
  for (const problem of problems) console.error(problem);
  console.error(`everything is kept in ${directory}\nagain: ${command}`);
  return false;
}

await runScript(main);
