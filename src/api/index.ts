/**
 * What programs import as `kpaxos`; docs/library.md says how it is used.
 */
export type { Config, Verbosity } from "../config/config.ts";
export { readConfig } from "../config/read.ts";
export { CliError, ExitCode } from "../error.ts";
export { createLog, type Log, type LogLevel } from "../log.ts";
export { Replica, type ReplicaOptions, type ReplicaStatus } from "./replica.ts";
export {
  type LogPosition,
  OutcomeUnknownError,
  READ_MODES,
  type ReadMode,
  type Replicated,
  type StateMachine,
} from "./state_machine.ts";
