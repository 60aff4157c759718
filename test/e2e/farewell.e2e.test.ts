/**
 * What a role says before it ends: a learner says del to the acceptors, so that they neither send to it nor wait for
 * what it would have acknowledged.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeHex } from "../../src/wire/frame_text.ts";
import { COMMAND } from "../support/cluster.ts";
import { WIRES } from "../support/e2e.ts";
import { until } from "../support/until.ts";

describe("a learner that is asked to end", () => {
  for (const wire of WIRES) {
    test(`says del, wire ${wire}`, async () => {
      const directory = mkdtempSync(join(tmpdir(), "kpaxos-farewell-"));
      const datagrams: string[] = [];
      const acceptor = await Bun.udpSocket({
        hostname: "127.0.0.1",
        socket: { data: (_socket, data) => void datagrams.push(Buffer.from(data).toString("hex")) },
      });
      const config = join(directory, "paxos.conf");
      writeFileSync(config, `wire ${wire}\nacceptor 0 127.0.0.1 ${acceptor.port}\nproposer 0 127.0.0.1 9\n`);
      const said = async (): Promise<string[]> => {
        const all = await Promise.all(
          datagrams.map((hex) => decodeHex(hex, { wire, etherType: undefined, udp: true, frame: false })),
        );
        return all.flatMap((frame) =>
          "error" in frame ? [frame.error] : frame.messages.map((one) => String(one.message)),
        );
      };
      const learner = Bun.spawn([...COMMAND, "run", "learner", "-f", config, "--no-device"], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      try {
        await until("the learner has said hi", () => datagrams.length > 0);
        expect(await said()).toContain("learnerHi");
        learner.kill("SIGTERM");
        expect(await learner.exited).toBe(0);
        await until("its last word is del", async () => (await said()).at(-1) === "learnerDel");
      } finally {
        learner.kill("SIGKILL");
        acceptor.close();
        rmSync(directory, { recursive: true, force: true });
      }
    });
  }
});
