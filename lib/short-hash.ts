import { createHash } from "node:crypto";

/** A short text that is another one for every other list of texts. */
export function shortHash(...texts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 12);
}
