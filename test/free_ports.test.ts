/**
 * Free ports are looked for until a whole row of them is free, and none of them stays taken by the search.
 */
import { expect, spyOn, test } from "bun:test";
import { freePorts } from "../src/ops/free_ports.ts";

const HOST = "127.0.0.1";

test("a row with a port in use is passed over, and its other port is free again", async () => {
  const draws: number[] = [];
  const { random } = Math;
  const draw = spyOn(Math, "random").mockImplementation(() => {
    draws.push(random());
    return draws.at(-1)!;
  });
  try {
    const [base] = await freePorts(2, HOST);
    const row = draws.at(-1)!;
    const holder = await Bun.udpSocket({ hostname: HOST, port: base! + 1 });
    try {
      draw.mockReturnValueOnce(row);
      draws.length = 0;
      expect(await freePorts(2, HOST)).not.toContain(base);
      expect(draws.length).toBeGreaterThan(0);
      (await Bun.udpSocket({ hostname: HOST, port: base! })).close();
    } finally {
      holder.close();
    }
  } finally {
    draw.mockRestore();
  }
});
