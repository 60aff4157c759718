/**
 * Opens the C library, once, at the first call of `library()`; importing this module opens nothing. In a compiled
 * executable the library lies inside it and is loaded from memory, so that no temporary directory is needed.
 *
 * `KPAXOS_LIBRARY` names another library file. `KPAXOS_TRACE_FFI=1` writes each call to stderr, `=2` steps as well.
 */
import { dlopen, FFIType, type Library, type Pointer, toArrayBuffer } from "bun:ffi";
import { closeSync, readFileSync, writeSync } from "node:fs";
import { CliError, messageOf } from "../error.ts";
import { standardError } from "../streams.ts";
import { fifoSymbols } from "./fifo_symbols.ts";
import { ringSymbols } from "./ring_symbols.ts";
import { linkSymbols } from "./symbols.ts";

const symbols = { ...linkSymbols, ...ringSymbols, ...fifoSymbols };
export type NativeSymbols = Library<typeof symbols>["symbols"];

/** Files inside a compiled executable have such paths. */
const EMBEDDED = "/$bunfs/";
const C_LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
const MFD_CLOEXEC = 1;

let opened: NativeSymbols | undefined;

export function library(): NativeSymbols {
  opened ??= traced(open());
  return opened;
}

/** Memory of the library, `length` bytes from `address` on; it must stay mapped as long as the view is used. */
export function mappedMemory(address: Pointer | bigint | null, length: number): ArrayBuffer {
  if (address === null) throw new CliError("the C library gave no memory");
  return toArrayBuffer(address, 0, length);
}

function open(): NativeSymbols {
  const { KPAXOS_LIBRARY: override = "" } = process.env;
  if (override !== "") return load(override, `check KPAXOS_LIBRARY=${override}`);
  const path = libraryPath();
  if (!path.startsWith(EMBEDDED)) return load(path, "build it again: npm run setup");
  return (
    loadFromMemory(path) ?? load(path, "set BUN_TMPDIR to a writable directory that is not mounted noexec")
  );
}

function libraryPath(): string {
  try {
    return (require("./embedded.ts") as typeof import("./embedded.ts")).libraryPath;
  } catch (cause) {
    throw new CliError("the C library is not built", { hint: "build it: npm run setup", cause });
  }
}

function load(path: string, hint: string): NativeSymbols {
  try {
    return dlopen(path, symbols).symbols;
  } catch (cause) {
    const why = messageOf(cause);
    throw new CliError(`cannot load the C library ${path}: ${why}`, { hint, cause });
  }
}

/** Undefined where the system has no anonymous files: then the runtime's own way, through a file, is left. */
function loadFromMemory(path: string): NativeSymbols | undefined {
  const fd = memoryFile();
  if (fd < 0) return undefined;
  try {
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    return dlopen(`/proc/self/fd/${fd}`, symbols).symbols;
  } catch {
    // No /proc, or executable anonymous memory is forbidden.
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function memoryFile(): number {
  const signature = { memfd_create: { args: [FFIType.ptr, FFIType.u32], returns: FFIType.i32 } } as const;
  const name = new TextEncoder().encode("libkpaxos\0");
  for (const candidate of C_LIBRARIES) {
    try {
      return dlopen(candidate, signature).symbols.memfd_create(name, MFD_CLOEXEC);
    } catch {
      // The other C library then.
    }
  }
  return -1;
}

function traced(functions: NativeSymbols): NativeSymbols {
  const { KPAXOS_TRACE_FFI = "0" } = process.env;
  const level = Number(KPAXOS_TRACE_FFI);
  if (!(level >= 1)) return functions;
  const wrapped: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(functions)) {
    wrapped[name] = name === "kpx_link_step" && level < 2 ? call : tracer(name, call);
  }
  return wrapped as NativeSymbols;
}

function tracer(name: string, call: (...args: never[]) => unknown): (...args: unknown[]) => unknown {
  return (...args) => {
    const result = call(...(args as never[]));
    standardError().write(`ffi: ${name}(${args.map(show).join(", ")}) = ${String(result)}\n`);
    return result;
  };
}

function show(argument: unknown): string {
  return ArrayBuffer.isView(argument) ? `[${argument.byteLength} bytes]` : String(argument);
}
