/**
 * Two hosts (network namespaces joined by a cable) and raw Ethernet links on them, all in the test's own process: a
 * function of one opens its links there. The hosts last as long as the `describe` block that asks for them, links as
 * long as a test.
 */
import { afterAll, afterEach, beforeAll } from "bun:test";
import { spawnSync } from "node:child_process";
import { type EthernetOptions, openEthernet } from "../../src/net/ethernet.ts";
import { NATIVE_ETHERTYPE } from "../../src/net/ethertypes.ts";
import { nativeFilter } from "../../src/net/filter.ts";
import {
  bringUp,
  findInterface,
  type InterfaceInfo,
  interfaceNamed,
  listInterfaces,
} from "../../src/net/interfaces.ts";
import type { SystemLink } from "../../src/net/system_link.ts";
import { inNamespace } from "./setns.ts";

export const MULTICAST = new Uint32Array([0x34504b03, 0x7856, 0, 0, 0, 0]);
export const ROLE = 1;
export const GROUP = 3;
/** Either host's end of the cable. */
export const CABLE = "wire";

export interface EthernetHost {
  readonly name: string;
  readonly life: number;
  readonly target: InterfaceInfo;
}

export function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}

/** A native frame of the given life; its length field counts all but the checksum. */
export function native(life: number, length = 60): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes[3] = GROUP;
  bytes[9] = ROLE;
  view.setUint16(10, length, true);
  view.setUint32(16, life, true);
  for (let i = 24; i < length; i++) bytes[i] = i;
  return bytes;
}

export interface EthernetHosts {
  a: EthernetHost;
  b: EthernetHost;
  open(host: EthernetHost, more?: Partial<EthernetOptions>): SystemLink;
}

/** To be called in a `describe` block; `a` and `b` are there once its tests run. */
export function ethernetHosts(): EthernetHosts {
  const names = [`kpx${process.pid}a`, `kpx${process.pid}b`] as const;
  const links: SystemLink[] = [];

  function open(host: EthernetHost, more: Partial<EthernetOptions> = {}): SystemLink {
    return inNamespace(host.name, () => {
      const lo = interfaceNamed("lo", listInterfaces());
      const filter = nativeFilter({
        ifindex: host.target.index,
        loIndex: lo.index,
        mac: host.target.words,
        multicastMac: MULTICAST,
        rolesMask: ROLE,
        group: GROUP,
        life: host.life,
      });
      const link = openEthernet({
        interfaceName: host.target.name,
        etherType: NATIVE_ETHERTYPE,
        filter,
        multicastMac: MULTICAST,
        rxSlots: 64,
        txSlots: 64,
        ...more,
      });
      links.push(link);
      return link;
    });
  }

  function describeHost(name: string, life: number): EthernetHost {
    inNamespace(name, () => {
      bringUp("lo");
      bringUp(CABLE);
    });
    return { name, life, target: inNamespace(name, () => findInterface({ flag: CABLE })) };
  }

  const hosts = { open } as EthernetHosts;
  beforeAll(() => {
    for (const name of names) run("ip", "netns", "add", name);
    run(
      "ip",
      "link",
      "add",
      CABLE,
      "netns",
      names[0],
      "type",
      "veth",
      "peer",
      "name",
      CABLE,
      "netns",
      names[1],
    );
    hosts.a = describeHost(names[0], 1);
    hosts.b = describeHost(names[1], 2);
  });
  afterEach(() => {
    for (const link of links.splice(0)) link.close();
  });
  afterAll(() => {
    for (const name of names) spawnSync("ip", ["netns", "del", name]);
  });
  return hosts;
}
