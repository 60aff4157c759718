/**
 * `kpaxos kv`: a replicated key-value store: the example of how a service is built on kpaxos, and useful by itself.
 */
import { defineKpaxosCommand } from "./command.ts";

export const kvCommand = defineKpaxosCommand({
  meta: {
    name: "kv",
    description: "a replicated key-value store",
    examples: [
      { command: "kpaxos kv serve --id 0 -f paxos.conf", what: "a replica of the store, as learner 0" },
      { command: "kpaxos kv put greeting 'hello, world'", what: "through the server of this host" },
      { command: "kpaxos kv get greeting", what: "a linearizable read" },
      { command: "kpaxos kv list", what: "all keys" },
    ],
  },
  subCommands: {
    serve: {
      description: "run a replica of the store and answer requests",
      load: async () => (await import("./kv_serve.ts")).serveCommand,
    },
    get: {
      description: "print the value of a key",
      load: async () => (await import("./kv_client.ts")).getCommand,
    },
    put: {
      description: "set a key",
      load: async () => (await import("./kv_client.ts")).putCommand,
    },
    delete: {
      description: "remove a key",
      load: async () => (await import("./kv_client.ts")).deleteCommand,
    },
    cas: {
      description: "compare and swap: set a key if it has the value expected",
      load: async () => (await import("./kv_client.ts")).casCommand,
    },
    list: {
      description: "list keys",
      load: async () => (await import("./kv_client.ts")).listCommand,
    },
  },
});
