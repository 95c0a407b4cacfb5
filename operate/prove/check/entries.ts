/** Whether what was entered is there: rows under idempotency keys, and purchases, by which a stock has fewer places. */
import type { Kept } from "../database.ts";
import type { Operation } from "../history.ts";
import type { Violation } from "../proof.ts";
import { type ByMember, wrongRows } from "./rows.ts";

/**
 * @param operations of a whole history; of an `entry` the key and the value are those of its row
 * @param kept read back after the last of them
 */
export const wrongEntries = (
  operations: readonly Operation[],
  kept: ByMember<Pick<Kept, "entries">>,
): Violation[] =>
  wrongRows(
    operations.filter(({ kind }) => kind === "entry"),
    mapped(kept, ({ entries }) => entries),
  );

/**
 * @param operations of a whole history; of a `purchase` the key is that of its row, and the value the stock and how
 *   many places, `stock 1/3`
 * @param atFirst how many places each stock had
 * @param kept read back after the last of them
 */
export function wrongPurchases(
  operations: readonly Operation[],
  atFirst: ReadonlyMap<string, number>,
  kept: ByMember<Pick<Kept, "purchases" | "stocks">>,
): Violation[] {
  const rows = mapped(kept, ({ purchases }) =>
    purchases.map(({ key, stock, places }) => ({ key, value: `${stock}/${places}` })),
  );
  const wrong = wrongRows(
    operations.filter(({ kind }) => kind === "purchase"),
    rows,
  );
  const sums = [...kept].flatMap(([member, own]) =>
    wrongSums(atFirst, own).map((what) => ({ rule: "stock", what: `${what}; at ${member}` })),
  );
  return [...wrong, ...sums];
}

/** Stocks that have other places than those that were not bought. */
function wrongSums(
  atFirst: ReadonlyMap<string, number>,
  { purchases, stocks }: Pick<Kept, "purchases" | "stocks">,
): string[] {
  return [...atFirst].flatMap(([name, places]) => {
    const bought = purchases
      .filter(({ stock }) => stock === name)
      .reduce((sum, one) => sum + one.places, 0);
    const left = stocks.find((one) => one.name === name)?.places;
    if (left === places - bought) return [];
    const is = left === undefined ? "it is gone" : `${left} are left`;
    return [`${name} had ${places} places, ${bought} were bought, and ${is}`];
  });
}

const mapped = <From, To>(of: ByMember<From>, change: (from: From) => To): ByMember<To> =>
  new Map([...of].map(([member, from]) => [member, change(from)]));
