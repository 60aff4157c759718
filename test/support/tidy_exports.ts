/**
 * A house rule about all files together: what src exports, somebody else uses. Types are left out: they may stand in the face of
 * what is used. Reads no disk.
 */
import { lineOf } from "./scan.ts";
import type { SourceFile } from "./tidy_rule.ts";

const EXPORT = /^export (?:async )?(?:const|function\*?|class) (\w+)/gm;
/** What programs of others import. */
const FACES: readonly string[] = [
  "src/api/index.ts",
  "src/api/client.ts",
  "src/delivery/deliveries.ts",
  "src/kv/client.ts",
];

/** Values that a file of src exports and no other file names. */
export function loneExports(files: readonly SourceFile[]): string[] {
  const users = new Map<string, Set<string>>();
  for (const { path, text } of files) {
    for (const word of new Set(text.match(/\w+/g))) {
      const known = users.get(word);
      if (known === undefined) users.set(word, new Set([path]));
      else known.add(path);
    }
  }
  return files.flatMap(({ path, text }) => {
    if (!path.startsWith("src/") || FACES.includes(path)) return [];
    return [...text.matchAll(EXPORT)]
      .filter(([, name]) => users.get(name!)!.size === 1)
      .map((match) => `${path}:${lineOf(text, match.index)}: nobody else uses ${match[1]}: no export`);
  });
}
