/** Options of an acceptor, one of three in the native wire; a test says what it is about. */
import type { AcceptorOptions } from "../../src/protocol/acceptor/acceptor.ts";

type Own = Pick<AcceptorOptions, "aid" | "life"> & Partial<AcceptorOptions>;

export function acceptorOptions(own: Own): AcceptorOptions {
  return {
    acceptors: 3,
    fresh: false,
    durable: false,
    random: () => 0.5,
    maxLeaseMs: 0,
    perInstance: false,
    leaderTimeoutMs: 500,
    instances: 16,
    bytes: 1 << 16,
    trimRule: null,
    ...own,
  };
}
