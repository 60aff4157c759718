/**
 * One role line: `acceptor 0 00:1a:2b:3c:4d:5e` or `replica 1 10.0.0.2 8800`. Reads id and address and says what is
 * wrong with them; what lines say together is checked in `members.ts`. Pure.
 */
import {
  type Address,
  isMulticast,
  isUnspecified,
  lacksScope,
  parseAddress,
  parseMac,
  parseUdp,
} from "../net/address.ts";
import type { Line, Word } from "./lines.ts";
import type { Report } from "./report.ts";
import { quote } from "./values.ts";

export type RoleWord = "acceptor" | "proposer" | "replica" | "learner";

const ROLE_WORDS: Readonly<Record<string, RoleWord>> = {
  acceptor: "acceptor",
  a: "acceptor",
  proposer: "proposer",
  p: "proposer",
  replica: "replica",
  r: "replica",
  learner: "learner",
  l: "learner",
};

export const ROLE_NAMES: readonly string[] = Object.keys(ROLE_WORDS).filter((word) => word.length > 1);

/** Largest id: the rest of 16 bits is for what has no role line, and for ballots of acceptors that recover. */
export const MAX_ID = 4095;

/** A role line as far as it could be read. */
export interface RoleLine {
  readonly role: RoleWord;
  readonly line: number;
  /** Columns of id and address. */
  readonly column: number;
  readonly addressColumn: number;
  /** undefined: unreadable, and reported. */
  readonly id: number | undefined;
  readonly address: Address | undefined;
}

export function roleOf(key: string): RoleWord | undefined {
  return Object.hasOwn(ROLE_WORDS, key) ? ROLE_WORDS[key] : undefined;
}

export function readRoleLine(role: RoleWord, line: Line, report: Report): RoleLine {
  const [first, idWord, addressWord, portWord, surplus] = line.words;
  const end = line.words.at(-1)!;
  const missing = report.at(line.number, end.column + end.text.length);
  const example = `write ${role} 0 00:1a:2b:3c:4d:5e (raw Ethernet) or ${role} 0 127.0.0.1 8800 (UDP)`;
  const column = (word: Word | undefined) => (word ?? first!).column;
  const place = { role, line: line.number, column: column(idWord), addressColumn: column(addressWord) };
  if (idWord === undefined) {
    report.error(missing, `${role} without id and address`, example);
    return { ...place, id: undefined, address: undefined };
  }
  const id = readId(role, idWord, line, report);
  // The id was forgotten: what follows is not in its place either.
  if (id === undefined && looksLikeAddress(idWord)) return { ...place, id, address: undefined };
  if (addressWord === undefined) {
    report.error(missing, `${role} ${quote(idWord.text)} without an address`, example);
    return { ...place, id, address: undefined };
  }
  const address = readAddress(role, idWord, addressWord, portWord, line, report);
  if (surplus !== undefined) {
    report.error(
      report.at(line.number, surplus.column),
      `unexpected ${quote(surplus.text)} after the port`,
      "a role line ends after the port; # begins a comment",
    );
  }
  return { ...place, id, address };
}

function readId(role: RoleWord, word: Word, line: Line, report: Report): number | undefined {
  const id = /^[0-9]{1,9}$/.test(word.text) ? Number(word.text) : Number.NaN;
  if (id <= MAX_ID) return id;
  const hint = looksLikeAddress(word)
    ? `the id comes before the address: ${role} 0 ${line.rest}`
    : `ids are 0, 1, 2, … in each role, at most ${MAX_ID}`;
  report.error(report.at(line.number, word.column), `bad ${role} id ${quote(word.text)}`, hint);
  return undefined;
}

function looksLikeAddress(word: Word): boolean {
  return /:|\..*\./.test(word.text) && word.text.length < 64;
}

