/** Help with names that somebody has mistyped. */

const units = ["Seconds", "Milliseconds", "Megabytes", "Bytes"];

/**
 * What to do about a name that is not known.
 * @param known the names there are
 * @param otherwise what to do where none of them is near
 */
export function didYouMean(name: string, known: readonly string[], otherwise: string): string {
  const near = known
    .map((one) => ({ one, distance: distance(name.toLowerCase(), one.toLowerCase()) }))
    .filter(({ one, distance }) => distance <= allowed(one))
    .sort((a, b) => a.distance - b.distance);
  // Units are a part of the names, and easily left out
  const withUnit = known.find((one) => units.some((unit) => one === `${name}${unit}`));
  const meant = withUnit ?? near[0]?.one;
  return meant === undefined ? otherwise : `did you mean ${meant}?`;
}

/** A short word is soon another one. */
function allowed({ length }: string): number {
  return length < 5 ? 1 : Math.max(2, Math.floor(length / 4));
}

/** How many letters to add, drop, change or swap with the next one. */
function distance(one: string, other: string): number {
  const rows = [Array.from({ length: other.length + 1 }, (_, index) => index)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? 0;
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1];
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      row[j] = Math.min(
        at(i - 1, j) + 1,
        (row[j - 1] ?? 0) + 1,
        at(i - 1, j - 1) + (same ? 0 : 1),
        swapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return at(one.length, other.length);
}
