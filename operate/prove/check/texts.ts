/** Operations in words, for those who have to find out how it came about. */
import type { Moment, Operation } from "../history.ts";

/** `1.250 s`. */
export const secondsOf = (moment: Moment): string => `${(moment / 1000).toFixed(3)} s`;

export const quoted = (value: string | undefined): string =>
  value === undefined ? "nothing" : JSON.stringify(value);

const verbs = {
  write: { ok: "wrote", unknown: "may have written", refused: "was refused to write" },
  change: { ok: "changed", unknown: "may have changed", refused: "was refused to change" },
};

/** `client-2 changed "6" to "7" (at db-1, 1.250 s to 1.300 s)`. */
export function registerText(operation: Operation): string {
  const { client, began, ended, outcome, from } = operation;
  const place = from === undefined ? "" : `at ${from}, `;
  const since = outcome === "unknown" ? "since " : "";
  const till = outcome === "unknown" ? "" : ` to ${secondsOf(ended)}`;
  return `${client} ${whatWasDone(operation)} (${place}${since}${secondsOf(began)}${till})`;
}

function whatWasDone({ kind, outcome, value, expected }: Operation): string {
  if (kind === "read") return `read ${quoted(value)}`;
  if (expected === undefined) return `${verbs.write[outcome]} ${quoted(value)}`;
  return `${verbs.change[outcome]} ${quoted(expected)} to ${quoted(value)}`;
}
