/**
 * Makes the namespaces, cables and bridge that `lab_names` describes, for a laboratory and for a cluster that
 * outlives its maker. `enter` is what has to stand in front of a command to be where namespaces may be made.
 */
import { CliError, ExitCode } from "../error.ts";
import { cableLines, type Host, hostScript, hubScript, sysctlScript } from "./lab_names.ts";

export interface BridgePlan {
  /** Name of the namespace that holds the bridge and the hosts' other cable ends. */
  readonly hub: string;
  readonly mtu: number;
  readonly ip: boolean;
  readonly bridge: boolean;
  readonly enter: readonly string[];
}

function run(argv: readonly string[], input: string): void {
  const result = Bun.spawnSync([...argv], { stdin: Buffer.from(input), stdout: "ignore", stderr: "pipe" });
  if (result.exitCode === 0) return;
  const why = result.stderr.toString().trim();
  throw new CliError(
    `the laboratory could not be built: ${argv.join(" ")}: ${why || `exit ${result.exitCode}`}`,
    {
      exitCode: ExitCode.failure,
      hint: "the kernel needs veth and bridge devices (modules veth, bridge)",
    },
  );
}

function makeNamespaces(plan: BridgePlan, names: readonly string[]): void {
  run([...plan.enter, "ip", "-batch", "-"], names.map((name) => `netns add ${name}\n`).join(""));
  for (const name of names) {
    run([...plan.enter, "ip", "netns", "exec", name, "sh"], sysctlScript(name !== plan.hub && plan.ip));
  }
}

export function buildBridge(plan: BridgePlan, hosts: readonly Host[]): void {
  const { enter, hub } = plan;
  makeNamespaces(plan, [hub, ...hosts.map((host) => host.name)]);
  run([...enter, "ip", "-netns", hub, "-batch", "-"], hubScript(hosts, plan.mtu, plan.bridge));
  for (const host of hosts) run([...enter, "ip", "-netns", host.name, "-batch", "-"], hostScript(host));
}

/** One host more on a bridge that stands. */
export function addHost(plan: BridgePlan, host: Host, index: number): void {
  const { enter, hub } = plan;
  makeNamespaces(plan, [host.name]);
  const cable = cableLines(host, index, plan.mtu, plan.bridge);
  run([...enter, "ip", "-netns", hub, "-batch", "-"], `${cable.join("\n")}\n`);
  run([...enter, "ip", "-netns", host.name, "-batch", "-"], hostScript(host));
}
