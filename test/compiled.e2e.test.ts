/**
 * `dist/kpaxos`, the standalone executable (npm run build), as a stranger's machine meets it: no Node, no Bun, no PATH,
 * an empty directory, a temporary directory that is read-only or noexec.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeUnless } from "./support/skip.ts";
import { until } from "./support/until.ts";
import vectors from "./testdata/kernel-paxos.json" with { type: "json" };

const ROOT = join(import.meta.dir, "..");
const KPAXOS = join(ROOT, "dist/kpaxos");
const LOOPBACK = "127.0.0.1";

let empty = "";
let files = "";
let config = "";

beforeAll(async () => {
  expect(existsSync(KPAXOS), "npm run build comes first").toBe(true);
  // Not in /tmp, which some tests mount something else upon.
  files = mkdtempSync(join(ROOT, "dist/test-"));
  empty = join(files, "empty");
  mkdirSync(empty);
  config = join(files, "paxos.conf");
  const ports = await freePorts(3);
  const roles = ["acceptor", "proposer", "learner"];
  writeFileSync(config, roles.map((role, i) => `${role} 0 ${LOOPBACK} ${ports[i]}\n`).join(""));
});
afterAll(() => rmSync(files, { recursive: true, force: true }));

async function freePorts(count: number): Promise<number[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, () => Bun.udpSocket({ hostname: LOOPBACK, port: 0 })),
  );
  const ports = sockets.map((socket) => socket.port);
  for (const socket of sockets) socket.close();
  return ports;
}

function start(command: readonly string[], env: Record<string, string>, cwd = empty) {
  return Bun.spawn([...command], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

async function kpaxos(words: readonly string[], env: Record<string, string> = {}, cwd = empty) {
  const child = start([KPAXOS, ...words], env, cwd);
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

describe("in an empty directory, with an empty environment", () => {
  test("--version and --help", async () => {
    const { code, out, err } = await kpaxos(["--version"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^kpaxos \d/);
    expect((await kpaxos(["--help"])).out).toContain("Examples:");
  });

  test("config check", async () => {
    expect(await kpaxos(["config", "check", "-f", config])).toMatchObject({ code: 0, err: "" });
    expect((await kpaxos(["config", "check", "-f", "none.conf"])).code).toBe(78);
  });

  test("frame decode, of a vector", async () => {
    const vector = vectors.vectors.find((v) => v.type === "preempted" && (v.fields.iid ?? 0) > 0)!;
    const words = ["frame", "decode", "--json", "--ethertype", vector.ethertype, vector.payload_hex];
    const { code, out, err } = await kpaxos(words);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toMatchObject({ message: "preempted", iid: vector.fields.iid });
  });

  test("sim: a seed is the same run as in a checkout, and a planted bug is found at the same message", async () => {
    const sources = ["bun", join(ROOT, "src/main.ts")];
    for (const [scenario, ...more] of [["kv-replicas"], ["crashes", "--plant", "reply-before-persist"]]) {
      const words = ["sim", "--scenario", scenario!, "--seed", "2", "--duration", "2", "--json", ...more];
      const { out, code } = await kpaxos(words);
      const checkout = start([...sources, ...words], { PATH: process.env.PATH ?? "" });
      const [first] = (await checkout.stdout.text()).split("\n");
      expect(await checkout.exited).toBe(code);
      expect(JSON.parse(out.split("\n")[0]!)).toEqual(JSON.parse(first!));
      expect(JSON.parse(first!).digest).toMatch(/^[0-9a-f]{8}$/);
    }
  }, 60_000);

  test("a wrong word is answered as in a checkout", async () => {
    const { code, err } = await kpaxos(["frme"]);
    expect({ code, err }).toEqual({
      code: 2,
      err: 'error: unknown command "frme" for "kpaxos"\nhint: did you mean kpaxos frame?\n',
    });
  });

  test("files of the directory it runs in are not obeyed", async () => {
    const directory = join(files, "trap");
    mkdirSync(directory);
    writeFileSync(join(directory, "bunfig.toml"), 'preload = ["./trap.js"]\n');
    writeFileSync(join(directory, "trap.js"), 'console.log("trapped");\n');
    writeFileSync(join(directory, ".env"), "KPAXOS_DEBUG=1\n");
    const { out, err } = await kpaxos(["frme"], {}, directory);
    expect(out).toBe("");
    expect(err).not.toContain(" at ");
  });
});

/** A learner until it has opened its link, then SIGTERM. `before` runs it elsewhere: the files are then in `place`. */
async function learner(
  env: Record<string, string>,
  before: readonly string[] = [],
  place = join(ROOT, "dist"),
) {
  const moved = config.replace(join(ROOT, "dist"), place);
  const command = [...before, join(place, "kpaxos"), "run", "learner", "--id", "0", "-f", moved];
  const child = start(command, { ...env, KPAXOS_TRACE_FFI: "1" });
  let err = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const chunk of child.stderr) err += decoder.decode(chunk, { stream: true });
  })();
  await until("the link is open", () => err.includes("ffi: kpx_link") || child.exitCode !== null);
  await Bun.sleep(300);
  child.kill("SIGTERM");
  const code = await child.exited;
  await reading;
  return { code, err };
}

describe("the C library inside it", () => {
  test("is loaded when a role runs, which ends cleanly at SIGTERM", async () => {
    const { code, err } = await learner({});
    expect(err).toContain("ffi: kpx_link");
    expect(code).toBe(0);
  }, 20_000);

  test("is not touched by what does not need it", async () => {
    const env = { KPAXOS_LIBRARY: "/nonexistent.so", KPAXOS_TRACE_FFI: "1" };
    for (const words of [["run", "learner", "--help"], ["--version"], ["config", "check", "-f", config]]) {
      expect(await kpaxos(words, env)).toMatchObject({ code: 0, err: "" });
    }
  });

  test("needs no temporary directory", async () => {
    const missing = "/nonexistent";
    expect((await learner({ TMPDIR: missing, BUN_TMPDIR: missing })).code).toBe(0);
  }, 20_000);

  const noMounts =
    Bun.spawnSync(["unshare", "-m", "true"]).exitCode === 0
      ? undefined
      : "private mounts need root (unshare -m)";
  describeUnless(noMounts, "with a temporary directory that is", () => {
    for (const option of ["noexec", "ro"]) {
      test(`mounted ${option}`, async () => {
        // The checkout itself may lie in /tmp.
        const mounts = `mount --bind ${join(ROOT, "dist")} /mnt && mount -t tmpfs -o ${option} tmpfs /tmp`;
        const shell = ["unshare", "-m", "/bin/sh", "-c", `${mounts} && exec "$@"`, "sh"];
        const { code, err } = await learner({ PATH: "/usr/bin:/bin:/usr/sbin:/sbin" }, shell, "/mnt");
        expect(err).toContain("ffi: kpx_link");
        expect(code).toBe(0);
      }, 20_000);
    }
  });
});

test("start-up is measured (printed, not judged)", async () => {
  const times: number[] = [];
  for (let i = 0; i < 15; i++) {
    const began = performance.now();
    await kpaxos(["--version"]);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  console.log(`kpaxos --version: median ${times[7]!.toFixed(1)} ms, fastest ${times[0]!.toFixed(1)} ms`);
  expect(times[0]!).toBeGreaterThan(0);
}, 30_000);
