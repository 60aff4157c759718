/**
 * `kpaxos bench link`: what a link carries without Paxos, one way and to and fro: on this machine, or between two hosts.
 */
import type { LinkFigures } from "../bench/link_ends.ts";
import type { Packets } from "../bench/link_frames.ts";
import { ExitCode } from "../error.ts";
import { createLog } from "../log.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { grouped } from "../text/grouped.ts";
import { usageError } from "./args.ts";
import { numbers } from "./bench_lists.ts";
import { type ArgsDef, type ArgValues, defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { stoppable } from "./stoppable.ts";

const SIZES = "64,512,1400";
const MOST_BYTES = 9000;
const LEAST_BYTES = 28;
const SPIN_US = 5000;
const SETTLE_MS = 20_000;
const BOTH_WAYS: readonly Packets[] = ["bundles", "single"];

const linkArgs = {
  sizes: {
    type: "string",
    alias: "s",
    valueHint: "LIST",
    default: SIZES,
    description: `bytes in an Ethernet frame or a datagram, at least ${LEAST_BYTES}`,
  },
  seconds: {
    type: "number",
    min: 0.1,
    max: 3600,
    default: 2,
    description: "of each way and size, in bundles and without",
  },
  udp: { type: "boolean", description: "UDP on 127.0.0.1, even where raw Ethernet is possible" },
  listen: { type: "boolean", description: "be the other end, until a signal" },
  peer: {
    type: "string",
    valueHint: "ADDR",
    description: "measure to the other end at this MAC (with --interface) or IP:port",
  },
  interface: {
    type: "string",
    alias: ["if", "i"],
    valueHint: "NAME",
    description: "raw Ethernet on this interface",
  },
  address: { type: "string", valueHint: "IP:PORT", description: "with --listen: UDP, here" },
  "busy-poll": { type: "boolean", description: "spin for a while before sleeping, at both ends" },
  json: { type: "boolean", description: "print the figures as one JSON object" },
} as const satisfies ArgsDef;
type LinkArgs = ArgValues<typeof linkArgs>;

export const linkCommand = defineKpaxosCommand({
  meta: {
    name: "link",
    description: "the bare message rate and round trip of a link, without Paxos",
    examples: [
      { command: "kpaxos bench link", what: "between two network namespaces of this machine" },
      { command: "kpaxos bench link --udp --sizes 64,1400", what: "UDP on 127.0.0.1" },
      { command: "kpaxos bench link --listen --interface eth0", what: "one of two hosts" },
      {
        command: "kpaxos bench link --interface eth0 --peer 02:00:00:00:00:01",
        what: "the other one, which measures",
      },
    ],
    notes: [
      "One way: frames as fast as they can be sent; what arrives is counted where it arrives (the manual's non-stop figure). " +
        "Round trip: a frame there and back, one after the other. Both ends run in this program's C library, one system call a batch.",
      "Each size is measured twice: with frames that pass the kernel in bundles of up to 64, as those of a cluster do " +
        "(offload, where the kernel has it), and with single ones. Over Ethernet a frame in a bundle has 28 bytes less than one alone.",
      "Raw Ethernet frames have the EtherType 0x88B6, which no role of a cluster hears.",
    ],
  },
  args: linkArgs,
  run: async ({ args }) => {
    const sizes = numbers("--sizes", args.sizes, LEAST_BYTES, MOST_BYTES);
    if (
      args.udp === true &&
      (args.listen === true || args.peer !== undefined || args.interface !== undefined)
    )
      throw usageError(
        "--udp is about a link of this machine alone",
        "leave it out: over UDP one end has --listen --address IP:PORT, the other --peer IP:PORT",
      );
    if (args.listen === true) return await listen(args);
    if (args.address !== undefined) throw usageError("--address goes with --listen");
    if (args.peer === undefined) {
      if (args.interface !== undefined) throw usageError("--interface needs --listen, or --peer MAC");
      return await onThisMachine(args, sizes);
    }
    return await drive(args, args.peer, sizes);
  },
});

function addressOf(flag: string, text: string, kind: Address["kind"]): Address {
  const address = parseAddress(text);
  if (address?.kind === kind) return address;
  const form = kind === "ethernet" ? "a MAC, as 02:00:00:00:00:07" : "IP:port, as 10.0.0.7:9000";
  throw usageError(
    `${flag} expects ${form}, got "${text}"`,
    kind === "ethernet" ? "a MAC goes with --interface" : "a MAC needs --interface NAME",
  );
}

function placeOf(args: LinkArgs) {
  const listen = args.address === undefined ? undefined : addressOf("--address", args.address, "udp");
  return { interfaceName: args.interface, listen, spinUs: args["busy-poll"] === true ? SPIN_US : 0 };
}

async function listen(args: LinkArgs): Promise<ExitCode> {
  if (args.peer !== undefined) throw usageError("--listen and --peer are two ends", "give one of them");
  if ((args.interface === undefined) === (args.address === undefined))
    throw usageError("--listen needs --interface NAME or --address IP:PORT");
  const { listenThere } = await import("../bench/link_ends.ts");
  const log = createLog("info", "bench link");
  const where = args.interface ?? args.address;
  let toldReady = false;
  const ready = (packets: Packets): void => {
    const how = packets === "bundles" ? "in bundles" : "one by one";
    log.info(toldReady ? `takes frames ${how}` : `ready on ${where}`);
    toldReady = true;
  };
  await stoppable(async (stop) => {
    await listenThere(placeOf(args), ready, stop);
    stop.throwIfAborted();
  });
  return ExitCode.ok;
}

async function drive(args: LinkArgs, peer: string, sizes: readonly number[]): Promise<ExitCode> {
  const address = addressOf("--peer", peer, args.interface === undefined ? "udp" : "ethernet");
  const { openLink } = await import("../bench/link_frames.ts");
  const { LinkDriver } = await import("../bench/link_ends.ts");
  const overUdp = address.kind === "udp";
  const figures: LinkFigures[] = [];
  await stoppable(async (stop) => {
    for (const packets of BOTH_WAYS) {
      const link = openLink(placeOf(args), packets);
      try {
        const large = sizes.find((bytes) => bytes > link.maxPayload);
        if (large !== undefined)
          throw usageError(`--sizes: ${large} is more than this link carries: ${link.maxPayload}`);
        const driver = new LinkDriver(link, address, packets, stop);
        for (const bytes of sizes) figures.push(await driver.measure(bytes, args.seconds));
      } finally {
        link.close();
      }
    }
  });
  // Side by side, however they were measured.
  figures.sort((a, b) => sizes.indexOf(a.bytes) - sizes.indexOf(b.bytes));
  printFigures(overUdp ? "UDP" : `raw Ethernet, ${args.interface}`, figures, args.json === true);
  return ExitCode.ok;
}

async function onThisMachine(args: LinkArgs, sizes: readonly number[]): Promise<ExitCode> {
  const { choosePlace, describePlace } = await import("../ops/cluster_place.ts");
  const { runBothEnds } = await import("../bench/link_place.ts");
  const words = ["--sizes", sizes.join(","), "--seconds", `${args.seconds}`];
  if (args["busy-poll"] === true) words.push("--busy-poll");
  const patienceMs = 2 * BOTH_WAYS.length * sizes.length * args.seconds * 1000 + SETTLE_MS;
  const { choice, text } = await stoppable(async (stop) => {
    const choice = choosePlace(args.udp === true ? "udp" : undefined);
    return { choice, text: await runBothEnds(choice, words, patienceMs, stop) };
  });
  const { figures } = JSON.parse(text) as { figures: LinkFigures[] };
  printFigures(describePlace(choice, 2), figures, args.json === true);
  return ExitCode.ok;
}

function printFigures(place: string, figures: readonly LinkFigures[], json: boolean): void {
  if (json) {
    printJson({ place, figures });
    return;
  }
  const titles = [
    "bytes",
    "frames",
    "sent/s",
    "received/s",
    "Mbit/s",
    "lost",
    "round trips/s",
    "p50 µs",
    "p99 µs",
    "max µs",
  ];
  const rows = figures.map(({ bytes, packets, oneWay, roundTrips }) => [
    `${bytes}`,
    packets === "bundles" ? "in bundles" : packets,
    grouped(oneWay.sentPerSecond),
    grouped(oneWay.receivedPerSecond),
    grouped(oneWay.mbps),
    `${(oneWay.lostShare * 100).toFixed(1)} %`,
    grouped(roundTrips.perSecond),
    ...[roundTrips.latencyUs.p50, roundTrips.latencyUs.p99, roundTrips.latencyUs.max].map(grouped),
  ]);
  print(place);
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  );
  for (const row of [titles, ...rows])
    print(row.map((text, column) => text.padStart(widths[column]!)).join("  "));
}
