/** Quoting for POSIX shells. */

/** The text as one shell word. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command line of these words. */
export function commandLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}

/** A here-document with this text, to follow a command; nothing in it is expanded. */
export function hereDocument(text: string): string {
  const mark = "END_OF_FILE";
  if (text.split("\n").includes(mark)) throw new Error(`a file holds the line ${mark}`);
  return `<<'${mark}'\n${text}${text.endsWith("\n") || text === "" ? "" : "\n"}${mark}`;
}
