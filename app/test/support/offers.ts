import { createHash, randomUUID } from "node:crypto";
import type { Postgres } from "./postgres.ts";

/** A day from now, as `2027-05-12`. */
export function dayFromNow(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
}

/** A good offer as the API takes it, which a test then bends. */
export function newOffer(change: Record<string, unknown> = {}): Record<string, unknown> {
  const name = `Offer ${randomUUID()}`;
  return {
    ...{ kind: "flight", name, origin: "Oslo", place: "Lofoten, Norway" },
    ...{ startsOn: dayFromNow(10), endsOn: dayFromNow(14), priceCents: 12_050, quantity: 5 },
    ...change,
  };
}

/** Writes an offer's row. @returns its id */
export async function offerRow(
  postgres: Postgres,
  database: string,
  { quantity = 5, startsInDays = 10, place = "Lofoten", kind = "flight", priceCents = 100 } = {},
): Promise<number> {
  const name = createHash("sha256").update(randomUUID()).digest("hex").slice(0, 16);
  const [row] = await postgres.sql<{ id: number }>(
    `INSERT INTO offer (kind, name, origin, place, starts_on, ends_on, price_cents, quantity)
     VALUES ('${kind}', '${name}', '', '${place}', current_date + ${startsInDays},
       current_date + ${startsInDays + 3}, ${priceCents}, ${quantity}) RETURNING id`,
    database,
  );
  return row?.id ?? 0;
}
