const money = new Intl.NumberFormat("en-GB", { style: "currency", currency: "EUR" });
const date = new Intl.DateTimeFormat("en-GB", {
  ...{ day: "numeric", month: "long", year: "numeric" },
  timeZone: "UTC",
});

/** An amount as people read it: `€1,234.50`. */
export function euros(cents: number): string {
  return money.format(cents / 100);
}

/** A day as people read it, of a date like `2027-05-12` or a moment in ISO 8601: `12 May 2027`. */
export function day(iso: string): string {
  return date.format(new Date(iso));
}
