/**
 * A process in one of its groups: storage, link and wire, the cores made for them, and the node they live in. Groups share
 * nothing but the process.
 */
import { ALL_GROUPS } from "../config/groups.ts";
import { hasMulticast } from "../config/multicast.ts";
import { CliError } from "../error.ts";
import type { Log } from "../log.ts";
import { formatAddress } from "../net/address.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import type { SystemLink } from "../net/system_link.ts";
import { assert } from "../protocol/assert.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Life, Peer } from "../protocol/types.ts";
import { Role } from "../protocol/types.ts";
import { MemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import { openAcceptorStorage } from "./acceptor_storage.ts";
import { type Claim, Claims } from "./claims.ts";
import type { Built, Context, ProcessOptions } from "./context.ts";
import { type Opened, open } from "./open.ts";
import { type Extra, Roles } from "./roles.ts";
import { type LinkedNode, nowUs } from "./run.ts";
import { traceOutbox, traceReceiver } from "./trace.ts";
import { Node } from "./turn.ts";
import { Watch } from "./watch.ts";

const SELDOM_MS = 600_000;

export class Lane implements LinkedNode {
  readonly group: number;
  readonly opened: Opened;
  readonly link: SystemLink;
  readonly node: Node;
  readonly built: Built;
  readonly #watch: Watch;

  /** `fail`: ends the process. */
  constructor(
    options: ProcessOptions,
    life: Life,
    build: (context: Context) => Built,
    fail: (error: CliError) => void,
  ) {
    const { config, log, id } = options;
    assert(config.group !== ALL_GROUPS, "a configuration of one group");
    this.group = config.group;
    // Before the link: what comes while a large database is read would only pile up.
    const isAcceptor = (options.owns & Role.acceptor) !== 0;
    const storage = isAcceptor ? openAcceptorStorage(config, id, log) : new MemoryStorage();
    try {
      this.opened = open({ ...options, life });
    } catch (error) {
      storage.close();
      throw error;
    }
    this.link = this.opened.link;
    try {
      const claims: Claim[] = [];
      const context = this.#context(options, life, storage, claims);
      this.built = build(context);
      const { peers, where } = this.opened;
      const { acceptor } = this.built.cores;
      const onLost = (message: string): void =>
        fail(new CliError(message, { hint: "give this process another --id, or end the other one" }));
      const places = new Claims({ claims, id, life, peers, where, acceptor, onLost });
      this.#watch = this.#makeWatch(options);
      this.node = this.#makeNode(context, [places, this.#watch, ...this.#bundles(log)]);
    } catch (error) {
      this.link.close();
      storage.close();
      this.#release();
      throw error;
    }
  }

  /** Why nothing moves, as far as can be told here. */
  reasons(): string[] {
    return this.#watch.reasons();
  }

  /** Those of them that the log does not have. */
  untoldReasons(): string[] {
    return this.#watch.untoldReasons();
  }

  close(): void {
    this.link.close();
    this.node.storage.close();
    this.#release();
  }

  #release(): void {
    const built: Built | undefined = this.built;
    for (const extra of built?.extras ?? []) extra.release?.();
    built?.close?.();
  }

  readonly #name = (peer: number): string => {
    const { peers } = this.opened;
    return peer < 0 ? "nobody" : formatAddress(this.link.kind, peers.addresses, peer * ADDRESS_WORDS);
  };

  #context({ config, log, id }: ProcessOptions, life: Life, storage: Storage, claims: Claim[]): Context {
    const { wire, peers } = this.opened;
    return {
      config,
      log,
      id,
      life,
      opened: this.opened,
      native: config.settings.wire === "native",
      peers,
      storage,
      random: Math.random,
      outbox: (role) => {
        const plain = wire.outbox(role, id);
        const outbox = log.enabled("debug") ? traceOutbox(plain, log, this.#name) : plain;
        claims.push({ role, outbox: outbox satisfies Outbox });
        return outbox;
      },
    };
  }

  #bundles(log: Log): Extra[] {
    const { wire } = this.opened;
    if (wire.name !== "native") return [];
    wire.bundles.onDenied = (peer) => {
      // One of them is enough to be told of: where listeners are many, all of them may hear none.
      const text = (): string =>
        `frames in bundles do not reach ${this.#name(peer)} (or it takes none): they leave one by one`;
      log.once("bundles", "info", text, SELDOM_MS);
    };
    return [wire.bundles];
  }

  #makeWatch({ config, log }: ProcessOptions): Watch {
    const { link, wire, peers, members, where, interfaceChange } = this.opened;
    const { built } = this;
    const work = { progress: built.progress?.bind(built), hears: built.hears?.bind(built) };
    return new Watch(log, work, (at) => ({
      config,
      where,
      interfaceChange,
      cores: this.node.roles.cores,
      wire: wire.counters,
      link: link.counters(),
      peers,
      members,
      busy: built.client?.busy() ?? 0,
      proposerId: built.client?.proposerId(),
      silentHost: built.client?.silentHost?.(),
      isAsking: built.client?.isAsking?.() ?? false,
      beginEmptyBy: built.beginEmptyBy,
      nowUs: at,
    }));
  }

  #makeNode({ config, log, storage }: Context, own: readonly Extra[]): Node {
    const { link, wire, members } = this.opened;
    const roles = new Roles({
      ...this.built.cores,
      extras: [...(this.built.extras ?? []), ...own],
      pairsAccepts: hasMulticast(config),
      acceptorOf: (peer: Peer) => members.acceptors.indexOf(peer),
      proposerOf: (peer: Peer) => members.proposers.indexOf(peer),
      wallOffsetUs: Date.now() * 1000 - nowUs(link),
    });
    const hears = this.built.receiver ?? roles;
    const receiver = log.enabled("debug") ? traceReceiver(hears, log, this.#name) : hears;
    return new Node(link, wire, storage, roles, receiver);
  }
}
