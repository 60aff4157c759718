/**
 * An acceptor's storage in its process: opened for the acceptor that the configuration names, and put back into it before
 * its first turn.
 */
import type { Config, Settings } from "../config/config.ts";
import { SCHEMA } from "../config/schema.ts";
import { formatValue } from "../config/values.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import type { Acceptor } from "../protocol/acceptor/acceptor.ts";
import { AcceptorRestore } from "../protocol/acceptor/acceptor_restore.ts";
import { openStorage } from "../storage/open.ts";
import type { Storage } from "../storage/storage.ts";
import { clusterIdOf } from "./identity.ts";

export function openAcceptorStorage(config: Config, acceptor: number, log: Log): Storage {
  const { settings, acceptors } = config;
  const identity = {
    cluster: settings.cluster,
    clusterId: clusterIdOf(config),
    wire: settings.wire,
    acceptors: acceptors.length,
    acceptor,
  };
  return openStorage(settings, identity, (text) => log.warn(text));
}

/** False: the storage held nothing, and the acceptor is empty. `maxValue`: bytes that one instance may carry on this link. */
export function restoreAcceptor(
  acceptor: Acceptor,
  storage: Storage,
  settings: Readonly<Settings>,
  log: Log,
  maxValue: number,
): boolean {
  const restore = new AcceptorRestore(acceptor);
  const kept = storage.replay(restore);
  if (restore.lacks !== undefined) {
    const field = restore.lacks === "bytes" ? "acceptorWindowBytes" : "acceptorWindowInstances";
    const spec = SCHEMA[field];
    throw new CliError("what this acceptor has kept does not fit its window", {
      exitCode: ExitCode.config,
      hint: `raise ${spec.key}: it is ${formatValue(spec, settings[field])} now, and was more when this was written`,
    });
  }
  if (restore.longest > maxValue) {
    throw new CliError(
      `what this acceptor has kept does not fit a frame: ${restore.longest} bytes in an instance, of which one may have ${maxValue} here`,
      {
        exitCode: ExitCode.config,
        hint: "frames were larger when this was written: raise the interface's MTU to what it was, or go back from UDP to Ethernet",
      },
    );
  }
  if (storage.forgets) {
    const text = "this acceptor keeps everything in memory: after a restart it has forgotten its promises";
    if (settings.wire === "native") log.info(`${text}, and asks a majority of the others for what they hold`);
    else log.warn(text);
  } else if (kept) {
    const { trimIid, highestIid } = acceptor.log;
    log.info(
      `goes on with ${restore.records} instances up to ${highestIid}, trimmed to ${trimIid}, promised ballot ${acceptor.promised}`,
    );
  }
  return kept;
}
