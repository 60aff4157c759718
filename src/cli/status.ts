/**
 * `kpaxos status`: who leads, what each acceptor holds, who is silent; asked on the wire, from outside. It changes nothing.
 */
import { configsOfGroups } from "../config/groups.ts";
import { asGuest } from "../config/guest.ts";
import { hasMulticast } from "../config/multicast.ts";
import { ExitCode } from "../error.ts";
import type { Built, Context } from "../node/context.ts";
import { groupStatus } from "../node/group_status.ts";
import { drawId } from "../node/identity.ts";
import { Inquiry, leavingOf } from "../node/inquiry.ts";
import { Process } from "../node/process.ts";
import { Role } from "../protocol/types.ts";
import { defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { placeIn, roleArgs, startAll } from "./run_common.ts";
import { groupLines } from "./status_text.ts";
import { stoppable } from "./stoppable.ts";

export const statusCommand = defineKpaxosCommand({
  meta: {
    name: "status",
    description: "ask a cluster how it is: who leads, what each acceptor holds, who is silent",
    examples: [
      { command: "kpaxos status -f paxos.conf", what: "from any host of the network segment" },
      { command: "kpaxos status --json", what: "one JSON object, for a program" },
      { command: "kpaxos status --group 1 --timeout 5", what: "one group, with patience" },
    ],
    notes: [
      "It needs no process on this host, and nobody waits for it. It asks all acceptors and proposers, and ends when all have answered; " +
        "in the Kernel_Paxos wire, unless values are accepted meanwhile, with --timeout.",
      "What paxos.conf says of cpu, scheduling, busy-poll and keep-awake is not for it, only its own flags are.",
      "Exit code 1: no value can be chosen now, for no quorum of acceptors votes and has room, or nobody leads. " +
        "The reasons are printed.",
      "An acceptor follows the ballot of the leader that it echoes (Ethernet); accepted is the ballot of its newest instance. What it has promised lies between.",
      "The Kernel_Paxos wire does not tell who leads (unless values are accepted meanwhile), which proposers live, " +
        "how full acceptors are and what is chosen: there exit code 0 says that a quorum of acceptors answers.",
    ],
  },
  args: {
    timeout: {
      type: "number",
      min: 0.1,
      max: 3600,
      default: 1.2,
      valueHint: "SECONDS",
      description: "how long to wait for those who are silent",
    },
    json: { type: "boolean", description: "one JSON object" },
    ...roleArgs,
  },
  run: async ({ args }) => {
    const { config: theirs, log } = startAll(args, "status");
    const config = asGuest(theirs);
    const configs = configsOfGroups(config);
    const [first, ...others] = configs.map((group) => placeIn(group, "status", undefined));
    const { wire, cluster } = config.settings;
    // An id that no member has; in the native wire leaders and echoes are heard by who listens as a proposer does.
    const id = drawId();
    const listens = Role.client | (wire === "native" ? Role.proposer : Role.learner);
    const inquiries: Inquiry[] = [];
    const process = new Process(
      { ...first!, others, wholeLog: log, id, listens, owns: 0, handlesSignals: false },
      (context): Built => {
        const inquiry = inquire(context);
        inquiries.push(inquiry);
        const pump = (): boolean => {
          if (inquiries.every(({ isComplete }) => isComplete)) process.stop();
          return false;
        };
        return {
          cores: {},
          receiver: inquiry,
          extras: [inquiry, { pump }],
          farewell: () => inquiry.close(),
        };
      },
    );
    const timer = setTimeout(() => process.stop(), args.timeout * 1000);
    try {
      // Whoever ends it has not waited for a verdict.
      await stoppable(async (stop) => {
        stop.addEventListener("abort", () => process.stop());
        await process.run();
        stop.throwIfAborted();
      });
    } finally {
      clearTimeout(timer);
    }
    const groups = configs.map((one, at) => groupStatus(one, inquiries[at]!, process.lanes[at]!.reasons()));
    const ok = groups.every((group) => group.ok);
    if (args.json === true) printJson({ file: config.file, cluster, wire, link: config.link, ok, groups });
    else for (const line of groupLines(groups)) print(line);
    return ok ? ExitCode.ok : ExitCode.failure;
  },
});

function inquire(context: Context): Inquiry {
  const { config, native, opened, random } = context;
  const { members } = opened;
  return new Inquiry(
    {
      acceptors: config.acceptors.length,
      proposers: config.proposers.length,
      native,
      overhears: hasMulticast(config),
      leaves: leavingOf(config.settings.wire, config.link),
      acceptorOf: (peer) => members.acceptors.indexOf(peer),
      proposerOf: (peer) => members.proposers.indexOf(peer),
      random,
    },
    context.outbox(Role.client),
  );
}
