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

test("values that are told of at once count singly", () => {
  const noted: number[] = [];
  const onValue = (latencyUs: number): unknown => noted.push(latencyUs);
  const figures = new ClientFigures({ clients: 1, outstanding: 100, onValue });
  figures.begin(1000);
  figures.made(0, 0, 10);
  figures.delivered(700, 64, 0, 0, 9);
  figures.delivered(900, 10, 0, 9, 1);
  expect(figures.latency()).toMatchObject({ mean: 720, p50: 700, p90: 700, p99: 900, max: 900 });
  expect(figures).toMatchObject({ values: 10, bytes: 9 * 64 + 10 });
  expect(noted).toEqual([...Array(9).fill(700), 900]);
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

  test("each value counts from its own time, also those made at once, round the end of the places", () => {
    const noted: number[] = [];
    const onValue = (latencyUs: number): unknown => noted.push(latencyUs);
    const figures = new ClientFigures({ clients: 2, outstanding: 4, intervalUs: 100, onValue });
    figures.begin(10_000);
    figures.made(1, 0, 3);
    figures.made(0, 0, 1);
    figures.nowUs = 10_500;
    // They were sent late: what was waited for since then says nothing.
    figures.delivered(10, 64, 1, 0, 3);
    figures.made(1, 3, 4);
    figures.nowUs = 11_000;
    figures.delivered(20, 64, 1, 3, 4);
    figures.delivered(20, 64, 0, 0, 1);
    // Due at 10 000, 10 100, 10 200; 10 400 … 10 700; 10 300.
    expect(noted).toEqual([500, 400, 300, 600, 500, 400, 300, 700]);
    expect(figures).toMatchObject({ values: 8, bytes: 8 * 64 });
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
