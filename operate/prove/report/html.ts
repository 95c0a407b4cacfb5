/** HTML in which every text that is put in is text, and nothing else. */
import { printable } from "../../../lib/printable.mjs";

/** Text that is HTML already. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | undefined | readonly Part[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** What machines and programs said may turn the order of letters, too: that is shown as a number. */
const escaped = (text: string): string =>
  printable(text).replaceAll(/[&<>"']/g, (one) => entities[one] ?? "");

const htmlOf = (part: Part): string => {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(htmlOf).join("");
  return escaped(String(part));
};

/** A template of HTML. What is put in is escaped, unless it is HTML; a list is put in piece by piece. */
export const html = (pieces: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  new Html(pieces.map((piece, at) => piece + htmlOf(parts[at])).join(""));
