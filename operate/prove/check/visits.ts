/** Whether visitors always read at the standby what they wrote, never what is older than before, and have it in the end. */
import type { Kept } from "../database.ts";
import type { Operation } from "../history.ts";
import type { ByMember } from "./rows.ts";
import { secondsOf } from "./texts.ts";

/**
 * @param operations of a whole history; of a `visit` the value is the counter that was written and the one that was
 *   read then, `7/7`; a visitor makes one visit after the other, each with a greater counter
 * @returns what must never be, in words
 * @throws where a visit was acknowledged without both counters
 */
export function staleVisits(operations: readonly Operation[]): string[] {
  const visits = acknowledged(operations).sort((one, other) => one.began - other.began);
  const lastRead = new Map<string, number>();
  return visits.flatMap((visit) => {
    const { key = "" } = visit;
    const before = lastRead.get(key) ?? 0;
    const [wrote, read] = countersOf(visit);
    lastRead.set(key, Math.max(before, read));
    const reasons: string[] = [];
    if (read < wrote) reasons.push(`although it had written ${wrote}`);
    if (read < before) reasons.push(`although it had read ${before} before`);
    return reasons.map((reason) => `${textOf(visit, read)}, ${reason}`);
  });
}

/**
 * @param kept read back after the last of them
 * @returns visitors of whom a member has less than what was acknowledged to them last, in words
 */
export function lostVisits(
  operations: readonly Operation[],
  kept: ByMember<Pick<Kept, "visitors">>,
): string[] {
  const visitsOf = Map.groupBy(acknowledged(operations), ({ key = "" }) => key);
  return [...visitsOf].flatMap(([visitor, visits]) => {
    const wrote = Math.max(...visits.map((one) => countersOf(one)[0]));
    return [...kept].flatMap(([member, { visitors }]) => {
      const has = visitors.get(visitor) ?? 0;
      return has < wrote ? [`${visitor} wrote ${wrote}, and ${member} has ${has}`] : [];
    });
  });
}

const acknowledged = (operations: readonly Operation[]): Operation[] =>
  operations.filter(({ kind, outcome }) => kind === "visit" && outcome === "ok");

function countersOf({ key, value = "" }: Operation): [number, number] {
  const [, wrote, read] = /^(\d+)\/(\d+)$/.exec(value) ?? [];
  if (wrote === undefined) throw new Error(`a visit of ${key} has no two counters: "${value}"`);
  return [Number(wrote), Number(read)];
}

function textOf({ key, ended, from }: Operation, read: number): string {
  const place = from === undefined ? "" : ` at ${from}`;
  return `${key} read ${read}${place} (visit that ended at ${secondsOf(ended)})`;
}
