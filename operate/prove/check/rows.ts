/** Whether rows that clients wrote are there: what was acknowledged once, what was refused not at all. */
import type { Operation } from "../history.ts";
import type { Violation } from "../proof.ts";
import { quoted, secondsOf } from "./texts.ts";

export interface Row {
  readonly key: string;
  readonly value: string;
}

/** What members of the database have, by their names. */
export type ByMember<T> = ReadonlyMap<string, T>;

/**
 * @param writes each the value under its key; of several for one key each may have been what wrote it
 * @param kept all rows, read back after the last write
 * @returns one for all members at which the same is wrong
 */
export function wrongRows(
  writes: readonly Operation[],
  kept: ByMember<readonly Row[]>,
): Violation[] {
  const writesOf = Map.groupBy(writes, ({ key = "" }) => key);
  const wrong = [...kept].flatMap(([member, rows]) => {
    const rowsOf = Map.groupBy(rows, ({ key }) => key);
    const keys = [...new Set([...writesOf.keys(), ...rowsOf.keys()])];
    return keys.flatMap((key) =>
      problemsOf(writesOf.get(key) ?? [], rowsOf.get(key) ?? []).map(([rule, what]) => ({
        member,
        rule,
        what: `${quoted(key)} ${what}`,
      })),
    );
  });
  const same = Map.groupBy(wrong, ({ rule, what }) => `${rule}: ${what}`);
  return [...same.values()].flatMap((some) => {
    const members = some.map(({ member }) => member).join(", ");
    return some.slice(0, 1).map(({ rule, what }) => ({ rule, what: `${what}; at ${members}` }));
  });
}

/** Rules that the rows of a key break, each with how. */
function problemsOf(writes: readonly Operation[], rows: readonly Row[]): [string, string][] {
  const acknowledged = writes.find(({ outcome }) => outcome === "ok");
  const possible = writes.filter(({ outcome }) => outcome !== "refused");
  const [row] = rows;
  if (row === undefined)
    return acknowledged ? [["lost write", `is missing; ${textOf(acknowledged)}`]] : [];
  const [first] = possible.length > 0 ? possible : writes;
  if (first === undefined) return [["nobody wrote this", `is there, with ${quoted(row.value)}`]];
  if (possible.length === 0) return [["refused write is there", `is there; ${textOf(first)}`]];
  const text = textOf(acknowledged ?? first);
  const other = rows.find(({ value }) => !possible.some((one) => one.value === value));
  const problems: [string, string][] = [];
  if (rows.length > 1) problems.push(["duplicate", `is there ${rows.length} times; ${text}`]);
  if (other && acknowledged) problems.push(["lost write", `has ${quoted(other.value)}; ${text}`]);
  if (other && !acknowledged)
    problems.push(["nobody wrote this", `has ${quoted(other.value)}; ${text}`]);
  return problems;
}

const ends = { ok: "was acknowledged", refused: "was refused", unknown: "had no answer" };

const textOf = ({ client, value, ended, outcome }: Operation): string =>
  `${client}'s write of ${quoted(value)} ${ends[outcome]} at ${secondsOf(ended)}`;
