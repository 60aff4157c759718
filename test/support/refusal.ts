/**
 * What is thrown where a `CliError` has to be.
 */
import { CliError } from "../../src/error.ts";

export function errorOf(body: () => unknown): CliError {
  try {
    body();
  } catch (error) {
    return ours(error);
  }
  throw new Error("a CliError was expected");
}

export async function errorOfAsync(body: () => Promise<unknown>): Promise<CliError> {
  try {
    await body();
  } catch (error) {
    return ours(error);
  }
  throw new Error("a CliError was expected");
}

function ours(error: unknown): CliError {
  if (error instanceof CliError) return error;
  throw error;
}
