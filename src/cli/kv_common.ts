/**
 * What the client commands of `kpaxos kv` share: finding a server, the shape of keys and values, and what is printed.
 */
import { READ_MODES } from "../api/state_machine.ts";
import type { Config } from "../config/config.ts";
import { configsOfGroups } from "../config/groups.ts";
import { deviceDirectories } from "../delivery/device_directory.ts";
import { deviceName } from "../delivery/device_layout.ts";
import { CliError, ExitCode } from "../error.ts";
import { KvClient } from "../kv/client.ts";
import { findKvSockets, isAnswered, kvSocketPath } from "../kv/place.ts";
import { usageError } from "./args.ts";
import type { ArgsDef, ArgValues } from "./command.ts";
import { groupArg, start, startAll } from "./run_common.ts";
import { fileArg, settingArgs } from "./settings.ts";

export const placeArgs = {
  url: { type: "string", valueHint: "URL", description: "a server elsewhere: http://HOST:PORT" },
  id: {
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    description: "the server of this replica on this host",
  },
  timeout: { type: "number", min: 0.1, default: 10, description: "give up after so many seconds" },
  json: { type: "boolean", description: "print JSON; values in base64" },
  ...groupArg,
  ...fileArg,
  ...settingArgs,
} as const satisfies ArgsDef;

const READ_MODES_TEXT =
  "confirmed: all that was acknowledged before is in it, for which the leader is asked; log: the same, for which an entry goes " +
  "through the log; local: the state as this server has it, however old, and nobody is asked";

export const readArg = {
  read: {
    type: "enum",
    options: READ_MODES,
    description: `how the server reads. ${READ_MODES_TEXT} (unless given: as its own --read says)`,
  },
} as const satisfies ArgsDef;

/** Of a server. */
export const serverReadArg = {
  read: {
    type: "enum",
    options: READ_MODES,
    default: "confirmed",
    description: `how it reads where a request (?read=) does not say. ${READ_MODES_TEXT}`,
  },
} as const satisfies ArgsDef;

type PlaceArgs = ArgValues<typeof placeArgs>;

/** The server that the arguments mean: an URL, a replica of this host, or any that runs here; with groups, one of the key's group. */
export async function kvClient(args: PlaceArgs): Promise<KvClient> {
  const timeoutMs = args.timeout * 1000;
  if (args.url !== undefined) return new KvClient({ url: checkedUrl(args.url) }, timeoutMs);
  return await clientOf(start(args, "kv").config, args.id, timeoutMs);
}

/** A server for each group, for what is asked of all keys. */
export async function kvClients(args: PlaceArgs): Promise<readonly KvClient[]> {
  const timeoutMs = args.timeout * 1000;
  if (args.url !== undefined) return [new KvClient({ url: checkedUrl(args.url) }, timeoutMs)];
  const { config } = startAll(args, "kv");
  return await Promise.all(configsOfGroups(config).map((group) => clientOf(group, args.id, timeoutMs)));
}

function checkedUrl(text: string): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? "")) return text;
  throw usageError(`--url ${text} is no URL of a server`, "for example --url http://10.0.0.7:8080");
}

/** A server of this host. */
async function clientOf(config: Config, id: number | undefined, timeoutMs: number): Promise<KvClient> {
  const { deviceDirectory, cluster } = config.settings;
  const directories = deviceDirectories(deviceDirectory, config.origins.deviceDirectory.from !== "default");
  const prefix = deviceName(cluster, 0).slice(0, -1);
  const sockets = findKvSockets(directories, prefix);
  const wanted = id === undefined ? undefined : `/${deviceName(cluster, id)}.kv`;
  const socket =
    wanted === undefined ? await firstAnswered(sockets) : sockets.find((path) => path.endsWith(wanted));
  if (socket === undefined) {
    const which = id === undefined ? "no server" : `no server of replica ${id}`;
    throw new CliError(`${which} of cluster ${cluster} runs on this host`, {
      exitCode: ExitCode.unavailable,
      hint: `start one with kpaxos kv serve (its socket would be ${kvSocketPath(directories[0]!, deviceName(cluster, id ?? 0))}), or name one elsewhere with --url`,
    });
  }
  return new KvClient({ socket }, timeoutMs);
}

/** If none is, the first: that it cannot be reached is what there is to say. */
async function firstAnswered(sockets: readonly string[]): Promise<string | undefined> {
  for (const socket of sockets) if (await isAnswered(socket)) return socket;
  return sockets[0];
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
