/**
 * How much room the processes of a run have. In half of all runs a proposer's window and store are so small that what acceptors tell a
 * new leader does not fit, as it is in life where thousands of instances are to be told; and frames may be long.
 */
import type { WindowSize } from "../protocol/proposer/proposer_window.ts";
import type { ClusterOptions } from "./cluster.ts";
import type { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";

export interface Room {
  /** Lines of paxos.conf. */
  readonly settings: readonly string[];
  readonly cluster: Pick<ClusterOptions, "link" | "proposerWindow">;
}

/** Of all runs. */
const SMALL_SHARE = 1 / 2;
const LINK = { rxSlots: 32, txSlots: 128, maxPayload: 600, queueFrames: 512 };
const LONG_FRAMES = { ...LINK, maxPayload: 1500 };
/** Two pages are the least that a store may have. */
const STORES = [131_072, 196_608, 4 << 20];

export function drawRoom({ isCrowded }: Scenario, random: Random): Room {
  if (!random.happens(SMALL_SHARE) && isCrowded !== true) return { settings: [], cluster: { link: LINK } };
  const instances = random.pick([16, 32, 64, 128]);
  const proposerWindow: WindowSize = { instances, bytes: random.pick(STORES) };
  const inFlight = random.between(4, instances / 2);
  const link = random.happens(1 / 2) ? LINK : LONG_FRAMES;
  const settings = [
    `proposer-preexec-window ${inFlight}`,
    `learner-window-instances ${random.pick([instances, 256])}`,
  ];
  return { settings, cluster: { link, proposerWindow } };
}
