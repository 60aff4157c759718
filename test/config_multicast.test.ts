/**
 * `udp-multicast`: which addresses it stands for, and what is no such address.
 */
import { describe, expect, test } from "bun:test";
import type { Config } from "../src/config/config.ts";
import { configsOfGroups } from "../src/config/groups.ts";
import { hasMulticast, multicastOf } from "../src/config/multicast.ts";
import { parseConfig } from "../src/config/parse.ts";
import { formatDiagnostic } from "../src/config/report.ts";

const V4 = "acceptor 0 10.0.0.1 8800\nproposer 0 10.0.0.2 8800\n";
const V6 = "acceptor 0 fd00::1 8800\nproposer 0 fd00::2 8800\n";
const ETHERNET = "acceptor 0 02:00:00:00:00:01\nproposer 0 02:00:00:00:00:02\n";

function parsed(text: string): Config {
  const { config, diagnostics } = parseConfig(text, "f");
  if (config === undefined) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  return config;
}

function hostOf(config: Config): string {
  const address = multicastOf(config);
  return address?.kind === "udp" ? `${address.host} ${address.port}` : "none";
}

function complaints(text: string): string {
  return parseConfig(text, "f")
    .diagnostics.map((one) => `${one.line}: ${one.severity}: ${one.message}; ${one.hint}`)
    .join("\n");
}

describe("where multicasts go", () => {
  test("without the setting nowhere over UDP; raw Ethernet has its own", () => {
    expect(hostOf(parsed(V4))).toBe("none");
    expect(hasMulticast(parsed(V4))).toBe(false);
    expect(hostOf(parsed(ETHERNET))).toBe("none");
    expect(hasMulticast(parsed(ETHERNET))).toBe(true);
    expect(hasMulticast(parsed(`${ETHERNET}wire kernel-paxos\n`))).toBe(false);
  });

  test("elsewhere for a cluster of other acceptors that has the same name, or none", () => {
    const of = (members: string) => hostOf(parsed(`${members}udp-multicast yes\n`));
    expect(of(V4.replace("10.0.0.1", "10.0.0.9"))).not.toBe(of(V4));
    expect(of(V4.replace("10.0.0.1 8800", "10.0.0.1 8801"))).not.toBe(of(V4));
    expect(of(V4.replace("10.0.0.2", "10.0.0.8"))).toBe(of(V4));
    // The number of an interface is each host's own.
    const linkLocal = (scope: number) =>
      of(`acceptor 0 fe80::1%${scope} 8800\nproposer 0 fe80::2%${scope} 8800\n`);
    expect(linkLocal(2)).toBe(linkLocal(3));
  });

  test("by the name of the cluster, of the members' family", () => {
    const named = (cluster: string) => hostOf(parsed(`${V4}udp-multicast Yes\ncluster ${cluster}\n`));
    expect(named("kpaxos")).toMatch(/^239\.255\.\d+\.\d+ 8799$/);
    expect(named("other")).not.toBe(named("kpaxos"));
    expect(Number(named("other").split(/[. ]/)[3]) % 8).toBe(0);
    expect(hostOf(parsed(`${V6}udp-multicast yes\n`))).toMatch(/^ff15::6b70:[0-9a-f]+ 8799$/);
  });

  test("as it is written", () => {
    expect(hostOf(parsed(`${V4}udp-multicast 239.1.2.248:5000\n`))).toBe("239.1.2.248 5000");
    expect(hostOf(parsed(`${V6}udp-multicast [ff15::a:8]:5000\n`))).toBe("ff15::a:8 5000");
    expect(hasMulticast(parsed(`${V4}udp-multicast 239.1.2.248:5000\n`))).toBe(true);
  });

  test("of each group, a port of its own", () => {
    const config = parsed(`${V4}udp-multicast 239.1.2.0:5000\ngroups 3\n`);
    expect(configsOfGroups(config).map(hostOf)).toEqual([
      "239.1.2.0 5000",
      "239.1.2.0 5100",
      "239.1.2.0 5200",
    ]);
  });
});

describe("what is refused or has no effect", () => {
  test.each([
    [V4, "10.0.0.9:5000", "this is no IPv4 multicast address and port"],
    [V4, "[ff15::8]:5000", "this is no IPv4 multicast address and port; take one like 239.255.7.0:8799"],
    [V4, "239.1.2.0:70000", "this is no IPv4 multicast address and port"],
    [V6, "239.1.2.0:5000", "this is no IPv6 multicast address and port; take one like [ff15::7:0]:8799"],
    [V4, "239.1.2.4:5000", "the 8 addresses from there on are used"],
    [V6, "[ff15::5]:5000", "let its last byte be a multiple of 8"],
    [V6, "[ff01::8]:5000", "no frame to it leaves a host; take one like [ff15::7:0]:8799"],
    [V6, "[ff10::8]:5000", "no frame to it leaves a host"],
    [V4, "239.1.2.0:8800", "port 8800 is what the member at 10.0.0.1:8800 has; multicasts need a port"],
    [`${V4}groups 2\n`, "239.1.2.0:8700", "has, or what its groups have (100 apart)"],
    [`${V4}groups 2\n`, "239.1.2.0:8900", "has, or what its groups have (100 apart)"],
    [
      `${V4}groups 3\n`,
      "239.1.2.0:65400",
      "with 3 groups ports up to 65600 would be needed; take a port up to 65335",
    ],
    ["acceptor 0 ::1 8800\nproposer 0 ::1 8801\n", "yes", "the loopback interface carries no IPv6 multicast"],
  ])("%j udp-multicast %s", (members, value, complaint) => {
    const line = members.split("\n").length;
    const said = complaints(`${members}udp-multicast ${value}\n`);
    expect(said).toStartWith(`${line}: error: udp-multicast ${value}: `);
    expect(said).toContain(complaint);
  });

  test("words that are neither yes, no nor an address", () => {
    expect(complaints(`${V4}udp-multicast maybe\n`)).toContain(
      "it takes yes, no, or a multicast address with a port, as 239.255.7.0:8799",
    );
  });

  test("a port that is near a group's, and the groups do not reach", () => {
    expect(complaints(`${V4}groups 2\nudp-multicast 239.1.2.0:9000\n`)).toBe("");
    expect(complaints(`${V4}groups 2\nudp-multicast 239.1.2.0:8799\n`)).toBe("");
  });

  test("on raw Ethernet, and in the Kernel_Paxos wire", () => {
    expect(complaints(`${ETHERNET}udp-multicast yes\n`)).toContain(
      "warning: udp-multicast yes has no effect: the members have MAC addresses",
    );
    expect(complaints(`${ETHERNET}offload no\nwire kernel-paxos\n`)).toContain("offload no has no effect");
    expect(complaints(`${ETHERNET}offload no\nreceive-mode ring\n`)).toBe("");
    expect(complaints(`${V4}udp-multicast yes\nwire kernel-paxos\n`)).toContain(
      "udp-multicast yes has no effect: the kernel-paxos wire has no such thing",
    );
    expect(complaints(`${V4}udp-multicast no\n`)).toBe("");
    expect(hasMulticast(parsed(`${V4}udp-multicast NO\n`))).toBe(false);
  });
});
