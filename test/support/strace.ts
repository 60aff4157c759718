/**
 * Tests that look at a process's system calls need strace and the permission to trace.
 */

/** Why there is none; undefined when there is. */
export function whyNoStrace(): string | undefined {
  const reason = missing();
  if (reason !== undefined && process.env.KPAXOS_REQUIRE_NETNS === "1") {
    throw new Error(`KPAXOS_REQUIRE_NETNS=1, but ${reason}`);
  }
  return reason;
}

function missing(): string | undefined {
  if (Bun.which("strace") === null) return "strace is not installed (Debian, Ubuntu: apt-get install strace)";
  const { exitCode } = Bun.spawnSync(["strace", "-o", "/dev/null", "true"]);
  return exitCode === 0 ? undefined : "this user may not trace processes";
}
