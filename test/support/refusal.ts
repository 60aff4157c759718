/**
 * What is thrown where a `CliError`, or any error, has to be.
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

/** What a promise fails with. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => new Error("it resolved"),
    (error: Error) => error,
  );
}

function ours(error: unknown): CliError {
  if (error instanceof CliError) return error;
  throw error;
}
