/**
 * A guest: a process that only comes to ask or to hand something in. What `paxos.conf` says of the processors and the priority of
 * the cluster's processes is not meant for it; its own flags and environment are. Pure.
 */
import type { Config, Settings } from "./config.ts";

const AS_STARTED = {
  cpu: "",
  scheduling: "normal",
  busyPoll: false,
  keepAwake: false,
} as const satisfies Partial<Settings>;

export function asGuest(config: Config): Config {
  const left = Object.entries(AS_STARTED).filter(([field]) => {
    const { from } = config.origins[field as keyof typeof AS_STARTED];
    return from === "file" || from === "default";
  });
  return { ...config, settings: { ...config.settings, ...Object.fromEntries(left) } };
}
