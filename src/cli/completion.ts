/**
 * `kpaxos completion bash|zsh|fish`: a completion script made from the definitions of all commands, so that it
 * cannot say less or more than they do. The script is static: completing never starts kpaxos. What it knows of
 * local clusters it reads when it is asked (`completion_local.ts`).
 */

import { standardOutput } from "../streams.ts";
import { dashed, kebab } from "./args.ts";
import {
  type ArgDef,
  aliasesOf,
  defineKpaxosCommand,
  type KpaxosCommand,
  resolveCommand,
} from "./command.ts";
import { isLocal, type LocalWords, localCommand } from "./completion_local.ts";

/** `root` is the tree that is completed. */
export const completionCommand = (root: KpaxosCommand): KpaxosCommand =>
  defineKpaxosCommand({
    meta: {
      name: "completion",
      description: "print a completion script for a shell",
      examples: [
        { command: "source <(kpaxos completion bash)", what: "for this shell" },
        { command: "kpaxos completion zsh > ~/.zfunc/_kpaxos", what: "for good, with ~/.zfunc in fpath" },
        { command: "kpaxos completion fish > ~/.config/fish/completions/kpaxos.fish", what: "for good" },
      ],
      notes: [
        "It also offers the names of this user's local clusters, and their roles where ROLE/ID is meant.",
      ],
    },
    args: {
      shell: {
        type: "positional",
        options: ["bash", "zsh", "fish"],
        description: "the shell that will read it",
      },
    },
    run: async ({ args }) => {
      const nodes = await flatten(root);
      const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[args.shell];
      standardOutput().write(script(nodes));
    },
  });

interface Word {
  readonly text: string;
  readonly about: string;
}
/** A command of the tree and all that can follow it. */
export interface Node {
  /** "kpaxos run learner". */
  readonly path: string;
  readonly commands: readonly Word[];
  readonly flags: readonly Word[];
  /** Flags that take a value → what the value may be. */
  readonly values: ReadonlyMap<string, Values>;
  readonly positional: Values;
  /** Behind `--` comes a command line of its own. */
  readonly runs: boolean;
}
interface ListOf {
  readonly listOf: readonly string[];
}
/** Words to choose from, a list of them, a file, words of the local clusters, or whatever the user thinks of. */
type Values = readonly string[] | ListOf | "file" | "any" | LocalWords;

export async function flatten(root: KpaxosCommand, path: string = root.meta.name): Promise<readonly Node[]> {
  const commands: Word[] = [];
  const below: Node[] = [];
  for (const [name, sub] of Object.entries(root.subCommands)) {
    const command = await resolveCommand(sub);
    commands.push({ text: name, about: command.meta.description });
    below.push(...(await flatten(command, `${path} ${name}`)));
  }
  const flags: Word[] = [{ text: "--help", about: "show help" }];
  const values = new Map<string, Values>();
  const positional: Values[] = [];
  let runs = false;
  for (const [key, arg] of Object.entries(root.args)) {
    const possible = await valuesOf(arg);
    if (arg.type === "positional") {
      positional.push(possible);
      runs ||= arg.isCommand === true;
      continue;
    }
    for (const name of [kebab(key), ...aliasesOf(arg)]) {
      flags.push({ text: dashed(name), about: arg.description });
      if (arg.type !== "boolean") values.set(dashed(name), possible);
    }
    if (arg.type === "boolean" && arg.default === true) {
      flags.push({ text: `--no-${kebab(key)}`, about: `not: ${arg.description}` });
    }
  }
  const first = positional.find((one) => one !== "any") ?? "any";
  return [{ path, commands, flags, values, positional: first, runs }, ...below];
}

async function valuesOf(arg: ArgDef): Promise<Values> {
  if (arg.type === "enum") return arg.options;
  if (arg.type !== "string" && arg.type !== "positional") return "any";
  if (arg.type === "positional" && arg.options !== undefined) return arg.options;
  if (arg.type === "string" && arg.listOf !== undefined) return { listOf: arg.listOf };
  if (typeof arg.completes === "function") return await arg.completes();
  return arg.completes ?? (/FILE|PATH|DIR|\.json/i.test(arg.valueHint ?? "") ? "file" : "any");
}

function choices({ positional }: Node): readonly string[] {
  return isChoice(positional) ? positional : [];
}

