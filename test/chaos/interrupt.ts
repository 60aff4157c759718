/**
 * A script that is interrupted ends by way of `exit`, where what it has started is ended and removed.
 */
import { constants } from "node:os";

export function exitOnSignals(): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => process.exit(128 + constants.signals[name]));
  }
}
