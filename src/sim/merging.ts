/**
 * A process that belongs to all groups: a learner of each, and their logs merged into one order. It has a station in each group, and
 * all of them live and die together.
 */
import { buildLearning } from "../delivery/learning.ts";
import { Merge } from "../delivery/merge.ts";
import { buildFilter } from "../node/build.ts";
import type { CoreContext } from "../node/context.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import { Role } from "../protocol/types.ts";
import type { Parts } from "./cluster.ts";
import { MergedOrder } from "./merged_order.ts";
import { type Consumer, WatchedState, type Watcher } from "./parts.ts";
import type { Plant } from "./plants.ts";
import type { Run } from "./runs.ts";
import type { Station } from "./station.ts";
import type { Checker, ValueLog } from "./value_log.ts";

export class MergingProcess {
  /** One in each group, in their order. */
  readonly stations: Station[] = [];
  /** Of all of its lives. */
  compared = 0;
  order: MergedOrder;
  #merge: Merge;
  readonly #name: string;
  readonly #logs: readonly ValueLog[];
  readonly #plant: Plant | undefined;

  /** `logs`: of each group. */
  constructor(name: string, logs: readonly ValueLog[], plant: Plant | undefined) {
    this.#name = name;
    this.#logs = logs;
    this.#plant = plant;
    [this.order, this.#merge] = this.#begun();
  }

  /** It starts, with nothing of what it knew but what its disks have. */
  begin(): void {
    this.compared += this.order.compared;
    [this.order, this.#merge] = this.#begun();
  }

  /** What it is in one of its groups. */
  parts(context: CoreContext, group: number, { application, values, place, planted }: Consumer): Parts {
    const lane = this.#merge.lanes[group]!;
    const filter = buildFilter(context, new Both(values, lane.consumer));
    planted?.(filter);
    const { order } = this;
    lane.state = new WatchedState(new OrderWatcher(application, order, group), filter, values);
    const outbox = context.outbox(Role.learner);
    const { learner, snapshots } = buildLearning(
      context,
      {
        role: Role.learner,
        canTrim: true,
        name: `learner-${context.id}`,
        start: "first",
        state: lane,
        place,
        onGap: (_first, last) => lane.leftOut(last),
      },
      outbox,
    );
    const { length: proposers } = context.config.proposers;
    lane.attach(learner, { outbox, proposers, onWait: () => context.log.debug("the order waits") });
    return { cores: { learner, isMerged: true }, extras: [snapshots, lane] };
  }

  #begun(): [MergedOrder, Merge] {
    const order = new MergedOrder(this.#name, this.#logs);
    const groups = this.#logs.length;
    return [order, this.#plant?.merge?.(groups, order) ?? new Merge(groups, order)];
  }
}

/** Sees a group's log, and has the order know where snapshots have it go on. */
class OrderWatcher implements Watcher {
  readonly #application: Watcher;
  readonly #order: MergedOrder;
  readonly #group: number;

  constructor(application: Watcher, order: MergedOrder, group: number) {
    this.#application = application;
    this.#order = order;
    this.#group = group;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    return this.#application.deliver(iid, bytes, offset, length);
  }
  skipped(first: number, last: number): void {
    this.#application.skipped(first, last);
  }
  acknowledged(): number {
    return this.#application.acknowledged();
  }
  began(iid: number): void {
    this.#application.began(iid);
    this.#order.goesOn(this.#group, iid);
  }
  beganUnknown(iid: number): void {
    this.#application.beganUnknown(iid);
    this.#order.goesOn(this.#group, iid);
  }
}

/** The values of one group: for its checker, and for the merge. */
class Both implements ValueConsumer {
  readonly #checker: Checker;
  readonly #merged: ValueConsumer;

  constructor(checker: Checker, merged: ValueConsumer) {
    this.#checker = checker;
    this.#merged = merged;
  }

  take(...value: Parameters<ValueConsumer["take"]>): boolean {
    // Neither of them ever has to wait.
    return this.#checker.take(...value) && this.#merged.take(...value);
  }
  takeRun(...run: Run): boolean {
    return this.#checker.takeRun(...run) && this.#merged.takeRun?.(...run) === true;
  }
  finished(iid: number): void {
    this.#checker.finished(iid);
    this.#merged.finished(iid);
  }
  skipped(first: number, last: number): void {
    this.#checker.skipped(first, last);
    this.#merged.skipped(first, last);
  }
  acknowledged(): number {
    return this.#merged.acknowledged();
  }
}