function isChoice(values: Values): values is readonly string[] {
  return Array.isArray(values);
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The part all three scripts share: which command do the words typed so far name? */
function casesOf(nodes: readonly Node[], body: (node: Node) => readonly string[]): string {
  return nodes
    .flatMap((n) => [`    ${quote(n.path)})`, ...body(n).map((l) => `      ${l}`), "      ;;"])
    .join("\n");
}

function walkCases(nodes: readonly Node[]): string {
  const edges = nodes.flatMap((n) => n.commands.map((c) => quote(`${n.path} ${c.text}`)));
  return edges.join("|");
}

function bashOffer(values: Exclude<Values, "any">): string {
  if (values === "file") return "compopt -o default";
  if (isLocal(values)) return `_kpaxos_local ${values}`;
  if (isChoice(values)) return `COMPREPLY=($(compgen -W ${quote(values.join(" "))} -- "$cur"))`;
  return `_kpaxos_list ${values.listOf.join(" ")}`;
}

function bashScript(nodes: readonly Node[]): string {
  const body = (node: Node): string[] => {
    const out: string[] = [];
    for (const [flag, values] of node.values)
      out.push(
        `[[ $prev == ${flag} ]] && ${values === "any" ? "return" : `{ ${bashOffer(values)}; return; }`}`,
      );
    const words = [...node.commands.map((c) => c.text), ...choices(node)];
    if (node.runs) out.push("((rest)) && { _kpaxos_command $((rest + 1)); return; }");
    if (isLocal(node.positional))
      out.push(`[[ $cur == -* ]] || { _kpaxos_local ${node.positional}; return; }`);
    else if (node.positional === "file") out.push("files=1");
    out.push(`words=${quote(words.join(" "))} flags=${quote(node.flags.map((f) => f.text).join(" "))}`);
    return out;
  };
  return `# bash completion for kpaxos; made by: kpaxos completion bash
# What divides words for bash (= : @) divides none here, and quotes are off. A role's @ does: what is replaced is what comes behind it.
_kpaxos_local() {
  local typed=\${COMP_LINE:0:COMP_POINT} found said
  typed=\${typed##* }
  mapfile -t said < <(xargs printf '%s\\n' 2>/dev/null <<< "\${COMP_LINE:0:COMP_POINT-\${#typed}}")
  found=$(${localCommand(`"$1" "\${said[@]:1}"`)})
  COMPREPLY=($(compgen -W "$found" -- "\${typed##*=}"))
  [[ $typed == *@* && $COMP_WORDBREAKS == *@* ]] && COMPREPLY=("\${COMPREPLY[@]#"\${typed%@*}@"}")
}
# Words with commas between them, each once.
_kpaxos_list() {
  local word before=
  [[ $cur == *,* ]] && before=\${cur%,*},
  for word; do
    [[ ,$before != *,$word,* && $word == "\${cur##*,}"* ]] && COMPREPLY+=("$before$word")
  done
}
# A command line from this word on.
_kpaxos_command() {
  if declare -F _command_offset >/dev/null; then _command_offset $1
  elif ((COMP_CWORD == $1)); then COMPREPLY=($(compgen -c -- "$cur"))
  else compopt -o default
  fi
}
_kpaxos() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path=kpaxos i words flags files rest=0
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -- ]] && { rest=$i prev=; break; }
  done
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${walkCases(nodes)}) path="$path \${COMP_WORDS[i]}" ;;
      *) break ;;
    esac
  done
  case "$path" in
${casesOf(nodes, body)}
  esac
  if [[ $cur == -* && $rest == 0 ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  elif [[ -n $files ]]; then
    compopt -o default
  fi
}
complete -F _kpaxos kpaxos
`;
}

function zshLocal(words: LocalWords): string {
  return `_kpaxos_local ${words} "\${(@Q)words[2,CURRENT-1]}"`;
}

function zshOffer(values: Exclude<Values, "any">): string {
  if (values === "file") return "_files";
  if (isLocal(values)) return `compadd -- $(${zshLocal(values)})`;
  if (isChoice(values)) return `compadd -- ${values.map(quote).join(" ")}`;
  return `_kpaxos_list ${values.listOf.map(quote).join(" ")}`;
}

function zshScript(nodes: readonly Node[]): string {
  const item = (w: Word): string => quote(`${w.text.replaceAll(":", "\\:")}:${w.about}`);
  const body = (node: Node): string[] => {
    const out: string[] = [];
    for (const [flag, values] of node.values)
      out.push(
        `[[ $prev == ${flag} ]] && ${values === "any" ? "return" : `{ ${zshOffer(values)}; return }`}`,
      );
    if (node.runs) out.push("(( rest )) && { shift $rest words; (( CURRENT -= rest )); _normal; return }");
    out.push(`list=(${node.commands.map(item).join(" ")})`, `flags=(${node.flags.map(item).join(" ")})`);
    if (isLocal(node.positional)) out.push(`list+=($(${zshLocal(node.positional)}))`);
    else if (node.positional === "file") out.push("files=1");
    else if (isChoice(node.positional)) out.push(`list+=(${node.positional.map(quote).join(" ")})`);
    return out;
  };
  return `#compdef kpaxos
# zsh completion for kpaxos; made by: kpaxos completion zsh
_kpaxos_local() {
  ${localCommand('"$@"')}
}
# Words with commas between them, each once.
_kpaxos_list() {
  local -a before
  [[ $PREFIX == *,* ]] && before=(\${(s:,:)PREFIX%,*})
  compset -P '*,'
  compadd -F before -- "$@"
}
_kpaxos() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]} at=kpaxos files i
  local -i rest=0
  local -a list flags
  for ((i = 2; i < CURRENT; i++)); do
    [[ \${words[i]} == -- ]] && { rest=$i; break }
  done
  (( rest )) && cur= prev=
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${walkCases(nodes)}) at="$at \${words[i]}" ;;
      *) break ;;
    esac
  done
  # What follows --flag= is completed as what follows --flag.
  [[ $cur == --*=* ]] && { prev=\${cur%%=*}; compset -P 1 '*=' }
  case "$at" in
${casesOf(nodes, body)}
  esac
  if [[ $cur == --*=* ]]; then
    return
  elif [[ $cur == -* ]]; then
    _describe flag flags
  elif (( \${#list} )); then
    _describe command list
  elif [[ -n $files ]]; then
    _files
  fi
}
if [[ \${funcstack[1]} == _kpaxos ]]; then _kpaxos "$@"; else compdef _kpaxos kpaxos; fi
`;
}

function fishLocal(words: LocalWords): string {
  return `(__kpaxos_local ${words} (commandline -opc))`;
}

function fishOffer(values: Values): string {
  if (values === "file") return " -r -F";
  if (values === "any") return " -x";
  if (isLocal(values)) return ` -x -a ${quote(fishLocal(values))}`;
  const words = isChoice(values) ? values.join(" ") : `(__kpaxos_list ${values.listOf.join(" ")})`;
  return ` -x -a ${quote(words)}`;
}

function fishScript(nodes: readonly Node[]): string {
  const lines = nodes.flatMap((node) => {
    const here = `__kpaxos_at ${node.path}`;
    const when = `-n ${quote(here)}`;
    const before = `-n ${quote(`${here}; and not contains -- -- (commandline -opc)`)}`;
    const out = node.commands.map((c) => `complete -c kpaxos -f ${when} -a ${c.text} -d ${quote(c.about)}`);
    if (node.runs) out.push(`complete -c kpaxos -f ${when} -a '(__kpaxos_command)'`);
    const offered = isLocal(node.positional) ? fishLocal(node.positional) : choices(node).join(" ");
    if (offered !== "") out.push(`complete -c kpaxos -f ${node.runs ? before : when} -a ${quote(offered)}`);
    else if (node.positional === "any") out.push(`complete -c kpaxos -f ${when}`);
    for (const flag of node.flags) {
      const name = flag.text.startsWith("--") ? `-l ${flag.text.slice(2)}` : `-s ${flag.text.slice(1)}`;
      const values = node.values.get(flag.text);
      const takes = values === undefined ? "" : fishOffer(values);
      out.push(`complete -c kpaxos ${when} ${name}${takes} -d ${quote(flag.about)}`);
    }
    return out;
  });
  return `# fish completion for kpaxos; made by: kpaxos completion fish
function __kpaxos_at
  set -l at kpaxos
  for word in (commandline -opc)[2..-1]
    switch "$at $word"
      case ${nodes.flatMap((n) => n.commands.map((c) => quote(`${n.path} ${c.text}`))).join(" ")}
        set at "$at $word"
      case '*'
        break
    end
  end
  test "$at" = "$argv"
end
# A command line behind --.
function __kpaxos_command
  set -l said (commandline -opc)
  while set -q said[1]; and test "$said[1]" != --
    set -e said[1]
  end
  set -q said[1]; and complete -C (string join ' ' -- (string escape -- $said[2..]) (commandline -ct))
end
# Words with commas between them, each once.
function __kpaxos_list
  set -l before (commandline -ct | string replace -r '^-[^=]*=' '' | string match -r '.*,')
  for word in $argv
    contains -- $word (string split -- , "$before"); or echo "$before$word"
  end
end
function __kpaxos_local
  ${localCommand("$argv")}
end
${lines.join("\n")}
`;
}
