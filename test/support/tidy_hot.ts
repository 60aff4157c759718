/**
 * The hot path, by its files: what runs for each message may not make objects, closures, iterators, views or big integers. A file
 * is read as text, so this finds what is written, not what a call does; that garbage comes from nowhere is another test's affair.
 */
import { functionBodies, scan } from "./scan.ts";
import type { Rule } from "./tidy_rule.ts";

/** Functions that do not run for each message, by file: start, first use, trouble, snapshots. Constructors never do. */
const COLD: Readonly<Record<string, readonly string[]>> = {
  "src/wire/native.ts": ["maxNativeValue", "multicastAddress", "outbox"],
  "src/wire/native_frames.ts": [],
  "src/wire/native_messages.ts": [],
  "src/wire/native_outbox.ts": [],
  "src/wire/native_side_outbox.ts": [],
  "src/wire/tx_frames.ts": [],
  "src/wire/kernel_paxos.ts": ["maxKernelPaxosValue", "kernelPaxosTypes", "outbox"],
  "src/wire/kernel_paxos_outbox.ts": [],
  "src/wire/kernel_paxos_parse.ts": [],
  "src/wire/kernel_paxos_encode.ts": [],
  "src/wire/kernel_paxos_message.ts": [],
  "src/wire/kernel_paxos_values.ts": [],
  "src/wire/client_record.ts": [],
  "src/node/turn.ts": [],
  "src/node/roles.ts": [],
  "src/node/run.ts": ["run", "stop"],
  "src/net/peers.ts": [],
  "src/net/system_link.ts": ["commonOptions", "openHandle", "counters", "close"],
  "src/protocol/arena.ts": ["widen", "#begin", "lengthened"],
  "src/protocol/batch.ts": ["#changeBuffer"],
  "src/protocol/bytes.ts": [],
  "src/protocol/number_index.ts": ["#begin"],
  "src/protocol/quorum.ts": [],
  "src/protocol/recency.ts": ["#begin"],
  "src/protocol/acceptor/acceptor.ts": [],
  "src/protocol/acceptor/acceptor_log.ts": ["#begin"],
  "src/protocol/acceptor/audience.ts": [],
  "src/protocol/acceptor/chosen_marks.ts": [],
  "src/protocol/acceptor/repeats.ts": [],
  "src/protocol/learner/learner.ts": [],
  "src/protocol/learner/learner_repair.ts": [],
  "src/protocol/learner/learner_trims.ts": [],
  "src/protocol/learner/learner_window.ts": [],
  "src/protocol/learner/session_filter.ts": [],
  // Room for a value in pieces is made twice.
  "src/protocol/learner/session_table.ts": ["restore", "#complete"],
  "src/protocol/proposer/admission.ts": [],
  "src/protocol/proposer/phase_two.ts": [],
  "src/protocol/proposer/proposer.ts": [],
  "src/protocol/proposer/proposer_window.ts": [],
  "src/protocol/proposer/value_queue.ts": [],
  "src/protocol/client/active_ring.ts": [],
  "src/protocol/client/entry_packer.ts": [],
  "src/protocol/client/own_log.ts": [],
  "src/protocol/client/record_client.ts": [],
  "src/protocol/client/send_window.ts": [],
  "src/protocol/client/session_client.ts": [],
  "src/delivery/applications.ts": [],
  "src/delivery/delivery_log.ts": ["open"],
  "src/delivery/log_cursor.ts": ["#growApart"],
};

const MAKES: readonly [what: string, pattern: RegExp][] = [
  ["a closure", /=>|\bfunction\b|\.bind\(/],
  ["an iterator", /\bfor\s*\([^;)]*\sof\s/],
  ["rest or spread", /\.\.\./],
  ["an object", /\bnew\s+[A-Z]|(?:[=(,?]|\breturn|\?\?)\s*\{/],
  ["an array", /(?:[=(,?]|\breturn|\?\?)\s*\[|\b(?:const|let)\s*\[/],
  ["a view or an array", /\.(?:subarray|slice|splice|map|filter|concat|entries|keys|values)\(/],
  ["calls of a closure", /\.(?:forEach|reduce|some|every|findIndex|sort)\(/],
  ["a big integer", /\b\d+n\b|\bBigInt/],
];

function nameOf(header: string): string {
  return /([#\w]+)\s*(?:<[^(]*>)?\(/.exec(header)?.[1] ?? "";
}

export const hotPath: Rule = (file) => {
  const cold = COLD[file.path];
  if (cold === undefined) return [];
  const { code } = scan(file.text);
  const lines = code.split("\n");
  const spared = new Set<number>();
  const bodies = functionBodies(code);
  for (const { header, line, lines: count } of bodies) {
    const name = nameOf(header);
    if (name !== "constructor" && !cold.includes(name)) continue;
    for (let i = 0; i < count; i++) spared.add(line + i);
  }
  const wrong = new Set<string>();
  for (const { line, lines: count } of bodies) {
    for (let at = line; at < line + count; at++) {
      if (spared.has(at)) continue;
      // Behind the brace that opens the function its header has ended.
      const text = at === line ? lines[at - 1]!.replace(/^.*\{/, "") : lines[at - 1]!;
      for (const [what, pattern] of MAKES)
        if (pattern.test(text)) wrong.add(`${file.path}:${at}: the hot path makes ${what}`);
    }
  }
  return [...wrong];
};

/** Each file of the list is there: else its rule would be silent. */
export const HOT_FILES = Object.keys(COLD);
