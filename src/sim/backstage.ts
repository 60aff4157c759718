/**
 * What the hosts of a simulation stand on: their storages, watched by the observer; what is between wire and cores (traces,
 * planted bugs); and what becomes of a host when its turn is over, or throws.
 */
import type { Log } from "../log.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { OutlivedError } from "../node/acceptor_voice.ts";
import type { Roles } from "../node/roles.ts";
import { traceReceiver } from "../node/trace.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Receiver } from "../protocol/receiver.ts";
import { Role } from "../protocol/types.ts";
import { MemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import type { PromiseHeads } from "../wire/promise_heads.ts";
import type { Host, Seat, Surroundings } from "./cluster.ts";
import { DiskFailure, SimStorage } from "./disk.ts";
import { addTo, type Counts } from "./faults.ts";
import type { Group } from "./group.ts";
import type { Keyring } from "./keys.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";
import type { Station } from "./station.ts";
import { traceLog } from "./trace.ts";
import { Violation } from "./violation.ts";
import { WatchedStorage } from "./watched_storage.ts";

/** What of a simulation its hosts touch. */
export interface Stage {
  readonly stations: readonly Station[];
  readonly keyring: Keyring;
  readonly faults: Counts;
  readonly random: Random;
  note(who: string, text: string): void;
  crash(station: Station, frames?: number): void;
  endFormer(station: Station): void;
  startLater(station: Station, us: number): void;
  /** The disk has failed; another one takes its place when the host is back. */
  repair(station: Station): void;
}

export class Backstage implements Surroundings {
  readonly #stage: Stage;
  readonly #lives: Random;
  readonly #plant: Plant | undefined;
  readonly #isTraced: boolean;

  constructor(stage: Stage, lives: Random, plant: Plant | undefined, isTraced: boolean) {
    this.#stage = stage;
    this.#lives = lives;
    this.#plant = plant;
    this.#isTraced = isTraced;
  }

  log(seat: Seat): Log | undefined {
    return this.#isTraced ? traceLog((text) => this.#stage.note(seat.name, text)) : undefined;
  }

  keys(seat: Seat): readonly Uint8Array[] | undefined {
    const { keyring } = this.#stage;
    const { isStranger, number } = this.#stationOf(seat);
    return isStranger ? keyring.foreign(number === 0) : keyring.next();
  }

  life(seat: Seat): number {
    const life = this.#lives.life();
    const station = this.#stationOf(seat);
    if (this.#plant?.keepsLife !== true || station.kind !== "proposer") return life;
    station.firstLife ??= life;
    return station.firstLife;
  }

  storage(seat: Seat): Storage {
    const station = this.#stationOf(seat);
    station.storage = station.disk === undefined ? undefined : new SimStorage(station.disk);
    const plain = station.storage ?? new MemoryStorage();
    if (!station.hasAcceptor) return plain;
    const { observer } = station.group;
    const witness = observer.witness(seat.id);
    station.witness = witness;
    const storage = this.#plant?.storage?.(plain) ?? plain;
    return new WatchedStorage(storage, observer.journal(witness), () => observer.commits(witness));
  }

  receiver(seat: Seat, roles: Roles, peers: Peers, heads?: PromiseHeads): Receiver {
    const receiver = this.#plant?.receiver?.(roles, heads) ?? roles;
    if (!this.#isTraced) return receiver;
    const { group } = this.#stationOf(seat);
    const where = (peer: number): string => (peer < 0 ? "itself" : nameOf(group, peers, peer));
    return traceReceiver(
      receiver,
      traceLog((text) => this.#stage.note(seat.name, text)),
      where,
    );
  }

  /** What clients submit is written down. */
  outbox<T extends Outbox>(seat: Seat, role: number, outbox: T): T {
    // Whatever else it would have somebody do: that nothing of it is chosen is seen by what is not written down.
    const { group, isStranger } = this.#stationOf(seat);
    if (role !== Role.client || isStranger) return outbox;
    const { submissions } = group;
    return new Proxy(outbox, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        if (key !== "clientValue") return member.bind(target);
        return (...args: Parameters<Outbox["clientValue"]>) => {
          submissions.sent(args[1], args[2], args[3]);
          target.clientValue(...args);
        };
      },
    });
  }

  turned(host: Host): number {
    const station = this.#stationOf(host.seat);
    const { random } = this.#stage;
    if (station.former === host) return 0;
    station.group.holdings.turned(station);
    const { storage } = station;
    const heldUs = storage?.busyUs ?? 0;
    if (storage !== undefined) storage.busyUs = 0;
    if (station.givesWay) {
      this.#stage.crash(station);
      this.#stage.startLater(station, random.between(100_000, 1_000_000));
    } else if (station.fuse > 0 && --station.fuse === 0) {
      // Some of the turn's frames have left.
      addTo(this.#stage.faults, "midTurn", 1);
      this.#stage.crash(station, random.between(0, host.ntx));
      this.#stage.startLater(station, random.between(1_000, 1_000_000));
    }
    return heldUs;
  }

  threw(host: Host, error: unknown): void {
    const station = this.#stationOf(host.seat);
    if (error instanceof OutlivedError) return this.#changeDisk(station);
    if (!(error instanceof DiskFailure)) throw asViolation(station.name, error);
    this.#stage.note(station.name, error.message);
    this.#stage.repair(station);
    this.#stage.crash(station);
    this.#stage.startLater(station, this.#stage.random.between(10_000, 1_000_000));
  }

  givesWay(host: Host, message: string): void {
    this.#stage.note(host.name, `gives way: ${message}`);
    const station = this.#stationOf(host.seat);
    if (station.former === host) this.#stage.endFormer(station);
    else station.givesWay = true;
  }

  /** Somebody reads why it has ended: the other disk is the right one, or none is. */
  #changeDisk(station: Station): void {
    const { disk, name } = station;
    this.#stage.note(name, "does not go on with this disk");
    this.#stage.crash(station);
    if (++station.refusals === 1) disk!.swap();
    else disk!.lose();
    station.hasOtherDisk = true;
    this.#stage.startLater(station, this.#stage.random.between(10_000, 300_000));
  }

  #stationOf(seat: Seat): Station {
    return this.#stage.stations[seat.place!]!;
  }
}

/** Who has the address of a peer: other groups have the same addresses. */
function nameOf({ stations }: Group, peers: Peers, peer: number): string {
  const at = peer * ADDRESS_WORDS;
  const [low, high] = [peers.addresses[at], peers.addresses[at + 1]];
  const found = stations.find(({ seat }) => seat.address[0] === low && seat.address[1] === high);
  return found?.name ?? "somebody";
}

/** What no process may do whatever happens around it: end with an error. */
export function asViolation(who: string, error: unknown): Violation {
  if (error instanceof Violation) return error;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Violation("invariant", `${who}: ${text}`);
}
