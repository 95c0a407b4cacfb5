/** Text on lines that are no wider than they may be. */

/**
 * @param width characters of a line
 * @param indent what every line after the first begins with @default nothing
 */
export function fold(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text
    .trim()
    .split(/\s+/)
    .flatMap((one) => pieces(one, width - indent.length))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= width) line = longer;
    else {
      lines.push(line);
      line = `${indent}${word}`;
    }
  }
  return [...lines, line];
}

/** A word that fits on no line is cut. */
function pieces(word: string, width: number): string[] {
  const cut: string[] = [];
  for (let at = 0; at === 0 || at < word.length; at += width) cut.push(word.slice(at, at + width));
  return cut;
}

/** The text on one line, with a mark where its end is left out. */
export function cut(text: string, width: number): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}
