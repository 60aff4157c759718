/**
 * A program with the face of kpaxos and no Paxos behind it, to test the demo and the harness themselves: FAKE names
 * what it does wrong (`silent`, `crash`, `differ`, `zero`, `stubborn`, `endless`, `stall`, `mute`, `idle`, `lags`).
 */
import { clusterCommand } from "../../src/cli/cluster.ts";
import { defineKpaxosCommand } from "../../src/cli/command.ts";
import { demoCommand } from "../../src/cli/demo.ts";
import { dispatch, report } from "../../src/cli/runner.ts";
import { ExitCode } from "../../src/error.ts";

/** Of each of the demo's four clients. */
const VALUES = 250;
/** The instance up to which an acceptor recovers. */
const RECOVERED = 40;
const wrong = process.env.FAKE ?? "";
const words = process.argv.slice(2);

function flag(name: string): string {
  return words[words.indexOf(name) + 1] ?? "";
}

function figures(): void {
  const wanted = words.includes("--values") ? Number(flag("--values")) : VALUES;
  const values = wrong === "zero" ? 0 : wanted;
  const latencyUs = { mean: 10, p50: 10, p90: 11, p99: 12, p999: 13, max: 14 };
  const all = { values, seconds: 0.5, valuesPerSecond: values * 2, latencyUs, resent: 0, duplicates: 0 };
  console.log(JSON.stringify(all));
}

function client(): void {
  const bounded = words.includes("--seconds") || words.includes("--values");
  if (bounded && wrong !== "endless") {
    figures();
    return;
  }
  process.on("SIGINT", () => {
    figures();
    process.exit(0);
  });
  let second = 0;
  const values = wrong === "stall" ? 0 : 7;
  setInterval(() => console.log(JSON.stringify({ second: ++second, values })), 20);
}

function role(): void {
  if (wrong === "crash" && words[1] === "proposer") {
    console.error("cannot go on");
    process.exit(3);
  }
  process.on("SIGTERM", () => {
    if (wrong === "stubborn" && words[1] === "acceptor") return;
    const isVictim = words[1] === "acceptor" && flag("--id") === "2";
    const last = isVictim && wrong === "idle" ? RECOVERED : isVictim && wrong === "lags" ? RECOVERED + 1 : 77;
    console.error(`last instance ${last}`);
    process.exit(0);
  });
  setInterval(() => undefined, 1000);
  if (wrong === "silent") return;
  console.error(`${words[1]} ready`);
  // Of these lines the demo reads those of an acceptor that was started again.
  if (words[1] === "acceptor" && wrong !== "mute")
    console.error(
      `votes: has recovered what the others hold, at generation 2: 30 records, up to instance ${RECOVERED}, trimmed to 10`,
    );
  if (!words.includes("--print")) return;
  const odd = wrong === "differ" ? Number(flag("--id")) : 0;
  for (let iid = 1; iid <= 4 * VALUES; iid++) {
    const value = (iid === 300 ? odd : iid).toString(16).padStart(4, "0");
    console.log(
      words.includes("--json") ? JSON.stringify({ iid, index: 0, value }) : `${iid} 0 0 ${iid} ${value}`,
    );
  }
}

const root = defineKpaxosCommand({
  meta: { name: "fake", description: "not kpaxos" },
  subCommands: { demo: demoCommand, cluster: clusterCommand },
});

if (words[0] === "demo" || words[0] === "cluster") {
  dispatch(root, words).then(
    (code) => process.exit(code),
    (error: unknown) => process.exit(report(error)),
  );
} else if (words[0] === "run") {
  if (words[1] === "client") client();
  else role();
} else {
  process.exit(ExitCode.usage);
}
