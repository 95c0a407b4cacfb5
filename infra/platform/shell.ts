/** Quoting for POSIX shells. */

/** The text as one shell word. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command line of these words. */
export function commandLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}
