/**
 * What a former leader leaves behind where nobody does anything afterwards. When a healed cluster is done, a leader is cut off from all
 * acceptors, or from all but one, which only it reaches; it proposes a client's values, and the client ends. Another proposer leads,
 * whose quorum has no record of them. Then all is well again, and nobody submits anything: the instances have to be filled all the
 * same, and the values come behind them, if the former leader lives on.
 */
import { quorumOf } from "../protocol/quorum.ts";
import { addTo } from "./faults.ts";
import type { Group } from "./group.ts";
import { cutBothWays, names } from "./mishaps.ts";
import type { Simulation } from "./simulation.ts";
import type { Station } from "./station.ts";

/** Long enough for values to be proposed, and too short for another proposer to lead. */
const PROPOSED_US = 50_000;
/** Another one leads by then. */
const DEPOSED_US = 3_000_000;

/** Who has what was proposed when the other one leads; with "nobody" others may have heard of it. */
const HEIRS = ["acceptor and leader", "leader", "acceptor", "nobody"] as const;

/** Returns when it is over. */
export function depose(simulation: Simulation, group: Group): number {
  const { nowUs, random, agenda, network } = simulation;
  const { stations } = group;
  const leader = stations.find(leads);
  const clients = stations.filter(({ kind, host }) => kind === "client" && host !== undefined);
  if (leader === undefined || clients.length === 0) return nowUs;
  const client = random.pick(clients);
  const all = stations.filter(({ hasAcceptor }) => hasAcceptor);
  const acceptors = random.shuffled(all.filter(({ host }) => host !== undefined));
  // The others have to be a quorum without the one that only this leader reaches.
  const knows = acceptors.length > quorumOf(all.length) ? random.pick(HEIRS) : "leader";
  const deaf = knows === "leader" ? acceptors : acceptors.slice(1);
  const alone = acceptors.slice(0, acceptors.length - deaf.length);
  simulation.note(leader.name, `reaches of all acceptors ${names(alone) || "none"}, and gets values`);
  cutBothWays(simulation, [leader], deaf);
  const others = stations.filter((one) => one !== leader);
  for (const one of alone) {
    if (knows !== "nobody") cutBothWays(simulation, [one], others);
    else for (const other of others) network.cutPlaces(other.seat.place!, one.seat.place!);
  }
  client.host!.cores.client!.limit += random.between(1, 3);
  let openIid = 0;
  agenda.at(nowUs + PROPOSED_US, () => {
    openIid = leader.host?.cores.proposer?.openIid ?? 0;
    simulation.crash(client);
    client.isRetired = true;
    if (knows === "nobody") for (const one of alone) simulation.leaveDead(one);
    if (knows !== "acceptor" && knows !== "nobody") return;
    simulation.crash(leader);
    simulation.startLater(leader, random.between(1_000, DEPOSED_US));
  });
  agenda.at(nowUs + DEPOSED_US, () => {
    const isDeposed = stations.some((one) => one !== leader && leads(one));
    if (isDeposed && openIid > 0) {
      addTo(simulation.faults, "stranded", 1);
      if (knows !== "nobody") group.dueIid = knows === "acceptor" ? openIid : openIid + 1;
    }
    simulation.note("network", "is as usual");
    network.heal();
  });
  return nowUs + DEPOSED_US;
}

function leads({ host }: Station): boolean {
  return host?.cores.proposer?.stage === "leading";
}
