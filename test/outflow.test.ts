/** Standard output that nobody reads is noticed, and that somebody reads again, too. */
import { expect, test } from "bun:test";
import { Outflow } from "../src/delivery/outflow.ts";

test("full from one megabyte on, until that much is taken", () => {
  const taken: (() => void)[] = [];
  let room = 0;
  const out = new Outflow(
    () => room++,
    (_text, done) => taken.push(done),
  );
  const text = "x".repeat(1 << 19);
  out.write(text);
  out.write(text);
  expect(out.isFull).toBe(false);
  out.write("y");
  expect(out.isFull).toBe(true);
  taken.shift()!();
  expect([out.isFull, room]).toEqual([false, 1]);
  for (const done of taken) done();
  expect(room).toBe(1);
});

test("of a real pipe", async () => {
  const source = `
    import { Outflow } from "${import.meta.dir}/../src/delivery/outflow.ts";
    const out = new Outflow(() => process.stderr.write("room"));
    let writes = 0;
    while (!out.isFull && writes < 100) { out.write("x".repeat(65536)); writes++; }
    process.stderr.write(writes + " ");`;
  const child = Bun.spawn([process.execPath, "-e", source], { stdout: "pipe", stderr: "pipe" });
  const reader = child.stderr.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  const writes = Number.parseInt(first, 10);
  expect(writes).toBeGreaterThan(16);
  expect(writes).toBeLessThan(40);
  const [bytes] = await Promise.all([new Response(child.stdout).bytes(), child.exited]);
  expect(bytes.length).toBe(writes * 65536);
  const rest = new TextDecoder().decode((await reader.read()).value);
  expect(first + rest).toEndWith("room");
});
