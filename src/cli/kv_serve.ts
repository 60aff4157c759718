/**
 * `kpaxos kv serve`: a replica of the key-value store, with its HTTP server on a Unix socket and, if asked for, a TCP port.
 */
import { chmodSync, existsSync, unlinkSync } from "node:fs";
import { Replica } from "../api/replica.ts";
import type { Config } from "../config/config.ts";
import { groupOfKey } from "../config/groups.ts";
import { deviceDirectories, makeDeviceDirectory } from "../delivery/device_directory.ts";
import { deviceName } from "../delivery/device_layout.ts";
import { CliError, codeOf, ExitCode, exitCodeOf, messageOf } from "../error.ts";
import { isAnswered, kvSocketPath } from "../kv/place.ts";
import { tellReadiness } from "../kv/readiness.ts";
import { KvServer } from "../kv/server.ts";
import { KvStore } from "../kv/store.ts";
import { shellLine } from "../text/shell_line.ts";
import { type ArgsDef, defineKpaxosCommand } from "./command.ts";
import { serverReadArg } from "./kv_common.ts";
import { roleArgs, start } from "./run_common.ts";

const serveArgs = {
  id: {
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    default: 0,
    description: "which learner (with --replica: replica) of paxos.conf this is",
  },
  replica: { type: "boolean", description: "acceptor and proposer too, as a replica line says" },
  listen: {
    type: "string",
    valueHint: "HOST:PORT",
    description: "answer on TCP too; nobody is asked who they are",
  },
  "begin-empty": {
    type: "boolean",
    description:
      "the log is trimmed and no server offers the store: begin with an empty one; only for the first server, for two that begin so differ",
  },
  timeout: {
    type: "number",
    min: 0.1,
    default: 10,
    description: "seconds that a request waits for its result",
  },
  ...serverReadArg,
  ...roleArgs,
} as const satisfies ArgsDef;

export const serveCommand = defineKpaxosCommand({
  meta: {
    name: "serve",
    description: "run a replica of the store and answer requests",
    examples: [
      { command: "kpaxos kv serve --id 0", what: "as learner 0; kpaxos kv get on this host finds it" },
      { command: "kpaxos kv serve --id 1 --replica", what: "acceptor and proposer in the same process" },
      { command: "kpaxos kv serve --listen 127.0.0.1:8080", what: "for curl: GET, PUT, DELETE /v1/keys/KEY" },
    ],
    notes: [
      "PUT and DELETE understand If-Match (a version or *), If-None-Match: * and ?expect=VALUE in base64url. " +
        "Status 412: the condition does not hold; 504: the outcome is not known; 503: nothing was done. " +
        "A header kpaxos-timeout says in how many milliseconds there must be an answer.",
    ],
  },
  args: serveArgs,
  run: async ({ args, rawArgs }) => {
    const { config, log } = start(args, `kv ${args.id}`);
    const store = new KvStore();
    const replica = new Replica({
      config,
      machine: store,
      id: args.id,
      votes: args.replica === true,
      timeoutMs: args.timeout * 1000,
      ...(args["begin-empty"] === true ? { beginEmpty: true } : {}),
      beginEmptyBy: `\`${shellLine(["kpaxos", "kv", "serve", ...rawArgs, "--begin-empty"])}\``,
      log,
      handlesSignals: true,
    });
    const { deviceDirectory, cluster } = config.settings;
    const isChosen = config.origins.deviceDirectory.from !== "default";
    const directory = makeDeviceDirectory(deviceDirectories(deviceDirectory, isChosen));
    const path = kvSocketPath(directory, deviceName(cluster, args.id));
    const kv = new KvServer({
      store,
      replica,
      read: args.read,
      maxCommandBytes: replica.maxCommandBytes,
      refuses: (key) => whoseKey(key, config),
      reason: () => replica.reasons()[0],
      status: () => ({ ...replica.status(), keys: store.size, bytes: store.bytes }),
    });
    await claimSocket(path);
    const servers = [Bun.serve({ unix: path, fetch: kv.fetch, maxRequestBodySize: replica.maxCommandBytes })];
    chmodSync(path, 0o600);
    let hasEnded = false;
    try {
      if (args.listen !== undefined) servers.push(serveTcp(args.listen, kv, replica.maxCommandBytes));
      log.info(`answers at ${[path, ...servers.slice(1).map(placeOf)].join(" and ")}`);
      const ended = replica.run();
      void tellReadiness(replica, log, () => hasEnded);
      return await ended;
    } finally {
      hasEnded = true;
      // Who was waiting is answered now that the replica has ended, and has that before his connection goes.
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.all(servers.map((server) => server.stop(true)));
      if (existsSync(path)) unlinkSync(path);
    }
  },
});

/** Two groups with a value for one key each would make two stores of one. */
function whoseKey(key: string, { group, settings }: Config): string | null {
  const owner = groupOfKey(new TextEncoder().encode(key), settings.groups);
  if (owner === group) return null;
  return `${JSON.stringify(key)} is a key of group ${owner}, and this server is of group ${group}`;
}

function serveTcp(listen: string, kv: KvServer, maxRequestBodySize: number): Bun.Server<undefined> {
  const match = /^(.*):(\d{1,5})$/.exec(listen);
  if (match === null || Number(match[2]) > 65535) {
    throw new CliError(`--listen ${listen} is no HOST:PORT`, {
      exitCode: ExitCode.usage,
      hint: "for example --listen 127.0.0.1:8080; a port is a number up to 65535",
    });
  }
  const hostname = match[1]!.replace(/^\[|\]$/g, "") || "127.0.0.1";
  try {
    return Bun.serve({ hostname, port: Number(match[2]), fetch: kv.fetch, maxRequestBodySize });
  } catch (error) {
    throw new CliError(`cannot listen on ${listen}: ${messageOf(error)}`, {
      exitCode: exitCodeOf(error),
      hint: hintOf(error),
      cause: error,
    });
  }
}

/** With the port that it was given, if any would do. */
function placeOf({ url, port }: Bun.Server<undefined>): string {
  return `http://${url.hostname}:${port}`;
}

function hintOf(error: unknown): string {
  const code = codeOf(error);
  if (code === "EADDRNOTAVAIL")
    return "`ip address` lists the addresses of this host; 0.0.0.0 is all of them";
  // The latter where no resolver answers.
  if (code === "EINVAL" || code === "ENOENT")
    return "HOST is an IP address of this host: `ip address` lists them; 0.0.0.0 is all of them";
  if (code === "EACCES") return "ports below 1024 need root or CAP_NET_BIND_SERVICE; take a higher one";
  return "is the port taken? `ss -ltnp` lists who listens";
}

/** Removes what a server that was killed left behind; one that lives keeps its place. */
async function claimSocket(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (await isAnswered(path)) {
    throw new CliError(`${path}: a server answers there already`, { hint: "give this one another --id" });
  }
  unlinkSync(path);
}
