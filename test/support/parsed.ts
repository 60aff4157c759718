/**
 * A configuration from its text, which must be right.
 */
import type { Config } from "../../src/config/config.ts";
import { type Overrides, parseConfig } from "../../src/config/parse.ts";
import { formatDiagnostic } from "../../src/config/report.ts";

export function parsed(text: string, overrides: Overrides = {}): Config {
  const { config, diagnostics } = parseConfig(text, "f", overrides);
  if (config === undefined) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  return config;
}
