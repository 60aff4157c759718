/**
 * The ends of a measured link: frames in bundles or not, and an end that answers, which takes them as whoever measures
 * wants them; over UDP, and raw Ethernet between network namespaces. Figures are not looked at, only that there are some.
 */
import { afterEach, expect, test } from "bun:test";
import { LinkDriver, type LinkFigures } from "../src/bench/link_ends.ts";
import { type LinkPlace, openLink, type Packets } from "../src/bench/link_frames.ts";
import { parseUdp } from "../src/net/address.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { freePorts } from "../src/ops/free_ports.ts";
import { LabProcess } from "../src/ops/lab_process.ts";
import { Children } from "./support/children.ts";
import { COMMAND } from "./support/cluster.ts";
import { describeNetns } from "./support/netns.ts";

const SECONDS = 0.1;
const HOST = "127.0.0.1";
const ANYWHERE: LinkPlace = { interfaceName: undefined, listen: undefined, spinUs: 0 };
/** Buffers for messages of 64 KiB stand in the area of a link that takes bundles. */
const BUNDLES_BYTES = 8 << 20;

const links: SystemLink[] = [];
const children = new Children();

function open(packets: Packets): SystemLink {
  const link = openLink(ANYWHERE, packets);
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

test("the end that answers is opened anew for frames of the other kind, and only for these", async () => {
  const [port] = await freePorts(1, HOST);
  const argv = [...COMMAND, "bench", "link", "--listen", "--address", `${HOST}:${port}`];
  const there = new LabProcess("the end that answers", argv, children.spawn(argv, {}));
  await there.ready(20_000);
  for (const packets of ["bundles", "single", "single", "bundles"] as const) {
    const driver = new LinkDriver(
      open(packets),
      parseUdp(HOST, port!)!,
      packets,
      new AbortController().signal,
    );
    const { oneWay, roundTrips, ...what } = await driver.measure(64, SECONDS);
    expect(what).toEqual({ bytes: 64, packets });
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

describeNetns("raw Ethernet", () => {
  test("is measured in bundles and without", () => {
    const argv = [...COMMAND, "bench", "link", "--json", "--seconds", "0.2", "--sizes", "64,1500"];
    const { stdout, stderr, exitCode } = Bun.spawnSync(argv);
    expect(stderr.toString()).toBe("");
    expect(exitCode).toBe(0);
    const { figures } = JSON.parse(stdout.toString()) as { figures: LinkFigures[] };
    expect(figures.map(({ bytes, packets }) => [bytes, packets])).toEqual([
      [64, "bundles"],
      [64, "single"],
      [1500, "bundles"],
      [1500, "single"],
    ]);
    for (const { oneWay, roundTrips } of figures) {
      expect(oneWay.receivedPerSecond).toBeGreaterThan(0);
      expect(roundTrips.perSecond).toBeGreaterThan(0);
    }
  }, 60_000);
});
