/**
 * What completion offers of this user's local clusters: their names, and the roles of the one that is meant. It is read from
 * their state files (`ops/cluster_state.ts`) by a few lines of sh, the same for every shell, so that completing never starts kpaxos.
 */

/** What a word can be: a cluster's name, a role of the cluster, or a host of it, that for clients included. */
export type LocalWords = "clusters" | "roles" | "hosts";

export function isLocal(words: unknown): words is LocalWords {
  return words === "clusters" || words === "roles" || words === "hosts";
}

/** `$1` is one of `LocalWords`, then come the words typed so far. No quote and no backslash: shells differ in what they make of them. */
const SCRIPT = `
kind=$1 name=default dir=
clusters="\${XDG_STATE_HOME:-$HOME/.local/state}/kpaxos/clusters"
if [ "$kind" = clusters ]; then
  for file in "$clusters"/*/cluster.json; do
    file=\${file%/cluster.json}
    [ -d "$file" ] && echo "\${file##*/}"
  done
  exit
fi
while [ $# -gt 1 ]; do
  shift
  case $1 in
    --name | -n) name=$2 ;;
    --name=*) name=\${1#*=} ;;
    --dir) dir=$2 ;;
    --dir=*) dir=\${1#*=} ;;
  esac
done
case $dir in [~]/*) dir=$HOME/\${dir#?/} ;; esac
[ "$kind" = hosts ] && echo client
while read -r key value; do
  value=\${value%,}
  case $key in
    ?role?:) role=\${value#?} role=\${role%?} group= ;;
    ?id?:) id=$value ;;
    ?group?:) group=@$value ;;
    ?host?:) echo "$role/$id$group" ;;
  esac
done < "\${dir:-$clusters/$name}/cluster.json"
`;

/** A command that prints the words, one a line; `arguments` is how the shell says "with my arguments". */
export function localCommand(args: string): string {
  return `sh -c '${SCRIPT}' sh ${args} 2>/dev/null`;
}
