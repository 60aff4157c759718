/**
 * Free UDP ports of this machine.
 */
import { PORTS_APART } from "../config/groups.ts";
import { CliError, ExitCode } from "../error.ts";

/** Where blocks of ports are looked for: below those that the system hands out by itself. */
const FIRST_PORT = 10_000;
const PORTS = 20_000;
const TRIES = 200;

/** Ports nobody uses now. What the system hands out could be handed out again before they are bound. */
export async function freePorts(count: number, hostname: string): Promise<number[]> {
  return await freeBlocks(count, hostname, 1);
}

/** The same where each stands for one of every group: neither are the ports in use that go with it. */
export async function freePortsOfGroups(count: number, hostname: string, groups: number): Promise<number[]> {
  if (count > PORTS_APART) {
    throw new CliError(`${count} roles with several groups have no ports on one host`, {
      exitCode: ExitCode.usage,
      hint: `ports of one host differ by less than ${PORTS_APART}: use fewer roles, or raw Ethernet`,
    });
  }
  return await freeBlocks(count, hostname, groups);
}

async function freeBlocks(count: number, hostname: string, groups: number): Promise<number[]> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const base = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const ports = Array.from({ length: count }, (_, i) => base + i);
    const all = Array.from({ length: groups }, (_, group) => ports.map((port) => port + PORTS_APART * group));
    if (await areFree(all.flat(), hostname)) return ports;
  }
  throw new CliError(
    `no ${count} free UDP ports in a row${groups > 1 ? ` for each of ${groups} groups` : ""} were found`,
  );
}

async function areFree(ports: readonly number[], hostname: string): Promise<boolean> {
  // Who asks for a port in use is told so at once, not by the promise; the others are to be closed all the same.
  const open = async (port: number) => await Bun.udpSocket({ hostname, port });
  const opened = await Promise.allSettled(ports.map(open));
  for (const one of opened) if (one.status === "fulfilled") one.value.close();
  return opened.every(({ status }) => status === "fulfilled");
}
