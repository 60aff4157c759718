/**
 * What this process may do with network namespaces, and how an ordinary user gets to do it: by running the same
 * program again inside a user namespace of its own. Asking changes nothing that stays.
 */
import { CliError, ExitCode } from "../error.ts";

/**
 * `reenter`: not as we are, but `reenter()` gets there. The reason says why nothing else is possible.
 */
export type NamespaceAbility =
  | { readonly ok: true; readonly reenter: boolean }
  | { readonly ok: false; readonly reason: string; readonly hint: string };

const INSIDE = "KPAXOS_INSIDE_USER_NAMESPACE";
let known: NamespaceAbility | undefined;

/** Whether `reenter` brought us here. */
function isInsideUserNamespace(): boolean {
  return process.env[INSIDE] !== undefined;
}

function attempt(argv: string[]): string | undefined {
  const result = Bun.spawnSync(argv, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  if (result.exitCode === 0) return undefined;
  const lines = result.stderr.toString().trim().split("\n");
  return lines[lines.length - 1] || `${argv[0]} exited with ${result.exitCode}`;
}

function ask(): NamespaceAbility {
  if (Bun.which("ip") === null) {
    return {
      ok: false,
      reason: "the program `ip` is missing",
      hint: "install the package iproute2 (Debian, Ubuntu: apt-get install iproute2)",
    };
  }
  const name = `kpx${process.pid}try`;
  const direct = attempt(["ip", "netns", "add", name]);
  if (direct === undefined) {
    const inside = attempt(["ip", "netns", "exec", name, "ip", "link", "set", "lo", "up"]);
    attempt(["ip", "netns", "delete", name]);
    if (inside === undefined) return { ok: true, reenter: false };
    return {
      ok: false,
      reason: `a network namespace can be made but not entered: ${inside}`,
      hint: "run as root outside a container, or use UDP",
    };
  }
  const hint =
    "run as root, or allow unprivileged user namespaces " +
    "(sysctl kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0), or use UDP";
  if (isInsideUserNamespace()) {
    return { ok: false, reason: `the user namespace may not make network namespaces: ${direct}`, hint };
  }
  if (Bun.which("unshare") === null) {
    return {
      ok: false,
      reason: `no permission to make network namespaces (${direct}) and the program \`unshare\` is missing`,
      hint: "run as root, or install the package util-linux",
    };
  }
  const around = attempt(insideUserNamespace(["ip", "netns", "add", name]));
  if (around === undefined) return { ok: true, reenter: true };
  return { ok: false, reason: `no permission to make network namespaces: ${around}`, hint };
}

/** Asks the kernel once per process by trying. */
export function canMakeNamespaces(): NamespaceAbility {
  known ??= ask();
  return known;
}

/** `argv` wrapped so that it runs as root of its own user, network and mount namespace, with an empty /run. */
export function insideUserNamespace(argv: readonly string[]): string[] {
  return [
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--",
    "sh",
    "-c",
    'mount -t tmpfs tmpfs /run && exec "$@"',
    "sh",
    ...argv,
  ];
}

/** The command that starts this very program: the compiled executable alone, or Bun and its script. */
export function selfCommand(): string[] {
  return Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main];
}

/**
 * Runs this program again with `args` where it may make network namespaces, and returns its exit code. Signals
 * are passed on; the terminal delivers its own to both.
 */
export async function reenter(args: readonly string[]): Promise<number> {
  if (isInsideUserNamespace()) {
    throw new CliError("already inside a user namespace, and still no permission", {
      exitCode: ExitCode.noPermission,
    });
  }
  const child = Bun.spawn(insideUserNamespace([...selfCommand(), ...args]), {
    stdio: ["inherit", "inherit", "inherit"],
    env: { ...process.env, [INSIDE]: "1" },
  });
  const onTerminate = (): void => child.kill("SIGTERM");
  const onInterrupt = (): void => child.kill("SIGINT");
  process.on("SIGTERM", onTerminate);
  process.on("SIGINT", onInterrupt);
  try {
    return await child.exited;
  } finally {
    process.off("SIGTERM", onTerminate);
    process.off("SIGINT", onInterrupt);
  }
}
