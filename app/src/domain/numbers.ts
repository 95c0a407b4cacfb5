/**
 * Numbers as people and addresses write them, for forms and queries alike. A text either is a plain
 * number or stays the text that it is, which the schema behind refuses: `1.000` is one thousand to
 * some and one to others, so it is neither.
 */

/** The longest run of digits that a number keeps exactly. */
const whole = /^-?\d{1,15}$/;
/** Two digits at most, so that a separator of thousands is never taken for a decimal one. */
const amount = /^(-?)(\d{1,12})(?:[.,](\d{1,2}))?$/;

/** `12` -> 12. Digits only; blanks around them do not matter. */
export function wholeFrom(value: unknown): unknown {
  return typeof value === "string" && whole.test(value.trim()) ? Number(value) : value;
}

/** Euros and cents -> cents: `12` -> 1200, `12.5`, `12,50` -> 1250. */
export function centsFrom(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const [found, sign = "", euros = "", cents = ""] = amount.exec(value.trim()) ?? [];
  return found === undefined ? value : Number(`${sign}${euros}${cents.padEnd(2, "0")}`);
}

/** What to say of a value that is no number. */
export function noNumber(what: string, example: string): (issue: { input?: unknown }) => string {
  return ({ input }) => {
    if (input === undefined || input === "") return `The ${what} is missing.`;
    const help = `The ${what} is not a plain number: write it like ${example}`;
    return typeof input === "string" ? `${help}, with no separator of thousands.` : `${help}.`;
  };
}
