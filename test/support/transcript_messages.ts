/**
 * The commands of transcripts that are messages, as calls of `Receiver`.
 */
import type { Roles } from "../../src/node/roles.ts";
import { RecordFlag } from "../../src/protocol/acceptor/journal.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { MAX_IID, RepeatFlag } from "../../src/protocol/types.ts";
import { peerOf, type Recorder } from "./recorder.ts";
import { type Args, vectorOf } from "./transcript_args.ts";

/** Of three acceptors that nobody has heard of. */
const STANDING = new StandingVector(3).bytes;
/** What is no message. */
export const QUIET: Readonly<Record<string, (recorder: Recorder, args: Args) => void>> = {
  frames: (recorder, args) => {
    recorder.frames = args.number("free");
  },
  application: (recorder, args) => {
    if (args.has("takes")) recorder.takes = args.text("takes") === "yes";
    if (args.has("acknowledged")) recorder.acknowledgedIid = args.number("acknowledged");
  },
};

export const MESSAGES: Readonly<Record<string, (roles: Roles, args: Args) => void>> = {
  prepare: (r, a) => r.onPrepare(a.peer(), a.number("iid"), a.ballot(), a.number("life", 0)),
  promise: (r, a) => {
    const { bytes, offset, length } = a.value();
    for (const aid of a.aids()) {
      const valueBallot = a.ballot("valueBallot", "none");
      r.onPromise(
        a.peer(),
        aid,
        a.number("iid"),
        a.ballot(),
        valueBallot,
        bytes,
        offset,
        Math.max(0, length),
      );
    }
  },
  /** One frame of a range promise; its records are `iid:round.id:value`, one after the other; then h (hearsay) and c (chosen). `more`: of a burst that goes on. */
  rangePromise: (r, a) => {
    for (const aid of a.aids()) {
      const asked = a.number("asked", 1);
      const first = a.number("first", asked);
      const trim = a.number("trim", 0);
      const standing = a.has("vector") ? vectorOf(a.text("vector")).bytes : STANDING;
      r.onPromiseBegin(
        a.peer(),
        aid,
        a.ballot(),
        a.number("life", 7),
        asked,
        first,
        a.number("last", MAX_IID),
        trim,
        standing,
        0,
        standing.length,
      );
      for (const record of a.text("records", "").split(",").filter(Boolean)) {
        const [iid, ballot, text, marks = ""] = record.split(":");
        const flags =
          (marks.includes("h") ? RecordFlag.hearsay : 0) | (marks.includes("c") ? RecordFlag.chosen : 0);
        const value = a.like(`record ballot=${ballot} value=${text}`);
        const { bytes, offset, length } = value.value();
        r.onPromiseRecord(a.peer(), aid, Number(iid), value.ballot(), 1, flags, bytes, offset, length);
      }
      r.onPromiseEnd(a.peer(), aid, a.has("more"));
    }
  },
  accept: (r, a) => {
    const { bytes, offset, length } = a.value();
    const iid = a.number("iid");
    r.onAccept(a.peer(), iid, a.number("riding", 0), a.ballot(), a.number("life", 0), bytes, offset, length);
  },
  accepted: (r, a) => {
    const { bytes, offset, length } = a.value();
    for (const aid of a.aids()) {
      const riding = a.number("riding", 0);
      const life = a.number("life", 0);
      r.onAccepted(a.peer(), aid, a.number("iid"), riding, a.ballot(), life, bytes, offset, length);
    }
  },
  /** The answer to a repeat: `known`, `marked`, `hearsay`. */
  repeated: (r, a) => {
    const { bytes, offset, length } = a.value();
    let flags = 0;
    for (const [name, bit] of Object.entries(RepeatFlag)) if (a.has(name)) flags |= bit;
    for (const aid of a.aids()) {
      const life = a.number("life", 7);
      r.onRepeated(a.peer(), aid, a.number("iid"), a.ballot(), life, flags, bytes, offset, length);
    }
  },
  acceptedRange: (r, a) => {
    for (const aid of a.aids()) {
      const first = a.number("first");
      r.onAcceptedRange(a.peer(), aid, first, a.number("last"), a.ballot(), a.number("life", 0));
    }
  },
  chosen: (r, a) => r.onChosen(a.peer(), a.number("iid"), a.ballot(), a.number("life", 0)),
  heartbeat: (r, a) =>
    r.onHeartbeat(
      a.peer(),
      a.number("iid"),
      a.ballot(),
      a.number("life", 0),
      a.number("round", 0),
      a.number("leaseMs", 0),
    ),
  echo: (r, a) => {
    for (const aid of a.aids()) {
      r.onEcho(a.peer(), aid, a.number("iid", 0), a.ballot(), a.number("life", 7), a.number("round"));
    }
  },
  preVoted: (r, a) => {
    for (const aid of a.aids()) {
      r.onPreVoted(a.peer(), aid, a.number("round", 1), a.ballot("ballot", "none"), !a.has("refused"));
    }
  },
  standingAsk: (r, a) => {
    const generation = a.number("generation", 0);
    for (const aid of a.aids()) {
      const standing = a.standing();
      r.onStandingAsk(peerOf(`a${aid}`), aid, a.number("nonce", 1), standing, generation, a.number("life"));
    }
  },
  standing: (r, a) => {
    const { bytes } = vectorOf(a.text("vector"));
    for (const aid of a.aids()) {
      const ballot = a.ballot("ballot", "none");
      const peer = peerOf(`a${aid}`);
      r.onStanding(peer, aid, a.number("nonce"), a.standing(), ballot, bytes, 0, bytes.length);
    }
  },
  recover: (r, a) => {
    for (const aid of a.aids()) {
      r.onRecover(
        peerOf(`a${aid}`),
        aid,
        a.number("iid", 1),
        a.ballot(),
        a.number("life"),
        a.number("frames", 1),
      );
    }
  },
  preVote: (r, a) => r.onPreVote(a.peer(), a.number("round", 1), a.ballot()),
  readAsk: (r, a) => r.onReadAsk(a.peer(), a.number("nonce")),
  advance: (r, a) => r.onAdvance(a.peer(), a.number("iid")),
  preempted: (r, a) => r.onPreempted(a.peer(), a.aids()[0]!, a.number("iid", 1), a.ballot()),
  repeat: (r, a) => r.onRepeat(a.peer(), a.number("first"), a.number("last")),
  trim: (r, a) => r.onTrim(a.peer(), a.number("iid"), !a.has("alone"), a.number("kind", 0)),
  state: (r, a) => {
    for (const aid of a.aids()) {
      const flags = (a.has("halfFull") ? 1 : 0) | (a.has("full") ? 2 : 0);
      r.onAcceptorState(
        a.peer(),
        aid,
        a.number("trim", 0),
        a.number("highest", 0),
        flags,
        a.number("log", 0),
      );
    }
  },
  value: (r, a) => {
    const { bytes, offset, length } = a.value();
    r.onClientValue(a.peer(), bytes, offset, length, a.number("hops", 0));
  },
  hi: (r, a) => r.onLearnerHi(a.peer()),
  del: (r, a) => r.onLearnerDel(a.peer()),
  ok: (r, a) => {
    for (const aid of a.aids()) r.onAcceptorOk(peerOf(`a${aid}`));
  },
};
