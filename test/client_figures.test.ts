/**
 * From when the latency of a value counts.
 */
import { describe, expect, test } from "bun:test";
import { ClientFigures } from "../src/node/client_figures.ts";

test("in a closed loop it counts from when the value was sent: what is held back is not under way", () => {
  const figures = new ClientFigures({ clients: 1, outstanding: 2 });
  figures.begin(1000);
  for (const number of [0, 1]) figures.made(0, number, 1);
  figures.nowUs = 1500;
  figures.delivered(500, 64, 0, 0, 1);
  figures.nowUs = 1900;
  figures.made(0, 2, 1);
  figures.nowUs = 2200;
  figures.delivered(300, 64, 0, 2, 1);
  expect(figures.latency()).toMatchObject({ p50: 300, max: 500 });
  expect(figures).toMatchObject({ values: 2, bytes: 128 });
});

describe("an open loop", () => {
  const make = (): ClientFigures => {
    const figures = new ClientFigures({ clients: 2, outstanding: 1, intervalUs: 100 });
    figures.begin(10_000);
    return figures;
  };

  test("values are due one after the other", () => {
    const figures = make();
    expect([9_999, 10_000, 10_099, 10_100, 10_950].map((us) => figures.dueBy(us))).toEqual([0, 1, 1, 2, 10]);
    expect([0, 1, 10].map((value) => figures.dueUs(value))).toEqual([10_000, 10_100, 11_000]);
  });

  test("a value that has to wait for its place counts with its wait", () => {
    const figures = make();
    figures.made(0, 0, 1);
    figures.made(1, 0, 1);
    figures.nowUs = 11_000;
    figures.delivered(0, 64, 0, 0, 1);
    expect(figures.latency().max).toBe(1000);
    // Due at 10 200, sent at 11 000.
    figures.made(0, 1, 1);
    figures.nowUs = 11_300;
    figures.delivered(0, 64, 0, 1, 1);
    expect(figures.latency().max).toBe(1100);
  });

  test("what does not come back counts with the time it was waited for", () => {
    const figures = make();
    figures.nowUs = 13_000;
    // Of the ten that were due by 10 900 the last two: due at 10 800 and 10 900.
    figures.giveUp(2, figures.dueBy(10_900));
    expect(figures.latency()).toMatchObject({ p50: 2103, max: 2200 });
    expect(figures.values).toBe(0);
  });

  test("what warmed up is forgotten", () => {
    const figures = make();
    figures.made(0, 0, 1);
    figures.nowUs = 10_050;
    figures.delivered(0, 64, 0, 0, 1);
    figures.restart();
    expect(figures.latency().max).toBe(0);
    expect(figures.values).toBe(0);
  });
});
