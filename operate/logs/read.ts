/** Lines of logs as Docker's engine and systemd's journal write them, with the time first. */
import type { Line } from "./merge.ts";

/** `docker logs --timestamps` has nanoseconds and Z, `journalctl --utc -o short-iso-precise` an offset. */
const stamped = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d+)(?:Z|\+00:?00) ?(.*)$/;

/**
 * @param before what follows a line without a time belongs to @default there is none
 * @returns nothing for words of the program that are no log
 */
export function readLine(raw: string, before?: Line): Line | undefined {
  const [, seconds, fraction = "", text = ""] = stamped.exec(raw) ?? [];
  if (seconds !== undefined) return { time: `${seconds}.${fraction.padEnd(9, "0")}Z`, text };
  return before && { time: before.time, text: raw };
}

const units = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/**
 * A moment as operators type it: `90s`, `10m`, `2h`, `1d` ago, or a time by ISO 8601.
 * @returns seconds since 1970
 * @throws with what is understood
 */
export function readSince(text: string, now = Date.now()): number {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count !== undefined)
    return Math.floor(now / 1000) - Number(count) * units[unit as keyof typeof units];
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time)) return Math.floor(time / 1000);
  throw new Error(`--since ${text} is no time: use 90s, 10m, 2h, 1d or 2026-11-27T14:00:00Z`);
}
