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
  // The reader behind the pipe takes nothing before it is told to: how far it gets ahead must not decide the count.
  const script = 'exec 3<&0; "$0" -e "$1" </dev/null | { read -r _ <&3; wc -c; }';
  const shell = Bun.spawn(["sh", "-c", script, process.execPath, source], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const reader = shell.stderr.getReader();
  const text = new TextDecoder();
  let said = "";
  while (!said.includes(" ")) said += text.decode((await reader.read()).value);
  const writes = Number.parseInt(said, 10);
  expect(said).toBe(`${writes} `);
  expect(writes).toBeGreaterThan(16);
  expect(writes).toBeLessThan(40);
  shell.stdin.write("go\n");
  shell.stdin.end();
  expect(Number(await new Response(shell.stdout).text())).toBe(writes * 65536);
  expect(text.decode((await reader.read()).value)).toBe("room");
  expect(await shell.exited).toBe(0);
});
