/**
 * The ends of a measured link over UDP: datagrams in bundles or not, and an end that answers, which takes them as whoever measures
 * wants them. Figures are not looked at, only that there are some.
 */
import { afterEach, expect, test } from "bun:test";
import { LinkDriver } from "../src/bench/link_ends.ts";
import { type Datagrams, type LinkPlace, openLink } from "../src/bench/link_frames.ts";
import { parseUdp } from "../src/net/address.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { freePorts } from "../src/ops/free_ports.ts";
import { LabProcess } from "../src/ops/lab_process.ts";
import { Children } from "./support/children.ts";
import { COMMAND } from "./support/cluster.ts";

const SECONDS = 0.1;
const HOST = "127.0.0.1";
const ANYWHERE: LinkPlace = { interfaceName: undefined, listen: undefined, spinUs: 0 };
/** Buffers for messages of 64 KiB stand in the area of a link that takes bundles. */
const BUNDLES_BYTES = 8 << 20;

const links: SystemLink[] = [];
const children = new Children();

function open(datagrams: Datagrams): SystemLink {
  const link = openLink(ANYWHERE, datagrams);
  links.push(link);
  return link;
}

afterEach(() => {
  for (const link of links.splice(0)) link.close();
  children.kill();
});

test("a link is opened with bundles or without", () => {
  const [bundles, single] = [open("bundles"), open("single")].map(({ area }) => area.bytes.length);
  expect(single!).toBeLessThan(BUNDLES_BYTES);
  expect(bundles!).toBeGreaterThan(BUNDLES_BYTES);
});

test("the end that answers is opened anew for datagrams of the other kind, and only for these", async () => {
  const [port] = await freePorts(1, HOST);
  const argv = [...COMMAND, "bench", "link", "--listen", "--address", `${HOST}:${port}`];
  const there = new LabProcess("the end that answers", argv, children.spawn(argv, {}));
  await there.ready(20_000);
  for (const datagrams of ["bundles", "single", "single", "bundles"] as const) {
    const driver = new LinkDriver(
      open(datagrams),
      parseUdp(HOST, port!)!,
      datagrams,
      new AbortController().signal,
    );
    const { oneWay, roundTrips, ...what } = await driver.measure(64, SECONDS);
    expect(what).toEqual({ bytes: 64, datagrams });
    expect(oneWay.receivedPerSecond).toBeGreaterThan(0);
    expect(roundTrips.perSecond).toBeGreaterThan(0);
  }
  there.kill("SIGTERM");
  await there.exited;
  expect(there.stderr.map((line) => line.match(/ready|one by one|in bundles/)?.[0])).toEqual([
    "ready",
    "one by one",
    "in bundles",
  ]);
}, 60_000);
