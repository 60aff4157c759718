/**
 * Whether a server of the store can answer: it asks for a read until a leader confirms one. That it cannot is said once, with the
 * reason, where it takes longer than a cluster that was just started; then also that it can.
 */
import type { Replicated } from "../api/state_machine.ts";
import { messageOf } from "../error.ts";

const PATIENCE_MS = 5_000;
const AGAIN_MS = 1_000;

/** Ends with the first read that succeeds, or when `hasEnded`. */
export async function tellReadiness(
  replica: Pick<Replicated, "read">,
  log: { readonly warn: (text: string) => void },
  hasEnded: () => boolean,
  againMs = AGAIN_MS,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const beganMs = performance.now();
  let said = false;
  while (!hasEnded()) {
    try {
      await replica.read("confirmed");
      if (said) log.warn("a leader answers: requests are served");
      return;
    } catch (error) {
      if (hasEnded()) return;
      if (!said && performance.now() - beganMs >= patienceMs) {
        said = true;
        log.warn(`requests cannot be served yet: ${messageOf(error)}`);
      }
    }
    // It keeps no process from ending.
    await new Promise((resolve) => setTimeout(resolve, againMs).unref());
  }
}
