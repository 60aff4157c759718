/**
 * What shells offer when somebody presses Tab behind a line, asked of the shells themselves.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ClusterState, type SeatState, writeState } from "../../src/ops/cluster_state.ts";
import { finish } from "./shell.ts";

/** Writes down a cluster as `kpaxos cluster up` does. */
export function keepState(
  directory: string,
  name: string,
  seats: readonly Pick<SeatState, "role" | "id" | "group">[],
): void {
  mkdirSync(directory, { recursive: true });
  const process = { pid: 1, startedAt: "2" } as unknown as SeatState["process"];
  const more = { host: 0, address: "", args: ["--id", "7"], process, startedAtMs: 0, logFrom: 0 };
  const all = seats.map((seat) => ({ ...seat, ...more }));
  writeState({
    format: 1,
    name,
    directory,
    seats: all,
    keeper: process,
    hosts: 9,
    groups: 2,
  } as unknown as ClusterState);
}

const PATIENCE_MS = 25_000;

/**
 * An interactive zsh on a terminal of its own, whose Tab completes the line and tells what it has become. `compadd` is where
 * everything that is offered passes. Arguments: the script, then lines.
 */
const ZSH = `
zmodload zsh/zpty && zpty z zsh -f -i || exit 1
zpty -w z "PS1= PS2=; stty -echo; autoload -U compinit; compinit -u -D; source \${(q)1}; setopt nolistbeep noautolist"
zpty -w z 'compadd() {
  if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then
    local -a all; builtin compadd -O all "$@"
    local one; for one in $all; do print -r -- "OFFER[$one]OFFER"; done
  fi
  builtin compadd "$@"
}'
zpty -w z 'tell() { zle complete-word; print -r -- "LINE[$BUFFER]LINE"; BUFFER= }; zle -N tell; bindkey "^I" tell; print RE""ADY'
while zpty -r z line && [[ $line != *READY* ]]; do :; done
for typed in "\${@[2,-1]}"; do
  zpty -n -w z "$typed"$'\\t'
  zpty -r z line '*LINE\\[*\\]LINE*'
  print -r -- "$line"
done
zpty -d z
`;

/** Each line's words, sorted. */
const FISH = `
source $argv[1]
for typed in $argv[2..]
  complete -C $typed | string replace -r '\\t.*' ''
  echo LINE[]LINE
end
`;

const ARGV = {
  zsh: (script, lines) => ["zsh", "-f", "-c", ZSH, "zsh", script, ...lines],
  fish: (script, lines) => ["fish", "--no-config", "-c", FISH, script, ...lines],
} as const satisfies Record<string, (script: string, lines: readonly string[]) => string[]>;
export type DrivenShell = keyof typeof ARGV;
export const DRIVEN_SHELLS = Object.keys(ARGV) as DrivenShell[];

interface Completed {
  readonly offers: readonly string[];
  /** What the line has become; of zsh alone. */
  readonly line: string;
}

/** What comes of Tab behind each of `lines`, in a shell that has read `script`; `home` is its HOME and present directory. */
export async function pressTab(
  shell: DrivenShell,
  script: string,
  home: string,
  lines: readonly string[],
): Promise<readonly Completed[]> {
  const path = join(home, `script.${shell}`);
  writeFileSync(path, script);
  const child = Bun.spawn(ARGV[shell](path, lines), {
    cwd: home,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: PATIENCE_MS,
    env: { ...process.env, HOME: home, XDG_STATE_HOME: join(home, "state"), TERM: "dumb" },
  });
  const { out, err, code } = await finish(child);
  const parts = out.replaceAll("\r", "").split("]LINE").slice(0, -1);
  if (code !== 0 || err !== "" || parts.length !== lines.length)
    throw new Error(`${shell} exits ${code} after ${parts.length} lines: ${err}`);
  return parts.map((part) => {
    const [offered, line] = part.split("LINE[") as [string, string];
    const words =
      shell === "zsh"
        ? [...offered.matchAll(/OFFER\[(.*)\]OFFER/g)].map((match) => match[1]!)
        : offered.split("\n").filter((word) => word !== "");
    return { offers: words.sort(), line };
  });
}
