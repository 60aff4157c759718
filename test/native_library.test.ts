import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CliError } from "../src/error.ts";
import { errnoName, unwrap } from "../src/native/unwrap.ts";
import { errorOf } from "./support/refusal.ts";

const ROOT = join(import.meta.dir, "..");
const LIBRARY = join(ROOT, "ffi", "build", "libkpaxos.so");
const directory = mkdtempSync(join(tmpdir(), "kpx-library-"));
const script = join(directory, "script.ts");
writeFileSync(
  script,
  `import { library } from ${JSON.stringify(join(ROOT, "src/native/library.ts"))};
try {
  console.log(library().kpx_crc32c(new TextEncoder().encode("123456789"), 9).toString(16));
  library().kpx_link_step(5, 0, 0, 0, 0);
} catch (error) {
  console.log(error.message, "|", error.hint);
}
`,
);
afterAll(() => rmSync(directory, { recursive: true }));

function run(command: string[], env: Record<string, string> = {}) {
  const { stdout, stderr } = Bun.spawnSync(command, { cwd: "/", env: { ...process.env, ...env } });
  return { stdout: stdout.toString().trim(), stderr: stderr.toString().trim() };
}

describe("the C library", () => {
  test("is the one in the checkout", () => {
    expect(run([process.execPath, script])).toEqual({ stdout: "e3069283", stderr: "" });
  });

  test("or the one KPAXOS_LIBRARY names", () => {
    expect(run([process.execPath, script], { KPAXOS_LIBRARY: LIBRARY }).stdout).toBe("e3069283");
    const { stdout } = run([process.execPath, script], { KPAXOS_LIBRARY: "/none/lib.so" });
    expect(stdout).toMatch(/^cannot load the C library \/none\/lib\.so: .* \| check KPAXOS_LIBRARY/);
  });

  test("writes its calls to stderr when asked", () => {
    const call = "ffi: kpx_crc32c([9 bytes], 9) = 3808858755";
    expect(run([process.execPath, script], { KPAXOS_TRACE_FFI: "1" }).stderr).toBe(call);
    expect(run([process.execPath, script], { KPAXOS_TRACE_FFI: "2" }).stderr).toBe(
      `${call}\nffi: kpx_link_step(5, 0, 0, 0, 0) = -9`,
    );
    expect(run([process.execPath, script], { KPAXOS_TRACE_FFI: "" }).stderr).toBe("");
  });

  test("lies inside a compiled executable, which needs no temporary directory", () => {
    const executable = join(directory, "compiled");
    run([
      ...[
        process.execPath,
        "build",
        "--compile",
        "--splitting",
        "--minify-syntax",
        "--bytecode",
        "--format=esm",
      ],
      ...[script, "--outfile", executable],
    ]);
    const nowhere = { TMPDIR: "/none", TMP: "/none", TEMP: "/none", BUN_TMPDIR: "/none" };
    expect(run([executable], nowhere)).toEqual({ stdout: "e3069283", stderr: "" });
  });
});

describe("a result of the C library", () => {
  const refused = (result: number): CliError => errorOf(() => unwrap(result, "try it"));

  test("is passed through, or an error with the errno's name", () => {
    expect(unwrap(0, "try it")).toBe(0);
    expect(unwrap(7, "try it")).toBe(7);
    expect(refused(-2).message).toBe("try it: ENOENT");
    expect(refused(-2).exitCode as number).toBe(1);
    expect(refused(-11).message).toBe("try it: EAGAIN");
    expect(errnoName(4095)).toBe("errno 4095");
  });

  test("knows the exit codes and the way out", () => {
    for (const errno of [1, 13]) {
      expect(refused(-errno).exitCode as number).toBe(77);
      expect(refused(-errno).hint).toContain(`setcap cap_net_raw+ep ${process.execPath}`);
    }
    expect(refused(-19).exitCode as number).toBe(69);
  });
});
