/**
 * Positions in the log as people read and write them: IID.INDEX, and IID alone for a whole instance.
 */
import { MAX_IID } from "../protocol/types.ts";
import { LAST_INDEX, type Position } from "./log_record.ts";

/** "12.3"; of the end of an instance "12.end". */
export function position(iid: number, index: number): string {
  return `${iid}.${index === LAST_INDEX ? "end" : index}`;
}

export function range(firstIid: number, firstIndex: number, lastIid: number, lastIndex: number): string {
  return `${position(firstIid, firstIndex)} to ${position(lastIid, lastIndex)}`;
}

/** `IID` or `IID.INDEX`; undefined when it is neither. */
export function parsePosition(text: string): Position | undefined {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const iid = Number(match[1]);
  const index = Number(match[2] ?? "0");
  return iid <= MAX_IID && index <= LAST_INDEX ? { iid, index } : undefined;
}

/** The first position behind this one. */
export function after(iid: number, index: number): Position {
  return index >= LAST_INDEX ? { iid: iid + 1, index: 0 } : { iid, index: index + 1 };
}
