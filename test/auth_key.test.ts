/**
 * Key files: what is refused and how it is said, the edits of a rotation, `kpaxos key`, and settings that contradict a
 * key. No test may find a key in anything that was printed.
 */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Overrides, parseConfig } from "../src/config/parse.ts";
import { formatDiagnostic } from "../src/config/report.ts";
import { fingerprint, keyPath, newKeyLine, parseKeys, readKeyFile } from "../src/node/key_file.ts";
import { planConfig } from "../src/ops/cluster_plan.ts";
import { kpaxosHere } from "./support/in_process.ts";
import { errorOf, errorOfAsync } from "./support/refusal.ts";

const directory = mkdtempSync(join(tmpdir(), "kpaxos-key-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const SECRET = Buffer.alloc(32, 7).toString("base64");
const LINE = `kpaxos-key-1 ${SECRET}\n`;
const MEMBERS = "acceptor 0 02:00:00:00:00:01\nproposer 0 02:00:00:00:00:02\n";

let files = 0;
function file(text: string, mode = 0o600): string {
  const path = join(directory, `${files++}.key`);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const other = (): string => newKeyLine();

describe("a key file", () => {
  test("one or two keys, comments, blank lines and line ends of any kind", () => {
    const path = file(`# of the lab\r\n\r\n  ${LINE.trim()}  # signs\r\n${other()}`);
    expect(readKeyFile(path).length).toBe(2);
    expect(readKeyFile(path)[0]).toEqual(new Uint8Array(32).fill(7));
    expect(readKeyFile(file(LINE.trim())).length).toBe(1);
  });

  const short = Buffer.alloc(31, 7).toString("base64");
  const long = Buffer.alloc(33, 7).toString("base64");
  test.each([
    ["", / holds no key$/],
    ["# nothing\n", / holds no key$/],
    [SECRET, /:1: this is no key$/],
    [`kpaxos-key-2 ${SECRET}\n`, /:1: this is no key$/],
    [`${LINE}kpaxos-key-1\n`, /:2: this is no key$/],
    [`kpaxos-key-1 ${short}\n`, /:1: this is no key$/],
    [`kpaxos-key-1 ${long}\n`, /:1: this is no key$/],
    [`kpaxos-key-1 ${SECRET.replace("=", "")}\n`, /:1: this is no key$/],
    [`kpaxos-key-1 ${SECRET.replace("B", "-")}\n`, /:1: this is no key$/],
    [`kpaxos-key-1 ${SECRET} ${SECRET}\n`, /:1: this is no key$/],
    [`${LINE}\n${LINE}`, /:3: the same key again$/],
    [`${LINE}${other()}${other()}`, /:3: a third key$/],
    [`${"# \n".repeat(30_000)}${LINE}`, / has \d+ bytes$/],
  ])("%j is refused", (text, message) => {
    const error = errorOf(() => readKeyFile(file(text)));
    expect(error.message).toMatch(message);
    expect(error.exitCode as number).toBe(78);
    expect(`${error.message}${error.hint}`).not.toContain(SECRET.slice(0, 8));
  });

  test.each([0o640, 0o604, 0o644, 0o666, 0o610])("mode %o is refused, with the chmod to run", (mode) => {
    const path = file(LINE, mode);
    const error = errorOf(() => readKeyFile(path));
    expect(error.message).toContain(`is open to other users (mode 0${mode.toString(8)})`);
    expect(error.hint).toContain(`chmod 600 ${path}`);
    expect(error.exitCode as number).toBe(78);
  });

  test("0400 is fine; what is no file, or not there, is refused", () => {
    expect(readKeyFile(file(LINE, 0o400)).length).toBe(1);
    expect(errorOf(() => readKeyFile(directory)).message).toContain("is no plain file");
    expect(errorOf(() => readKeyFile("/dev/null")).message).toContain("is no plain file");
    const missing = errorOf(() => readKeyFile(join(directory, "none")));
    expect(missing.message).toBe(`there is no key file ${directory}/none`);
    expect(missing.hint).toContain("kpaxos key new");
  });
});

describe("kpaxos key", () => {
  test("new: a file for its owner alone, never over another one unless forced", async () => {
    const path = join(directory, "new.key");
    const made = await kpaxosHere("key", "new", path);
    expect(made).toMatchObject({ code: 0, out: "" });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [key] = readKeyFile(path);
    expect(made.err).toBe(`${path}: ${fingerprint(key!)} signs\n`);

    const refused = await errorOfAsync(() => kpaxosHere("key", "new", path));
    expect(refused.message).toContain("is there already");
    expect(readKeyFile(path)[0]).toEqual(key!);
    await kpaxosHere("key", "new", path, "--force");
    // Renamed onto a device it would be the end of that.
    const device = join(directory, "device");
    expect(Bun.spawnSync(["mkfifo", device]).exitCode).toBe(0);
    const spared = await errorOfAsync(() => kpaxosHere("key", "new", device, "--force"));
    expect([spared.message, spared.exitCode as number]).toEqual([`${device} is no plain file`, 78]);
    expect(statSync(device).isFIFO()).toBe(true);
    const inside = await errorOfAsync(() => kpaxosHere("key", "new", directory));
    expect(inside.message).toBe(`${directory} is a directory`);
    expect(readKeyFile(path)[0]).not.toEqual(key!);
    expect(readdirSync(directory).filter((name) => name.startsWith(".new.key"))).toEqual([]);
  });

  test("new where no byte can be written: nothing stays that would be in the way of the next one", () => {
    const path = join(directory, "full.key");
    const script = 'trap "" XFSZ; ulimit -f 0; exec "$@"';
    const main = join(import.meta.dir, "../src/main.ts");
    const child = Bun.spawnSync(["sh", "-c", script, "sh", process.execPath, main, "key", "new", path]);
    expect([child.exitCode, child.stderr.toString()]).toEqual([
      1,
      `error: cannot write ${path}: EFBIG\nhint: name a file in a directory of yours, where there is room\n`,
    ]);
    expect(existsSync(path)).toBe(false);
  });

  test("new without a file: the line on standard output; all are different", async () => {
    const first = await kpaxosHere("key", "new");
    const second = await kpaxosHere("key", "new");
    expect(parseKeys(first.out + second.out, "-").length).toBe(2);
    expect((await errorOfAsync(() => kpaxosHere("key", "new", "--force"))).exitCode as number).toBe(2);
  });

  test("add, promote, drop: the steps of a rotation, comments kept, keys never shown", async () => {
    const path = file(`# the lab\n${LINE}`);
    const print = fingerprint(readKeyFile(path)[0]!);
    await kpaxosHere("key", "add", path);
    const [old, fresh] = readKeyFile(path);
    expect((await kpaxosHere("key", "show", path)).out).toBe(
      `${print}  signs\n${fingerprint(fresh!)}  accepted\n`,
    );
    await kpaxosHere("key", "promote", path);
    expect(readKeyFile(path)).toEqual([fresh!, old!]);
    const dropped = await kpaxosHere("key", "drop", path);
    expect(readKeyFile(path)).toEqual([fresh!]);
    expect(readFileSync(path, "utf8")).toStartWith("# the lab\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(`${dropped.out}${dropped.err}`).not.toContain(Buffer.from(fresh!).toString("base64").slice(0, 8));
    expect(JSON.parse((await kpaxosHere("key", "show", "--json", path)).out)).toEqual({
      file: path,
      keys: [{ fingerprint: fingerprint(fresh!), use: "signs" }],
    });
  });

  test("a step that does not fit the file changes nothing", async () => {
    const one = file(LINE);
    const two = file(`${LINE}${other()}`);
    for (const [step, path] of [["promote", one] as const, ["drop", one] as const, ["add", two] as const]) {
      const before = readFileSync(path, "utf8");
      const error = await errorOfAsync(() => kpaxosHere("key", step, path));
      expect(error.message).toMatch(/holds (one key|2 keys)$/);
      // What is to be done is a command that does it, with this file.
      if (step !== "drop")
        expect(error.hint).toEndWith(`kpaxos key ${step === "add" ? "drop" : "add"} ${path}`);
      expect(readFileSync(path, "utf8")).toBe(before);
    }
  });

  test("an empty name is told as such", async () => {
    for (const step of ["new", "show", "add", "promote", "drop"]) {
      const error = await errorOfAsync(() => kpaxosHere("key", step, ""));
      expect([error.exitCode as number, error.message]).toEqual([2, "the name of the key file is empty"]);
      expect(error.hint).toContain(`kpaxos key ${step} cluster.key`);
    }
  });

  test("behind a symbolic link the file itself is changed", async () => {
    const path = file(LINE);
    const link = join(directory, "link.key");
    symlinkSync(path, link);
    await kpaxosHere("key", "add", link);
    expect(readKeyFile(path).length).toBe(2);
    expect(readKeyFile(link).length).toBe(2);
  });
});

describe("configuration", () => {
  const parse = (text: string, overrides: Overrides = {}) =>
    parseConfig(`${MEMBERS}${text}`, "/etc/kpaxos/paxos.conf", overrides);
  const errors = (text: string, overrides: Overrides = {}): string[] =>
    parse(text, overrides)
      .diagnostics.filter(({ severity }) => severity === "error")
      .map(formatDiagnostic);

  test("a path in the file starts at the file, one of a flag or variable where the user is", () => {
    expect(keyPath(parse("").config!)).toBeUndefined();
    expect(keyPath(parse("cluster-key lab.key\n").config!)).toBe("/etc/kpaxos/lab.key");
    expect(keyPath(parse("cluster-key /a/lab.key\n").config!)).toBe("/a/lab.key");
    const flag = parse("cluster-key lab.key\n", { flags: { "cluster-key": "own.key" } });
    expect(keyPath(flag.config!)).toBe(join(process.cwd(), "own.key"));
    const variable = parse("", { env: { KPAXOS_CLUSTER_KEY: "own.key" } });
    expect(keyPath(variable.config!)).toBe(join(process.cwd(), "own.key"));
  });

  test("a wire that carries no key is refused, with both places, wherever they are said", () => {
    expect(errors("cluster-key lab.key\nwire kernel-paxos\n")).toEqual([
      "/etc/kpaxos/paxos.conf:3:13: error: cluster-key contradicts wire kernel-paxos: that wire carries no authentication\n" +
        "  hint: remove cluster-key here, or wire kernel-paxos (/etc/kpaxos/paxos.conf:4)",
    ]);
    expect(errors("cluster-key lab.key\n", { flags: { wire: "kernel-paxos" } })[0]).toContain("(--wire)");
    expect(errors("wire kernel-paxos\n", { flags: { "cluster-key": "k" } })[0]).toStartWith(
      "--cluster-key: ",
    );
    expect(errors("wire kernel-paxos\n", { env: { KPAXOS_CLUSTER_KEY: "k" } })[0]).toContain(":3)");
    expect(errors("wire kernel-paxos\n")).toEqual([]);
  });

  test("a key cannot be switched off beside a line that names one", () => {
    for (const word of ["no", "off", "none", "FALSE", "0", '""']) {
      expect(errors(`cluster-key ${word}\n`)[0]).toContain("bad value");
      expect(errors("cluster-key lab.key\n", { flags: { "cluster-key": word } })[0]).toContain("bad value");
    }
    expect(errors("cluster-key lab.key\n", { flags: { "cluster-key": "" } })[0]).toContain("needs a value");
    expect(errors("cluster-key lab.key\n", { flags: { "cluster-key": false } })[0]).toContain(
      "needs a value",
    );
    // An empty variable is none, here as everywhere: the line stands.
    const { config } = parse("cluster-key lab.key\n", { env: { KPAXOS_CLUSTER_KEY: "" } });
    expect(config?.settings.clusterKey).toBe("lab.key");
  });

  test("two lines are an error: two keys are two lines of one key file", () => {
    expect(errors("cluster-key a.key\ncluster-key b.key\n")).toEqual([
      "/etc/kpaxos/paxos.conf:4:1: error: cluster-key was given before, on line 3\n" +
        "  hint: keep one of the two (two keys at once: two lines in one key file)",
    ]);
  });

  test("kpaxos config and kpaxos cluster name the file, never the key", async () => {
    const key = file(LINE);
    const conf = join(directory, "paxos.conf");
    writeFileSync(conf, `${MEMBERS}cluster-key ${key}\n`);
    for (const words of [["show"], ["show", "--json"], ["check"]]) {
      const said = await kpaxosHere("config", ...words, "-f", conf);
      expect(said.code).toBe(0);
      expect(`${said.out}${said.err}`).not.toContain(SECRET.slice(0, 8));
    }
    chmodSync(key, 0o644);
    const open = await errorOfAsync(() => kpaxosHere("config", "check", "-f", conf));
    expect(open.message).toContain("is open to other users");
    expect((await kpaxosHere("config", "show", "-f", conf)).out).toContain(`cluster-key ${key}`);
    const planned = planConfig({
      topology: { replicas: 1 },
      flags: { "cluster-key": "own.key" },
      own: () => ({}),
      storagePath: "/none",
      trimLearner: undefined,
      path: "/run/x/paxos.conf",
      takeAddress: () => "02:00:00:00:00:01",
    });
    expect(planned.text).toContain(`cluster-key ${join(process.cwd(), "own.key")}\n`);
  });
});
