/**
 * Values submitted by clients and delivered by learners or replicas: each that was acknowledged is there once, in one order.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Seat } from "../../src/ops/seats.ts";
import { COMMAND } from "../support/cluster.ts";
import type { LabCluster } from "../support/lab_cluster.ts";
import { until } from "../support/until.ts";
import { History, positionText } from "./history.ts";
import { CLIENTS, type LoadOptions, type Play, SETTLE_MS } from "./play.ts";
import { Client, Learner, Member, type Player } from "./players.ts";

const BEGIN_MS = 15_000;

export class LogPlay implements Play {
  readonly #cluster: LabCluster;
  readonly #history = new History();
  readonly #members: Member[];
  readonly #learners: Learner[];
  readonly #clients: Client[];
  readonly #freshId: number;

  /** The last learner of the seats is the one that starts when all is over. */
  constructor(cluster: LabCluster, seats: readonly Seat[], { valuesPerSecond }: LoadOptions) {
    const history = this.#history;
    this.#cluster = cluster;
    const fresh = seats.findLast(({ role }) => role === "learner")!;
    this.#freshId = fresh.id;
    this.#members = seats
      .filter(({ role }) => role === "acceptor" || role === "proposer")
      .map(({ role, id }) => new Member(cluster, history, role, id));
    this.#learners = seats
      .filter((seat) => seat.role === "replica" || (seat.role === "learner" && seat !== fresh))
      .map(({ role, id }) => new Learner(cluster, history, id, role));
    const proposers = seats.filter(({ role }) => role === "proposer" || role === "replica").length;
    this.#clients = Array.from({ length: CLIENTS }, (_, id) => {
      const host = seats.length + id;
      return new Client(cluster, history, {
        ...{ command: COMMAND, id, host, valuesPerSecond },
        proposerId: id % proposers,
      });
    });
  }

  get players(): Player[] {
    return [...this.#members, ...this.#learners, ...this.#clients];
  }
  get acknowledged(): number {
    return this.#history.acknowledged;
  }
  get values(): number {
    return this.#history.log.size;
  }
  readonly undecided = 0;

  async begin(): Promise<void> {
    await until("the first values are delivered", () => this.values > 0, BEGIN_MS);
  }

  async settle(note: (text: string) => void): Promise<void> {
    const finished = await Promise.all(this.#clients.map((client) => client.finish(SETTLE_MS)));
    if (finished.includes(false)) return;
    note("clients have ended");
    if (!(await this.#reach(this.#learners, "the learners"))) return;
    const fresh = new Learner(this.#cluster, this.#history, this.#freshId);
    this.#learners.push(fresh);
    fresh.start();
    await this.#reach([fresh], "the fresh learner");
    note("all is delivered");
  }

  async #reach(learners: readonly Learner[], who: string): Promise<boolean> {
    const history = this.#history;
    const isThere = (): boolean =>
      history.missing().length === 0 && learners.every((one) => one.hasReached(history.highest));
    try {
      await until(`${who} deliver all`, isThere, SETTLE_MS);
      return true;
    } catch {
      const at = learners.map(({ name, deliveries }) => `${name} at ${positionText(deliveries!.last)}`);
      history.problem(
        `liveness: ${at.join(", ")}, the highest delivered is ${positionText(history.highest)}`,
      );
      return false;
    }
  }

  dismiss(): void {
    for (const player of this.players) player.dismiss();
  }

  judge(): readonly string[] {
    for (const player of this.players) player.judge();
    for (const { deliveries } of this.#learners) if (deliveries) this.#history.judgeComplete(deliveries);
    return this.#history.judge();
  }

  problem(text: string): void {
    this.#history.problem(text);
  }

  write(directory: string): void {
    const { log, learners, submissions } = this.#history;
    const delivered = learners.map(({ learner, positions }) => {
      const lines = positions.map((position) => `${positionText(position)} ${log.get(position)}`);
      return `${learner}\n${lines.join("\n")}\n`;
    });
    writeFileSync(join(directory, "delivered"), delivered.join("\n"));
    const handed = [...submissions.values()].map(
      ({ client, given, acknowledged }) => `${client}: ${acknowledged} of ${given} acknowledged`,
    );
    writeFileSync(join(directory, "submitted"), `${handed.join("\n")}\n`);
  }
}
