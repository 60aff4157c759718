/**
 * What the demo says of clusters that do not do what it shows; on UDP, with roles that only look like them.
 */
import { expect, test } from "bun:test";
import { demo } from "./support/fake_demo.ts";

test.concurrent("values that stop are a failure that says when", async () => {
  const ended = await demo(["--udp"], "stall");
  expect(ended.exitCode).toBe(1);
  expect(ended.stderr).toContain("got no value back before an acceptor was killed");
}, 20_000);

test.concurrent("an acceptor that does not say that it votes again is a failure", async () => {
  const ended = await demo(["--udp"], "mute");
  expect(ended.exitCode).toBe(1);
  expect(ended.stderr).toContain("acceptor 2 does not vote again after 30 s; its log ends with");
  expect(ended.stdout).not.toContain("empty memory");
}, 60_000);

test.concurrent("the Kernel_Paxos wire, in which nobody recovers, does not say that somebody did", async () => {
  const ended = await demo(["--udp", "--wire", "kernel-paxos"], "mute");
  expect(ended.exitCode).toBe(0);
  expect(ended.stdout).toContain("came back with an empty memory, and voted at once");
});

test.concurrent("acceptors that do not end at the same instance are told", async () => {
  const ended = await demo(["--udp"], "lags");
  expect(ended.exitCode).toBe(0);
  expect(ended.stdout).toContain("last instance 77, 77, 41: not the same");
});
