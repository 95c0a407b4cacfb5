/**
 * When certificates end. It follows from the date alone: nothing has to know what was issued before,
 * and whoever runs `up` gets the same. Ends are half a year apart, and what `up` leaves behind is valid
 * for four months at least: a stack that sees an `up` three times a year has none that expires.
 */

export const dayMilliseconds = 86_400_000;
/** Between two ends. */
const periodDays = 180;
/** What a certificate has before it, at least; one that has less is renewed. */
export const spareDays = 120;

/** @returns the end of certificates that are issued now, a midnight in UTC */
export function endOf(now: Date): Date {
  const day = now.getTime() / dayMilliseconds + spareDays;
  return new Date(Math.ceil(day / periodDays) * periodDays * dayMilliseconds);
}

/** `2027-05-31`. */
export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}
