/**
 * A classic BPF interpreter, as dumb as can be, for the instructions the filters use. Anything else throws, as do
 * jumps out of the program.
 */
import type { Program } from "../../src/net/filter.ts";

export interface Arrival {
  readonly ifindex: number;
  /** The kernel took a VLAN tag with this word out of the frame. */
  readonly vlan?: number;
  readonly bytes: Uint8Array;
}

/** Of a frame without a tag the kernel may tell one that it had. */
const STALE_TAG = 0xfff;

/** Bytes of the frame that the program lets through; 0: none. */
export function runFilter(program: Program, arrival: Arrival): number {
  let a = 0;
  let x = 0;
  let at = 0;
  for (;;) {
    const instruction = program[at];
    if (instruction === undefined) throw new Error(`the program runs out at ${at}`);
    const { code, jt, jf, k } = instruction;
    at++;
    const jump = (taken: boolean) => {
      at += taken ? jt : jf;
    };
    switch (code) {
      case 0x20:
      case 0x28:
      case 0x30: {
        const value = load(arrival, k, code === 0x20 ? 4 : code === 0x28 ? 2 : 1);
        // The kernel's rule: a load beyond the frame ends the program, and the frame is dropped.
        if (value === undefined) return 0;
        a = value;
        break;
      }
      case 0x40:
      case 0x50: {
        const value = load(arrival, x + k, code === 0x40 ? 4 : 1);
        if (value === undefined) return 0;
        a = value;
        break;
      }
      case 0x00:
        a = k;
        break;
      case 0x14:
        a = (a - k) >>> 0;
        break;
      case 0x07:
        x = a;
        break;
      case 0x7c:
        a = x > 31 ? 0 : a >>> x;
        break;
      case 0x15:
        jump(a === k);
        break;
      case 0x25:
        jump(a > k);
        break;
      case 0x35:
        jump(a >= k);
        break;
      case 0x45:
        jump((a & k) !== 0);
        break;
      case 0x06:
        return k;
      default:
        throw new Error(`unknown instruction ${code.toString(16)} at ${at - 1}`);
    }
  }
}

function load({ ifindex, vlan, bytes }: Arrival, offset: number, size: number): number | undefined {
  if (offset === 0xfffff008) return ifindex;
  if (offset === 0xfffff02c) return vlan ?? STALE_TAG;
  if (offset === 0xfffff030) return vlan === undefined ? 0 : 1;
  if (offset + size > bytes.length) return undefined;
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[offset + i]!;
  return value;
}
