/**
 * What this build calls itself: its release, and the version of native frames it speaks.
 */
import { version } from "../../package.json" with { type: "json" };

export const VERSION: string = version;
export { NATIVE_VERSION as NATIVE_WIRE_VERSION } from "../wire/native_layout.ts";
