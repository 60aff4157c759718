/**
 * What is measured: a sweep is the product of lists, a cell is one combination. Cells that differ only in their load share a
 * cluster. Computes, starts nothing.
 */
import { grouped } from "../text/grouped.ts";

export const LAYOUTS = ["roles", "replicas"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** What a cluster is made for. */
export interface ClusterShape {
  readonly wire: string;
  readonly storage: string;
  readonly layout: Layout;
  readonly acceptors: number;
  /** Values share instances under load. */
  readonly batching: boolean;
  /** Logs side by side, each with its own client. */
  readonly groups: number;
}

/** What a client does. */
export interface Load {
  /** Values each virtual client has under way, at most. */
  readonly window: number;
  readonly clients: number;
  /** Bytes of a value. */
  readonly size: number;
  /** Values per second of an open loop; null: a closed loop. */
  readonly rate: number | null;
  /** The rate is half of what a closed loop of this window reached in the same run. */
  readonly halfOfWindow?: number;
}

export type Cell = ClusterShape & Load;

export interface Sweep {
  readonly wires: readonly string[];
  readonly storages: readonly string[];
  readonly layouts: readonly Layout[];
  readonly acceptors: readonly number[];
  readonly batchings: readonly boolean[];
  readonly groups: readonly number[];
  readonly windows: readonly number[];
  readonly clients: readonly number[];
  readonly sizes: readonly number[];
  readonly rates: readonly (number | null)[];
}

export interface Group {
  readonly shape: ClusterShape;
  readonly cells: readonly Cell[];
}

/** The Kernel_Paxos wire has one group, and one value to an instance, whatever is asked for. */
function shapeIn(wire: string, batching: boolean, groups: number): Pick<ClusterShape, "batching" | "groups"> {
  return wire === "native" ? { batching, groups } : { batching: false, groups: 1 };
}

/** Every combination of one of each list, the last list's changing first. */
function product<T extends object>(lists: { readonly [K in keyof T]: readonly T[K][] }): T[] {
  let all: Partial<T>[] = [{}];
  for (const key of Object.keys(lists) as (keyof T)[]) {
    all = all.flatMap((one) => lists[key].map((value) => ({ ...one, [key]: value })));
  }
  return all as T[];
}

export function cellsOf(sweep: Sweep): Cell[] {
  const cells = product<Omit<Cell, "halfOfWindow">>({
    wire: sweep.wires,
    storage: sweep.storages,
    layout: sweep.layouts,
    acceptors: sweep.acceptors,
    groups: sweep.groups,
    batching: sweep.batchings,
    size: sweep.sizes,
    clients: sweep.clients,
    window: sweep.windows,
    rate: sweep.rates,
  }).map((cell) => ({ ...cell, ...shapeIn(cell.wire, cell.batching, cell.groups) }));
  return [...new Map(cells.map((cell) => [keyOf(cell), cell])).values()];
}

/** The same text for the same cell, in any run. */
export function keyOf(cell: Cell): string {
  const { size, clients, window, rate, halfOfWindow } = cell;
  const load =
    halfOfWindow !== undefined
      ? `half of what ${clients} × ${halfOfWindow} reached`
      : `${clients} × ${window}, ${rate === null ? "closed" : `rate ${rate}`}`;
  return `${shapeName(cell)}, ${size} B, ${load}`;
}

function shapeName({ wire, storage, layout, acceptors, batching, groups }: ClusterShape): string {
  const many = groups > 1 ? `, ${groups} groups` : "";
  return `${wire}, ${storage}, ${whoName(layout, acceptors)}${many}, ${batching ? "packed" : "unpacked"}`;
}

function whoName(layout: Layout, acceptors: number): string {
  return `${acceptors} ${layout === "replicas" ? "replicas" : "acceptors"}`;
}

const PARTS: readonly ((cell: Cell) => string)[] = [
  ({ wire }) => wire,
  ({ storage }) => storage,
  ({ layout, acceptors }) => whoName(layout, acceptors),
  ({ groups }) => `${groups} group${groups === 1 ? "" : "s"}`,
  ({ batching }) => (batching ? "packed" : "unpacked"),
  ({ size }) => `${grouped(size)} B`,
  ({ clients }) => `${grouped(clients)} client${clients === 1 ? "" : "s"}`,
];

/** Of one of these cells, but for its window and rate: what tells it from others of them. */
export function distinctions(cells: readonly Cell[]): (cell: Cell) => string[] {
  const telling = PARTS.filter((text) => new Set(cells.map(text)).size > 1);
  return (cell) => telling.map((text) => text(cell));
}

/** Names of these cells, as short as can be. */
export function cellNames(cells: readonly Cell[]): (cell: Cell) => string {
  const parts = distinctions(cells);
  const bounds = new Set(cells.filter(isOpenLoad).map(({ window }) => window));
  const load = (cell: Cell): string => {
    const { window, rate, halfOfWindow } = cell;
    if (rate === null) return `window ${grouped(window)}`;
    const paced = `${grouped(rate)} values/s`;
    if (halfOfWindow !== undefined) return `half of window ${grouped(halfOfWindow)}: ${paced}`;
    return bounds.size > 1 ? `window ${grouped(window)}, ${paced}` : paced;
  };
  return (cell) => [...parts(cell), load(cell)].join(", ");
}

function isOpenLoad({ rate, halfOfWindow }: Cell): boolean {
  return rate !== null && halfOfWindow === undefined;
}

/** Of an open loop the window is a bound, not a load. */
export const OPEN_WINDOW = 4096;
const MOST_UNDER_WAY = 1 << 18;

/** Fewer values than that tell nothing about latency. */
const LEAST_VALUES = 10;

/** The same values in an open loop, at half of what it reached; undefined: that is too little for so many seconds. */
export function halfOf(cell: Cell, valuesPerSecond: number, seconds: number): Cell | undefined {
  const rate = Number((valuesPerSecond / 2).toPrecision(3));
  if (cell.rate !== null || !(rate * seconds >= LEAST_VALUES)) return undefined;
  const window = Math.max(cell.window, Math.min(OPEN_WINDOW, Math.floor(MOST_UNDER_WAY / cell.clients)));
  return { ...cell, window, rate, halfOfWindow: cell.window };
}

/** Cells by the cluster they need, in the order they came. */
export function groupsOf(cells: readonly Cell[]): Group[] {
  const groups = new Map<string, Cell[]>();
  for (const cell of cells) {
    const name = shapeName(cell);
    groups.set(name, [...(groups.get(name) ?? []), cell]);
  }
  return [...groups.values()].map((some) => ({ shape: some[0]!, cells: some }));
}
