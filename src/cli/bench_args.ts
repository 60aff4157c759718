/** The flags of `kpaxos bench`. */
import { LAYOUTS, OPEN_WINDOW } from "../bench/cells.ts";
import { DATA_NAME, REPORT_NAME } from "../bench/report.ts";
import { FIRST_WARM_UP, HALF_WARM_UP, WARM_UP } from "../bench/warm_up.ts";
import { SCHEMA } from "../config/schema.ts";
import type { ArgsDef, ArgValues } from "./command.ts";

export const DEFAULTS = {
  windows: "1,10,100,1000",
  sizes: "64",
  clients: "1",
  wires: "native",
  storage: "memory",
  acceptors: "3",
  layout: "roles",
  batching: "yes",
  groups: "1",
} as const;

const LIST = "LIST";
export const benchArgs = {
  windows: {
    type: "string",
    alias: "w",
    valueHint: LIST,
    description: `values each client has under way (default ${DEFAULTS.windows}; with --rate at most, ${OPEN_WINDOW})`,
  },
  sizes: {
    type: "string",
    alias: "s",
    valueHint: LIST,
    description: `bytes of a value (default ${DEFAULTS.sizes})`,
  },
  clients: {
    type: "string",
    alias: "c",
    valueHint: LIST,
    description: `virtual clients, all in one process (default ${DEFAULTS.clients})`,
  },
  rate: {
    type: "string",
    alias: "r",
    valueHint: LIST,
    description: "values per second, whether or not earlier ones have come back (open loop)",
  },
  half: {
    type: "boolean",
    description: "then the same at half of the throughput that each reached, in an open loop",
  },
  wires: {
    type: "string",
    valueHint: LIST,
    listOf: SCHEMA.wire.choices,
    description: `${SCHEMA.wire.choices.join(", ")} (default ${DEFAULTS.wires})`,
  },
  storage: {
    type: "string",
    valueHint: LIST,
    listOf: SCHEMA.storageBackend.choices,
    description: `${SCHEMA.storageBackend.choices.join(", ")} (default ${DEFAULTS.storage})`,
  },
  acceptors: {
    type: "string",
    alias: "a",
    valueHint: LIST,
    description: `acceptors, or replicas (default ${DEFAULTS.acceptors})`,
  },
  layout: {
    type: "string",
    alias: "l",
    valueHint: LIST,
    listOf: LAYOUTS,
    description: `roles: acceptors, a proposer; replicas: all three in each process (default ${DEFAULTS.layout})`,
  },
  groups: {
    type: "string",
    alias: "g",
    valueHint: LIST,
    description: `logs side by side, each with a client of its own (default ${DEFAULTS.groups})`,
  },
  batching: {
    type: "string",
    alias: "b",
    valueHint: LIST,
    listOf: ["yes", "no"],
    description: `yes: values share instances under load; no (default ${DEFAULTS.batching})`,
  },
  settings: {
    type: "string",
    valueHint: "KEY=VALUE,…",
    description: "more settings of paxos.conf, for all roles",
  },
  "storage-path": {
    type: "string",
    valueHint: "DIR",
    description: "where databases are kept while it runs (default: beside the cluster's files, in $TMPDIR)",
  },
  file: {
    type: "string",
    alias: "f",
    valueHint: "FILE",
    description: "measure the running cluster of this configuration instead of starting one",
  },
  udp: {
    type: "boolean",
    description: "UDP between the namespaces instead of raw Ethernet; on 127.0.0.1 where there are none",
  },
  floor: {
    type: "boolean",
    description: "beside each, phase 2 in plain C and nothing else, compiled here, and the ratio to it",
  },
  seconds: { type: "number", min: 0.1, max: 3600, default: 3, description: "of each round" },
  "warm-up": {
    type: "number",
    min: 0,
    max: 3600,
    description: `seconds of load before each round (default ${WARM_UP}; with --half ${HALF_WARM_UP} before each at half), and before the first one of a cluster of its own (default ${FIRST_WARM_UP})`,
  },
  rounds: { type: "integer", min: 1, max: 1000, default: 5, description: "of each load" },
  preset: {
    type: "enum",
    options: ["targets"],
    description: "targets: what this version aims at, each goal beside what is measured here",
  },
  compare: {
    type: "string",
    valueHint: "A.json B.json",
    description:
      "tell whether results of --json differ beyond noise, one or several (A1,A2) on a side; nothing is run",
  },
  report: {
    type: "string",
    valueHint: "DIR",
    description: `write a page with plots, ${REPORT_NAME}, and ${DATA_NAME}`,
  },
  json: { type: "boolean", description: "print the result as one JSON object" },
  other: {
    type: "positional",
    required: false,
    valueHint: "B.json",
    description: "with --compare: the later result, or results",
  },
} as const satisfies ArgsDef;
export type BenchArgs = ArgValues<typeof benchArgs>;
