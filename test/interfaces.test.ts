import { describe, expect, test } from "bun:test";
import { CliError } from "../src/error.ts";
import { parseMac } from "../src/net/address.ts";
import {
  findInterface,
  type InterfaceInfo,
  listInterfaces,
  type WantedInterface,
} from "../src/net/interfaces.ts";

function make(name: string, mac: string, more: Partial<InterfaceInfo> = {}): InterfaceInfo {
  const { words } = parseMac(mac)!;
  const plain = { index: 2, mtu: 1500, up: true, running: true, loopback: false, ethernet: true };
  return { ...plain, name, mac, words, ...more };
}

const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";
const lo = make("lo", "00:00:00:00:00:00", { loopback: true, mtu: 65536 });
const eth0 = make("eth0", A);
const eth1 = make("eth1", B);
const tunnel = make("wg0", "00:00:00:00:00:00", { ethernet: false });
const down = make("eth2", "02:00:00:00:00:0c", { up: false });
const small = make("eth3", "02:00:00:00:00:0d", { mtu: 200 });
const host = [lo, eth0, eth1, tunnel, down, small];

describe("the interface that is meant", () => {
  const cases: [string, WantedInterface, readonly InterfaceInfo[], string][] = [
    ["has the role's address", { mac: B }, host, "eth1"],
    ["has the role's address, written otherwise", { mac: "2-0-0-0-0-B" }, host, "eth1"],
    ["has the role's address, whatever the file says", { mac: B, configured: "eth0" }, host, "eth1"],
    ["has the role's address and is the one named", { mac: B, flag: "eth1" }, host, "eth1"],
    ["is lo when the flag says so", { mac: B, flag: "lo" }, host, "lo"],
    ["is lo when the file says so", { mac: B, configured: "lo" }, host, "lo"],
    ["is the flag's without an address", { flag: "eth1", configured: "eth0" }, host, "eth1"],
    ["is the file's without flag", { configured: "eth0" }, host, "eth0"],
    ["is the only candidate", {}, [lo, eth1, tunnel, down], "eth1"],
    ["is the only candidate, empty settings", { flag: "", configured: "" }, [lo, eth1], "eth1"],
    [
      "is the one that is up of those with the MAC",
      { mac: A },
      [make("br0", A, { up: false }), eth0],
      "eth0",
    ],
    ["is the one named of those with the MAC", { mac: A, configured: "br0" }, [make("br0", A), eth0], "br0"],
    ["is the one flagged of those with the MAC", { mac: A, flag: "br0" }, [eth0, make("br0", A)], "br0"],
  ];
  test.each(cases)("%s", (_, wanted, interfaces, expected) => {
    expect(findInterface(wanted, interfaces).name).toBe(expected);
  });
});

describe("each failure says what is wrong", () => {
  const cases: [WantedInterface, readonly InterfaceInfo[], number, RegExp, RegExp][] = [
    [
      { flag: "eth9" },
      host,
      69,
      /no network interface eth9/,
      /lo \(00.*eth0 \(02:00:00:00:00:0a\).*eth2.*down/,
    ],
    [{ configured: "eth9" }, host, 69, /no network interface eth9/, /this host has/],
    [{ mac: "02:00:00:00:00:ff" }, host, 69, /02:00:00:00:00:ff is not on this host/, /eth0/],
    [{ mac: A, flag: "eth1" }, host, 69, /eth1 has MAC 02:00:00:00:00:0b, not/, /--id/],
    [{ mac: down.mac }, host, 69, /eth2 is down/, /ip link set eth2 up/],
    [{ flag: "eth2" }, host, 69, /eth2 is down/, /ip link set eth2 up/],
    [{ flag: "eth3" }, host, 69, /MTU of eth3 is 200/, /ip link set eth3 mtu/],
    [{ flag: "eth0", minMtu: 9000 }, host, 69, /MTU of eth0 is 1500, at least 9000/, /mtu 9000/],
    [{ flag: "wg0" }, host, 69, /wg0 is no Ethernet interface/, /--if/],
    [{}, host, 2, /several network interfaces.*eth0, eth1/, /--if/],
    [{ mac: A }, [eth0, make("br0", A)], 2, /several interfaces have the MAC.*eth0, br0/, /--if/],
    [{}, [lo, down, tunnel], 69, /no Ethernet interface is up/, /--if lo/],
    [{}, [], 69, /no Ethernet interface is up/, /none/],
  ];
  test.each(cases)("%p", (wanted, interfaces, exitCode, message, hint) => {
    let error: unknown;
    try {
      findInterface(wanted, interfaces);
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof CliError)) throw new Error("a CliError was expected");
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    expect(error.exitCode as number).toBe(exitCode);
  });
});

test("this host's own list has lo in it", () => {
  const found = listInterfaces().find((one) => one.name === "lo");
  expect(found?.loopback).toBe(true);
  expect(found?.ethernet).toBe(true);
  expect(found?.mac).toBe("00:00:00:00:00:00");
});
