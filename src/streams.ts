/**
 * Standard output and standard error. Making one of them costs a millisecond or more, and a role may never write a line: each is
 * made when it is first asked for, and watched from then on. Nothing else in src takes them from `process`.
 */
type OnError = (error: NodeJS.ErrnoException) => void;

let onOutputError: OnError | undefined;
let onErrorError: OnError | undefined;
let output: NodeJS.WriteStream | undefined;
let errors: NodeJS.WriteStream | undefined;
let areEnding = false;
let onReaderGone: (() => void) | undefined;

/** Who is told of what fails. To be called before anything is written. */
export function watchStreams(ofOutput: OnError, ofErrors: OnError): void {
  onOutputError = ofOutput;
  onErrorError = ofErrors;
}

export function standardOutput(): NodeJS.WriteStream {
  output ??= watched(process.stdout, onOutputError);
  return output;
}

export function standardError(): NodeJS.WriteStream {
  errors ??= watched(process.stderr, onErrorError);
  return errors;
}

function watched(stream: NodeJS.WriteStream, onError: OnError | undefined): NodeJS.WriteStream {
  if (onError !== undefined) stream.on("error", onError);
  return stream;
}

/** What is done instead of ending when the reader of standard output has gone, by who has more to do than to tell it. */
export function whenReaderLeaves(goOn: () => void): void {
  onReaderGone = goOn;
}

/** The reader of standard output has gone. False: nothing is left to do. */
export function readerHasLeft(): boolean {
  onReaderGone?.();
  return onReaderGone !== undefined;
}

/** What is written from now on may not go out before the process ends. */
export function streamsAreEnding(): boolean {
  return areEnding;
}

/** Calls `done` when what was written has gone out: a pipe takes it as fast as its reader reads. */
export function endStreams(done: () => void): void {
  areEnding = true;
  endOne(output, () => endOne(errors, done));
}

/** Only `end` waits for that; the callback of a `write` does not. */
function endOne(stream: NodeJS.WriteStream | undefined, done: () => void): void {
  if (stream === undefined) done();
  else stream.end(done);
}
