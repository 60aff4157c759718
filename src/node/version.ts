/**
 * What this build calls itself: the release, and where it runs.
 */
import { version } from "../../package.json" with { type: "json" };

export const VERSION: string = version;
/** The version byte of native frames this build speaks. */
export const NATIVE_WIRE_VERSION = 1;
