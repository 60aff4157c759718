/**
 * The clusters that most programs of this folder measure: each process on a host of its own, from host 0 on.
 */
import type { Seat } from "../../src/ops/seats.ts";

export const ACCEPTORS: readonly Seat[] = [0, 1, 2].map((id) => ({ role: "acceptor", id, host: id }));
export const REPLICAS: readonly Seat[] = [0, 1, 2].map((id) => ({ role: "replica", id, host: id }));
