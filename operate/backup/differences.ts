/** What differs between the database that serves and the one that was restored beside it. */
import { printable } from "../../lib/printable.mjs";
import { counted } from "../status/kind.ts";
import { durationOf, inBoth, newest } from "./moment.ts";
import type { Restored, TableDifference } from "./shapes.ts";
import { tableOf } from "./table.ts";

/** Tables that do not differ are not listed beyond this many. */
const mostAlike = 20;

const known = (one: number | null | undefined): string =>
  one === null || one === undefined ? "none" : String(one);

function difference({ live, restored }: TableDifference): string {
  if (typeof live !== "number" || typeof restored !== "number") return "";
  const more = restored - live;
  return more === 0 ? "" : more > 0 ? `+${more}` : String(more);
}

const isAlike = (one: TableDifference): boolean =>
  one.live === one.restored && String(one.newestLive) === String(one.newestRestored);

/** For people: what it is, rows by table, and files. */
export function textOfDifferences(restored: Restored): string {
  const { tables, files, reached, to, seconds, why } = restored;
  const differing = tables.filter((one) => !isAlike(one));
  const alike = tables.filter(isAlike);
  const shown = [...differing, ...(alike.length > mostAlike ? [] : alike)];
  const rest = tables.length - shown.length;
  const wanted = to === newest ? "the newest moment there is" : inBoth(to ?? "?");
  const took = seconds === undefined ? "" : `, in ${durationOf(seconds)}`;
  const lines = [
    `restored beside the stack${took}: ${wanted}; the last that was committed by then: ${reached === undefined ? "?" : inBoth(reached)}`,
    "",
    ...(tables.length === 0
      ? ["it has no tables to compare"]
      : tableOf(
          ["table", "rows now", "restored", "difference", "newest row now", "newest row restored"],
          shown.map((one) => [
            one.table,
            known(one.live),
            known(one.restored),
            difference(one),
            String(one.newestLive ?? ""),
            String(one.newestRestored ?? ""),
          ]),
          [1, 2, 3],
        )),
    ...(rest > 0 ? [`and ${counted(rest, "table")} without a difference`] : []),
    ...(why ? ["", `not all could be compared: ${why}`] : []),
  ];
  return printable(`${[...lines, ...filesLines(files)].join("\n")}\n`);
}

function filesLines(files: Restored["files"]): string[] {
  if (files === undefined) return [];
  const { named = 0, missing = 0, inTrash = 0, inBackup = 0, nowhere } = files;
  if (missing === 0) return ["", `files: all ${named} that its rows name are there`];
  const lost = nowhere.length === 0 ? "" : `; nowhere: ${nowhere.join(", ")}`;
  return [
    "",
    `files: its rows name ${named}, of which ${missing} are not there now: ${inTrash} are in the trash, ${inBackup} in the backups${lost}`,
  ];
}
