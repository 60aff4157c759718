/** What the files of `npm run bench` add their tasks with. */

/**
 * Adds a task. What `make` returns does the named thing `operations` times, so that taking the time does not count; nothing is made
 * for a task that is not measured.
 */
export type Add = (name: string, operations: number, make: () => () => void) => void;
