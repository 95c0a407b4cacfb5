const money = new Intl.NumberFormat("en-GB", { style: "currency", currency: "EUR" });
const date = new Intl.DateTimeFormat("en-GB", {
  ...{ day: "numeric", month: "long", year: "numeric" },
  timeZone: "UTC",
});

/** An amount as people read it: `€1,234.50`. */
export function euros(cents: number): string {
  return money.format(cents / 100);
}

const decimal = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

/** A size as people read it, in one line: `1,234.5 MB`. */
export function megabytes(bytes: number): string {
  return `${decimal.format(bytes / 1024 / 1024)}\u00A0MB`;
}

/** A day as people read it, of a date like `2027-05-12` or a moment in ISO 8601: `12 May 2027`. */
export function day(iso: string): string {
  return date.format(new Date(iso));
}

/** From the first to the last day, in ISO 8601, as people read it: `3–10 December 2026`. */
export function period(first: string, last: string): string {
  return date.formatRange(new Date(first), new Date(last));
}

/** The kinds of offers in words: one, many, and what a booking takes of it. */
export const kinds = {
  flight: { one: "Flight", many: "Flights", place: "seat", places: "seats" },
  bus: { one: "Bus", many: "Buses", place: "seat", places: "seats" },
  hotel: { one: "Hotel", many: "Hotels", place: "room", places: "rooms" },
} as const;
