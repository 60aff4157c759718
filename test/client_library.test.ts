/**
 * `Client`, the library's way to have values chosen: what it refuses, what becomes of values that nobody confirms. That it works is
 * shown by `docs_library.e2e.test.ts`, and by `client_library.e2e.test.ts` with a leader that dies.
 */
import { expect, spyOn, test } from "bun:test";
import { Client, type ClientOptions, OutcomeUnknownError } from "../src/api/client.ts";
import { PENDING_LIMIT } from "../src/api/machine_host.ts";
import { parseConfig } from "../src/config/parse.ts";
import { CliError, ExitCode } from "../src/error.ts";
import { Process } from "../src/node/process.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { failure } from "./support/refusal.ts";

const MEMBERS = "acceptor 0 127.0.0.1 1\nproposer 0 127.0.0.1 2\n";

function newClient(settings = "", options: Partial<ClientOptions> = {}): Client {
  const { config, diagnostics } = parseConfig(`${MEMBERS}${settings}`, "paxos.conf");
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  return new Client({ config, log: collectingLog().log, ...options });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

test("it is for the native wire, and for a proposer that there is", () => {
  const error = (settings: string, options: Partial<ClientOptions> = {}): CliError => {
    try {
      newClient(settings, options);
    } catch (reason) {
      if (reason instanceof CliError) return reason;
    }
    throw new Error("expected a CliError");
  };
  expect(error("wire kernel-paxos\n")).toMatchObject({ exitCode: ExitCode.config });
  expect(error("wire kernel-paxos\n").hint).toContain("wire native");
  expect(error("", { proposer: 4 }).message).toBe("paxos.conf has no proposer 4");
});

test("the file's processors and priorities are not for the program's thread, unless it wants them", async () => {
  // No machine has that processor.
  const cpu = "cpu 1023\n";
  await newClient(cpu).close();
  expect(() => newClient(cpu, { tuneThread: true })).toThrow(/cpu 1023/);
  const { config } = parseConfig(MEMBERS, "paxos.conf", { flags: { cpu: "1023" } });
  expect(() => newClient("", { config: config! })).toThrow(/cpu 1023/);
});

test("an id or a patience that makes no sense is refused at once", () => {
  for (const id of [-1, 1.5, 65_535, Number.NaN])
    expect(() => newClient("", { id })).toThrow(/from 0 to 65534/);
  for (const timeoutMs of [0, -1, Number.NaN])
    expect(() => newClient("", { timeoutMs })).toThrow(/timeoutMs .* milliseconds above 0/);
});

test("what was not submitted says so; what nobody confirms has an unknown outcome", async () => {
  const client = newClient("max-value-size 64KiB\n", { timeoutMs: 150 });
  const ended = client.run();
  expect(client.maxValueBytes).toBe(65536);
  const tooLarge = await failure(client.submit(new Uint8Array(65537)));
  expect(tooLarge).toBeInstanceOf(RangeError);
  expect(tooLarge.message).toContain("max-value-size");
  const late = await failure(client.submit(bytes("a")));
  expect(late).toBeInstanceOf(OutcomeUnknownError);
  expect(late.message).toContain("not confirmed within 150 ms; the value may still be chosen");
  expect(client.pending).toBe(0);
  const pending = failure(client.submit(bytes("b")));
  await client.close();
  // Without a cluster there is no session, so nothing was sent.
  expect((await pending).message).toBe("the client ended; the value was not submitted");
  expect(await pending).not.toBeInstanceOf(OutcomeUnknownError);
  expect(await ended).toBe(ExitCode.ok);
  const closed = await failure(client.submit(bytes("c")));
  expect(closed.message).toBe("the client ended; the value was not submitted");
  expect(closed).not.toBeInstanceOf(OutcomeUnknownError);
});

test("what is submitted before it runs is refused at once", async () => {
  const client = newClient();
  const error = await failure(client.submit(bytes("a")));
  expect(error.message).toBe("the client does not run: call run first; the value was not submitted");
  expect(client.pending).toBe(0);
  await client.close();
});

test("those that are late at once are told of one diagnosis", async () => {
  const client = newClient("", { timeoutMs: 150 });
  const diagnoses = spyOn(Process.prototype, "reasons");
  try {
    const ended = client.run();
    const given = Array.from({ length: 5000 }, () => failure(client.submit(bytes("a"))));
    const ends = await Promise.all(given);
    expect(ends.every((error) => error instanceof OutcomeUnknownError)).toBe(true);
    expect(diagnoses.mock.calls.length).toBeGreaterThan(0);
    expect(diagnoses.mock.calls.length).toBeLessThan(10);
    await client.close();
    await ended;
  } finally {
    diagnoses.mockRestore();
  }
});

test("what waits is bounded, also what was given up", async () => {
  const client = newClient("", { timeoutMs: 60_000 });
  const ended = client.run();
  const given = Array.from({ length: PENDING_LIMIT }, () => failure(client.submit(bytes("a"))));
  const more = await failure(client.submit(bytes("a")));
  expect(more.message).toBe("too many values wait for the cluster already; this one was not submitted");
  await client.close();
  const ends = await Promise.all(given);
  expect(new Set(ends.map(({ message }) => message))).toEqual(
    new Set(["the client ended; the value was not submitted"]),
  );
  await ended;
});
