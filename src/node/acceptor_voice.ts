/**
 * How an acceptor of the native wire has come to vote, and why one does not: in words that say what to do.
 */
import type { Settings } from "../config/config.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Acceptor } from "../protocol/acceptor/acceptor.ts";
import type { FellowAcceptors } from "../protocol/acceptor/fellow_acceptors.ts";
import { othersInQuorum, othersNeeded } from "../protocol/acceptor/recovery.ts";
import { Standing } from "../protocol/types.ts";
import { storageFile } from "../storage/open.ts";

const RISK =
  "if it ever voted before, what it promised and accepted then is forgotten, and two values may be chosen for one instance";

/** How it came to vote; undefined: there is nothing new to say. */
export function voiceText(
  acceptor: Acceptor,
): { readonly warns: boolean; readonly text: string } | undefined {
  const { fellows, log } = acceptor;
  if (fellows === null || fellows.birth.voice === null) return undefined;
  const { generation, voice } = fellows.birth;
  switch (voice) {
    case "kept":
      return { warns: false, text: `votes: goes on with what it has kept, at generation ${generation}` };
    case "born":
      return { warns: false, text: `votes: born with the cluster, at generation ${generation}` };
    case "alone":
      return {
        warns: true,
        text: `votes without asking the others, as --fresh says, at generation ${generation}: ${RISK}`,
      };
    case "recovered": {
      const what = `${fellows.recovery.records} records, up to instance ${log.highestIid}, trimmed to ${log.trimIid}`;
      return {
        warns: false,
        text: `votes: has recovered what the others hold, at generation ${generation}: ${what}`,
      };
    }
  }
}

/** Why it does not vote, and what to do about it. */
export function silenceText(fellows: FellowAcceptors, acceptors: number): string {
  const { birth, recovery } = fellows;
  if (birth.isAsking) {
    const asked = othersInQuorum(acceptors);
    const who = named(fellows, 0);
    const may = birth.roll.count(Standing.voting) + birth.roll.count(0);
    const what =
      may < asked
        ? `: ${named(fellows, Standing.recovering)}, and wait for this one: as many at once that chosen values may be lost; one of them goes on with --fresh`
        : who === ""
          ? ""
          : `: ${who}, start what is missing`;
    return `does not vote yet: asks whether another has voted in its place meanwhile; ${asked} of the others that vote have to answer${what}`;
  }
  if (birth.isRecovering && recovery.lacks !== undefined) {
    return `does not vote yet: what the others hold does not fit its window: it goes on as they trim; acceptor-window-${recovery.lacks} must be the same for all acceptors`;
  }
  const needed = othersNeeded(acceptors);
  const voting = birth.roll.count(Standing.voting);
  const answered = acceptors - 1 - birth.roll.count(0);
  const silent = named(fellows, 0);
  const start = silent === "" ? "" : `: ${silent}, start what is missing`;
  if (birth.isRecovering || voting >= needed) {
    return `does not vote yet: recovers what others hold; ${needed} of them have to answer, ${recovery.answers} have${start}`;
  }
  if (voting > 0) {
    const lost =
      answered === acceptors - 1
        ? ": as many have forgotten everything at once that chosen values may be lost; whoever cannot be started with its state goes on with --fresh"
        : start;
    return `does not vote yet: to recover it needs ${needed} others that vote, and hears ${voting}${lost}`;
  }
  const others = named(fellows, Standing.recovering);
  const waits = others === "" ? "" : `, ${others}`;
  return `does not vote yet: a new cluster begins when all ${acceptors} acceptors are there${start}${waits}; or start this one with --fresh, if none of them has ever voted`;
}

/** An acceptor that may not go on with what it has kept: another has voted in its place since, or may have. */
export class OutlivedError extends CliError {}

export function outlivedError(acceptor: Acceptor, settings: Readonly<Settings>): OutlivedError {
  const { aid, fellows, standing } = acceptor;
  const file = storageFile(settings, aid);
  const { outlivedBy } = fellows!.birth;
  const own = standing.generations[aid]!;
  const known =
    outlivedBy === own ? `another one born at generation ${own}` : `one of generation ${outlivedBy}`;
  return new OutlivedError(
    `acceptor ${aid} was replaced: the others know of ${known}, and ${file} has what one of generation ${own} kept; what was voted since is not in it`,
    {
      exitCode: ExitCode.config,
      hint: "start it with the files that it had last; if they are gone, start it once with --acceptor-trash-files: it recovers what the others hold",
    },
  );
}

/** Said once by one in memory, which recovers. */
export function outlivedText({ fellows }: Acceptor): string {
  return `was replaced while it stood still: the others know of its generation ${fellows!.birth.outlivedBy}; it gives up its votes, and recovers what the others hold`;
}

/** The others that said they are this (0: that said nothing). */
function named({ birth }: FellowAcceptors, standing: number): string {
  const ids: number[] = [];
  birth.roll.answers.forEach((answer, aid) => {
    if (answer === standing && aid !== birth.aid) ids.push(aid);
  });
  if (ids.length === 0) return "";
  const who = `acceptor${ids.length > 1 ? "s" : ""} ${ids.join(", ")}`;
  const does = ids.length > 1 ? "do" : "does";
  return standing === 0
    ? `${who} ${does} not answer`
    : `${who} ${ids.length > 1 ? "have" : "has"} forgotten everything`;
}
