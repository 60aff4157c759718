/**
 * Where the servers of this host are: one Unix socket each, in the directory of the delivery devices. Server and clients
 * find the same name because both ask here.
 */
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

/** The socket of replica `id`. `deviceName`: the name of that learner's device. */
export function kvSocketPath(directory: string, deviceName: string): string {
  return join(directory, `${deviceName}.kv`);
}

/** The sockets of a cluster's servers on this host; `prefix`: what the names of its devices begin with. */
export function findKvSockets(directories: readonly string[], prefix: string): string[] {
  return directories.flatMap((directory) => {
    let names: string[];
    try {
      names = readdirSync(directory);
    } catch {
      return [];
    }
    const own = names.filter((name) => name.startsWith(prefix) && name.endsWith(".kv"));
    return own.sort().map((name) => join(directory, name));
  });
}

/** Whether a server is behind the socket: one that was killed has left it behind. */
export async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
