/**
 * The seats of a topology: which role runs where, and the `paxos.conf` that says so. Computes, starts nothing.
 */

export type MemberRole = "acceptor" | "proposer" | "learner" | "replica";

/** A line of the configuration and the process that goes with it. */
export interface Seat {
  readonly role: MemberRole;
  readonly id: number;
  readonly host: number;
  /** Flags beyond `--id` and `-f`. */
  readonly args?: readonly string[];
  /** false: no line in `paxos.conf`, the process is a stranger to the configuration. */
  readonly listed?: boolean;
}

export function configText(
  network: { takeAddress(host: number): string },
  seats: readonly Seat[],
  settings: Readonly<Record<string, string>>,
): string {
  const lines = Object.entries(settings).map(([key, value]) => `${key} ${value}`);
  for (const seat of seats) {
    if (seat.listed === false) continue;
    lines.push(`${seat.role} ${seat.id} ${network.takeAddress(seat.host)}`);
  }
  return `${lines.join("\n")}\n`;
}
