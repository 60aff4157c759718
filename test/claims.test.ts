/**
 * Who ends when two processes have one role and id.
 */
import { describe, expect, test } from "bun:test";
import { Peers } from "../src/net/peers.ts";
import { Claims } from "../src/node/claims.ts";
import { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { Role } from "../src/protocol/types.ts";
import { macOf } from "../src/sim/parts.ts";
import { acceptorOptions } from "./support/acceptor_options.ts";
import { Recorder } from "./support/recorder.ts";

const SECOND_US = 1_000_000;
const TWIN = 77;

/** An acceptor 2 of life 50 that votes at `generation` (0: not yet), in a process that starts at 10 s. */
class Place {
  nowUs = 10 * SECOND_US;
  lost: string | undefined;
  readonly recorder = new Recorder();
  readonly acceptor: Acceptor;
  readonly #peers = new Peers(4);
  readonly #claims: Claims;

  constructor(generation: number) {
    const options = acceptorOptions({ aid: 2, life: 50 });
    this.acceptor = new Acceptor(options, this.recorder.journal, this.recorder);
    if (generation > 0) {
      this.acceptor.restoreStanding(Float64Array.of(1, 1, generation), Float64Array.of(1, 2, 50));
      this.acceptor.fellows!.birth.resume();
    }
    this.#claims = new Claims({
      claims: [{ role: Role.acceptor, outbox: this.recorder }],
      id: 2,
      life: 50,
      peers: this.#peers,
      where: "here",
      acceptor: this.acceptor,
      onLost: (why) => {
        this.lost ??= why;
      },
    });
    this.pass(0);
  }

  pass(ms: number): void {
    this.nowUs += ms * 1000;
    this.acceptor.tick(this.nowUs);
    this.#claims.tick(this.nowUs);
  }

  hears(uptimeMs: number, generation = 0, life = TWIN): void {
    const from = this.#peers.intern(Role.acceptor, 2, macOf(1, 2), 0, 1, this.nowUs);
    this.#peers.life[from] = life;
    this.#claims.onClaim(from, uptimeMs, generation);
  }

  /** How often it has said who it is since the last call. */
  claimed(): number {
    return this.recorder.take().filter((line) => line.startsWith("claim")).length;
  }
}

describe("of two without a vote", () => {
  test("the one that started later ends, and says where the other one is", () => {
    const place = new Place(0);
    place.hears(60_000);
    expect(place.lost).toBeUndefined();
    place.pass(20);
    place.hears(60_020);
    expect(place.lost).toMatch(/^acceptor 2 runs already at \S+ \(for 60\.0 s\); this one is at here$/);
  });

  test("the one that started first stays, and says so at once", () => {
    const place = new Place(0);
    place.pass(5000);
    place.claimed();
    for (const uptimeMs of [10, 30]) {
      place.hears(uptimeMs);
      place.pass(20);
      expect(place.claimed()).toBe(1);
    }
    expect(place.lost).toBeUndefined();
  });
});

describe("of two with votes", () => {
  test("the one with the older generation ends, though it started first", () => {
    const place = new Place(1);
    place.pass(9000);
    place.hears(1000, 2);
    place.pass(20);
    place.hears(1020, 2);
    expect(place.lost).toMatch(/runs already at \S+ \(for 1\.0 s, and votes with a newer generation\)/);
  });

  test("the one with the newer generation stays, though it started later", () => {
    const place = new Place(2);
    for (let i = 0; i < 5; i++) {
      place.hears(60_000 + i * 1000, 1);
      place.pass(1000);
    }
    expect(place.lost).toBeUndefined();
  });

  test("who has not voted ends beside one that has", () => {
    const place = new Place(0);
    place.pass(9000);
    place.hears(1000, 1);
    place.pass(20);
    place.hears(1020, 1);
    expect(place.lost).toMatch(/runs already at \S+ \(for 1\.0 s\)/);
  });

  test("whoever hears of another does not vote until the others have been asked", () => {
    const place = new Place(1);
    expect(place.acceptor.isVoting).toBe(true);
    place.hears(1000, 1);
    expect(place.acceptor.isVoting).toBe(false);
  });
});

describe("a claim of a former life", () => {
  test("ends nobody, however often it comes", () => {
    const place = new Place(0);
    for (let i = 0; i < 5; i++) {
      place.hears(60_000, 1, 49);
      place.pass(700);
    }
    expect(place.lost).toBeUndefined();
  });

  test("nor do several that were late together", () => {
    const place = new Place(0);
    for (const uptimeMs of [60_000, 61_000, 62_000]) place.hears(uptimeMs, 1, 49);
    expect(place.lost).toBeUndefined();
  });
});
