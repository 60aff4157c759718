/**
 * What a leader does for instances full of values, from a client's frame to the acknowledgement: decoding, admission, queue, phase
 * two, the accept's frame, its own learner. Whole turns, in which several frames come together, as under load.
 */
import { Node } from "../src/node/turn.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { PackedMessage } from "./packed.ts";
import type { Cluster } from "./parties.ts";
import { led } from "./steps.ts";

/** Frames of values that a turn finds, each an instance. */
export const FRAMES = 8;

/** `FRAMES` full instances are proposed in one turn, and chosen in the next. */
export function leaderStep(cluster: Cluster): () => void {
  const { ballot, life } = cluster;
  const { client, acceptors, party, proposer, roles } = led(cluster);
  const node = new Node(party.link, party.wire, new MemoryStorage(), roles);
  const message = new PackedMessage();
  const { bytes } = message;
  let nowUs = 1;
  let iid = 0;
  return () => {
    for (let i = 0; i < FRAMES; i++) {
      client.outbox.clientValue(0, bytes, 0, bytes.length, 0);
      message.next();
    }
    node.turn(++nowUs, client.leave(party, 0));
    for (const one of acceptors)
      for (let i = 1; i <= FRAMES; i++) one.outbox.accepted(iid + i, 0, ballot, life, bytes, 0, bytes.length);
    let frames = 0;
    for (const one of acceptors) frames += one.leave(party, frames);
    node.turn(++nowUs, frames);
    iid += FRAMES;
    if (proposer.window.low !== iid + 1) throw new Error("the instances were not chosen");
  };
}