function readAddress(
  role: RoleWord,
  idWord: Word,
  word: Word,
  portWord: Word | undefined,
  line: Line,
  report: Report,
): Address | undefined {
  const place = report.at(line.number, word.column);
  const mac = parseMac(word.text);
  if (mac !== undefined) {
    if (portWord !== undefined) {
      report.error(
        report.at(line.number, portWord.column),
        `unexpected ${quote(portWord.text)} after a MAC address`,
        "raw Ethernet has no ports; # begins a comment",
      );
    }
    if (!isMulticast(mac)) return mac;
    report.error(
      place,
      `${quote(word.text)} is a multicast MAC address`,
      "a member has the address of one network card (its first byte is even): ip link shows it",
    );
    return undefined;
  }
  if (portWord !== undefined && /^[0-9]{1,9}$/.test(portWord.text)) {
    return readUdp(word, portWord, line, report);
  }
  const withoutPort = parseUdp(word.text, 1);
  if (withoutPort !== undefined && portWord !== undefined) {
    report.error(
      report.at(line.number, portWord.column),
      `bad port ${quote(portWord.text)}`,
      "a port is a number from 1 to 65535",
    );
  } else if (withoutPort !== undefined) {
    report.error(
      report.at(line.number, word.column + word.text.length),
      `${word.text} without a port`,
      `write ${role} ${idWord.text} ${word.text} 8800`,
    );
  } else report.error(place, ...badAddress(role, idWord.text, word.text));
  return undefined;
}

function readUdp(word: Word, portWord: Word, line: Line, report: Report): Address | undefined {
  const place = report.at(line.number, word.column);
  const port = Number(portWord.text);
  const isPort = port >= 1 && port <= 65535;
  if (!isPort) {
    report.error(
      report.at(line.number, portWord.column),
      `port ${portWord.text} is out of range`,
      "a port is a number from 1 to 65535",
    );
  }
  const address = parseUdp(word.text, isPort ? port : 1);
  if (address === undefined) report.error(place, ...badHost(word.text));
  else if (isMulticast(address)) {
    report.error(place, `${word.text} is a multicast address`, "a member has the address of one host");
  } else if (isUnspecified(address)) {
    report.error(
      place,
      `${word.text} names no host`,
      "write the address at which the others reach this member",
    );
  } else if (lacksScope(address)) {
    report.error(
      place,
      `link-local address ${word.text} without a scope`,
      `add the number of the interface, as in ${word.text}%2 (cat /sys/class/net/eth0/ifindex)`,
    );
  } else if (isPort) return address;
  return undefined;
}

type Complaint = [message: string, hint: string];

/** Neither a MAC nor an IP address, and no port follows. */
function badAddress(role: RoleWord, id: string, text: string): Complaint {
  const joined = parseAddress(text);
  if (joined?.kind === "udp") {
    return [`${quote(text)} joins address and port`, `write ${role} ${id} ${joined.host} ${joined.port}`];
  }
  if (/^\[.*\]$/.test(text) || /^[0-9.]+$/.test(text) || text.includes("::") || text.includes("%"))
    return badHost(text);
  const groups = text.split(/[:-]/).length;
  if (groups > 2 || /^[0-9a-f]{12}$/i.test(text) || /^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(text)) {
    return [
      `bad MAC address ${quote(text)}`,
      "a MAC address is six pairs of hexadecimal digits: 00:1a:2b:3c:4d:5e (ip link shows it)",
    ];
  }
  return badHost(text);
}

function badHost(text: string): Complaint {
  const inBrackets = /^\[(.*)\]$/.exec(text)?.[1];
  if (inBrackets !== undefined && parseUdp(inBrackets, 1) !== undefined) {
    return [`${quote(text)} has brackets`, `write ${inBrackets} without them: the port is a word of its own`];
  }
  if (/^[0-9.]+$/.test(text)) {
    return [`bad IPv4 address ${quote(text)}`, "an IPv4 address is four numbers from 0 to 255: 10.0.0.1"];
  }
  if (text.includes("%")) {
    return [
      `bad scope in ${quote(text)}`,
      "only link-local addresses have one, and it is the interface's number: fe80::1%2 (cat /sys/class/net/eth0/ifindex)",
    ];
  }
  if (text.includes(":")) return [`bad IPv6 address ${quote(text)}`, "an IPv6 address looks like fd00::1"];
  return [
    `${quote(text)} is no address, and host names are not looked up`,
    /^[\w.-]+$/.test(text)
      ? `write its IP address: getent hosts ${text} shows it`
      : "write a MAC address, or an IP address and a port",
  ];
}
