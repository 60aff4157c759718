/** What a house rule is: from a file to what is wrong with it. */

export interface SourceFile {
  /** Relative to the repository: "src/wire/native.ts". */
  readonly path: string;
  readonly text: string;
}
export type Rule = (file: SourceFile) => readonly string[];
