/**
 * Whether counters have grown since they were looked at last: what happened once is not to be said for ever.
 */
export class Growth {
  readonly #last = new Map<string, number>();

  of(name: string, count: number): boolean {
    const hasGrown = count > (this.#last.get(name) ?? 0);
    if (hasGrown) this.#last.set(name, count);
    return hasGrown;
  }
}

/** What was counted since `base` was. */
export function since<T extends { readonly [K in keyof T]: number }>(counters: T, base: T): T {
  const counts = Object.keys(counters).map((name) => {
    const key = name as keyof T;
    return [key, counters[key] - base[key]];
  });
  return Object.fromEntries(counts) as T;
}
