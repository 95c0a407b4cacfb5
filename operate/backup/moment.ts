/** A moment as operators type it, and how it is said back to them. */

export const newest = "newest";

const example = 'such as 2026-11-27T14:03:05Z, "2026-11-27 14:03:05" (local time), or newest';

const shape =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?$/i;

/**
 * Reads a moment by ISO 8601; without a zone it is local time of this machine.
 * @returns ISO 8601 in UTC with as many digits of a second as were said, or `newest`
 * @throws for the future, and with an example for what is no time
 */
export function readMoment(text: string, now = new Date()): string {
  if (text === newest) return newest;
  const found = shape.exec(text.trim());
  if (found === null) throw new Error(`--to ${text}: that is no time; use one ${example}`);
  const [, year, month, day, hour, minute, second = "00", fraction = "", zone] = found;
  if (hour === undefined || minute === undefined)
    throw new Error(`--to ${text}: say the time of day, too, ${example}`);
  const wall = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const date = new Date(`${wall}${zoneOf(zone)}`);
  // JavaScript takes the 31st of a month of thirty days for the 1st of the next
  const isReal =
    Number.isFinite(date.getTime()) &&
    new Date(`${wall}Z`).toISOString().slice(0, 19) === wall &&
    isThere(wall, date, zone);
  if (!isReal) throw new Error(`--to ${text}: there is no such time; use one ${example}`);
  if (date > now)
    throw new Error(
      `--to ${text}: ${inBoth(date.toISOString())} is in the future; for the newest there is, use --to newest`,
    );
  const seconds = date.toISOString().slice(0, 19);
  return `${seconds}${fraction === "" ? "" : `.${fraction}`}Z`;
}

function zoneOf(zone: string | undefined): string {
  if (zone === undefined) return "";
  if (/^(z|utc)$/i.test(zone)) return "Z";
  const [, sign, hours, minutes = "00"] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  return `${sign}${hours}:${minutes}`;
}

/** Whether local clocks have shown that: an hour of a day in spring they have not. */
const isThere = (wall: string, date: Date, zone: string | undefined): boolean =>
  zone !== undefined || localOf(date).startsWith(wall.replace("T", " "));

const pad = (value: number, width = 2): string => String(value).padStart(width, "0");

/** By the clocks here, with how far they are from UTC. */
function localOf(date: Date): string {
  const offset = -date.getTimezoneOffset();
  const size = Math.abs(offset);
  const day = [pad(date.getFullYear(), 4), pad(date.getMonth() + 1), pad(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((one) => pad(one))
    .join(":");
  return `${day} ${time} ${offset < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

const utc = (iso: string): string =>
  `${iso
    .replace("T", " ")
    .replace(/(\.\d*?)0*Z$/, "$1")
    .replace(/[.Z]$/, "")} UTC`;

/** For people: in UTC, and by the clocks here where these differ. */
export function inBoth(iso: string): string {
  const date = new Date(iso);
  if (!Number.isFinite(date.getTime())) return iso;
  if (date.getTimezoneOffset() === 0) return utc(iso);
  return `${utc(iso)} (${localOf(date)} here)`;
}

/** The first units of a duration: `3 d 4 h`, `2 min 5 s`. @param seconds of which a part counts as none */
export function durationOf(seconds: number): string {
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ] as const;
  let left = Math.max(0, Math.floor(seconds));
  const parts = units.flatMap(([unit, size]) => {
    const some = Math.floor(left / size);
    left -= some * size;
    return some === 0 ? [] : [`${some} ${unit}`];
  });
  return parts.slice(0, 2).join(" ") || "0 s";
}
