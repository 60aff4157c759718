/**
 * A receiver that takes no notice of anything. Who only listens for some messages extends it, and answers none by accident.
 */
import type { Receiver } from "../protocol/receiver.ts";

export class DeafReceiver implements Receiver {
  onGenerations(..._: Parameters<Receiver["onGenerations"]>): void {}
  onAcceptorLife(..._: Parameters<Receiver["onAcceptorLife"]>): void {}
  onPrepare(..._: Parameters<Receiver["onPrepare"]>): void {}
  onPromise(..._: Parameters<Receiver["onPromise"]>): void {}
  onPromiseBegin(..._: Parameters<Receiver["onPromiseBegin"]>): void {}
  onPromiseRecord(..._: Parameters<Receiver["onPromiseRecord"]>): void {}
  onPromiseEnd(..._: Parameters<Receiver["onPromiseEnd"]>): void {}
  onAccept(..._: Parameters<Receiver["onAccept"]>): void {}
  onAccepted(..._: Parameters<Receiver["onAccepted"]>): void {}
  onRepeated(..._: Parameters<Receiver["onRepeated"]>): void {}
  onAcceptedRange(..._: Parameters<Receiver["onAcceptedRange"]>): void {}
  onChosen(..._: Parameters<Receiver["onChosen"]>): void {}
  onHeartbeat(..._: Parameters<Receiver["onHeartbeat"]>): void {}
  onEcho(..._: Parameters<Receiver["onEcho"]>): void {}
  onPreVote(..._: Parameters<Receiver["onPreVote"]>): void {}
  onPreVoted(..._: Parameters<Receiver["onPreVoted"]>): void {}
  onStandingAsk(..._: Parameters<Receiver["onStandingAsk"]>): void {}
  onStanding(..._: Parameters<Receiver["onStanding"]>): void {}
  onRecover(..._: Parameters<Receiver["onRecover"]>): void {}
  onPreempted(..._: Parameters<Receiver["onPreempted"]>): void {}
  onRepeat(..._: Parameters<Receiver["onRepeat"]>): void {}
  onTrim(..._: Parameters<Receiver["onTrim"]>): void {}
  onAcceptorState(..._: Parameters<Receiver["onAcceptorState"]>): void {}
  onClientValue(..._: Parameters<Receiver["onClientValue"]>): void {}
  onBusy(..._: Parameters<Receiver["onBusy"]>): void {}
  onAcknowledge(..._: Parameters<Receiver["onAcknowledge"]>): void {}
  onReadAsk(..._: Parameters<Receiver["onReadAsk"]>): void {}
  onAdvance(..._: Parameters<Receiver["onAdvance"]>): void {}
  onReadIndex(..._: Parameters<Receiver["onReadIndex"]>): void {}
  onSnapshotAsk(..._: Parameters<Receiver["onSnapshotAsk"]>): void {}
  onSnapshotInfo(..._: Parameters<Receiver["onSnapshotInfo"]>): void {}
  onSnapshotFetch(..._: Parameters<Receiver["onSnapshotFetch"]>): void {}
  onSnapshotChunk(..._: Parameters<Receiver["onSnapshotChunk"]>): void {}
  onLearnerHi(..._: Parameters<Receiver["onLearnerHi"]>): void {}
  onLearnerDel(..._: Parameters<Receiver["onLearnerDel"]>): void {}
  onAcceptorOk(..._: Parameters<Receiver["onAcceptorOk"]>): void {}
  onClaim(..._: Parameters<Receiver["onClaim"]>): void {}
  onBundleAsk(..._: Parameters<Receiver["onBundleAsk"]>): void {}
  onBundleAnswer(..._: Parameters<Receiver["onBundleAnswer"]>): void {}
  onSessionOpen(..._: Parameters<Receiver["onSessionOpen"]>): void {}
  onSessionOk(..._: Parameters<Receiver["onSessionOk"]>): void {}
  onSessionClose(..._: Parameters<Receiver["onSessionClose"]>): void {}
  onSessionValue(..._: Parameters<Receiver["onSessionValue"]>): void {}
}
