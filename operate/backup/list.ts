/** What can be restored: backups, ranges of moments by lineage and repository, and gaps in them. */
import { allPrintable } from "../../lib/printable.mjs";
import type { OperatedStack } from "../stack.ts";
import { counted, sizeOf } from "../status/kind.ts";
import { stateFile } from "./member.ts";
import { inBoth } from "./moment.ts";
import { type Backups, type Receive, readState } from "./shapes.ts";
import { tableOf } from "./table.ts";

/** All of it, as data. */
export interface Listed {
  readonly stack: string;
  /** When the member last looked at its repositories. @default never */
  readonly at: string | undefined;
  /** The newest moment whose log has come, in a repository or not yet. */
  readonly receivedUpTo: string | undefined;
  readonly backups: Backups["backups"];
  readonly ranges: Backups["ranges"];
  readonly gaps: Backups["gaps"];
  readonly due: Backups["due"];
  /** Why the last backup failed. @default it did not */
  readonly why: string | undefined;
}

export function listedOf(stack: string, backups?: Backups, receive?: Receive): Listed {
  return allPrintable({
    stack,
    at: backups?.at,
    receivedUpTo: receive?.receivedUpTo,
    backups: backups?.backups ?? [],
    ranges: backups?.ranges ?? [],
    gaps: backups?.gaps ?? [],
    due: backups?.due,
    why: backups?.why ?? undefined,
  });
}

/** @throws Away, or where the member has written nothing that can be read */
export async function lookAtBackups(stack: OperatedStack): Promise<Listed> {
  const [text, received] = await Promise.all([
    stateFile(stack, "backups"),
    stateFile(stack, "receive"),
  ]);
  const backups = readState("backups", text);
  if (text !== undefined && backups === undefined)
    throw new Error(
      "what the backup member wrote of its backups is no answer: npm run logs -- backup",
    );
  return listedOf(stack.name, backups, readState("receive", received));
}

const second = (iso: string | undefined): string =>
  iso === undefined ? "?" : iso.slice(0, 19).replace("T", " ");

/** For people; times are UTC. */
export function textOfList({ at, backups, ranges, gaps, due, why, receivedUpTo }: Listed): string {
  if (at === undefined)
    return "no backup yet: the backup member has not looked at its repositories\n";
  const parts = [
    backups.length === 0
      ? ["no backup yet"]
      : tableOf(
          ["lineage", "backup", "type", "started", "took", "database", "in the repositories"],
          backups.map((one) => [
            String(one.lineage),
            one.label,
            one.type,
            second(one.start),
            `${Math.round((Date.parse(one.stop) - Date.parse(one.start)) / 1000)} s`,
            one.bytes === undefined ? "?" : sizeOf(one.bytes),
            Object.entries(one.repositories)
              .map(([name, bytes]) => `${name} ${sizeOf(bytes)}`)
              .join(", "),
          ]),
          [0, 4, 5],
        ),
    ranges.length === 0
      ? ["no moment can be restored yet"]
      : tableOf(
          ["lineage", "repository", "can be restored from", "to"],
          ranges.map((one) => [
            String(one.lineage),
            one.repository ?? "all",
            second(one.from),
            second(one.to),
          ]),
          [0],
        ),
    gaps.length === 0
      ? []
      : [
          `${counted(gaps.length, "gap")}: moments in there cannot be restored`,
          ...tableOf(
            ["lineage", "repository", "from", "to", "why"],
            gaps.map((one) => [
              one.lineage === undefined ? "?" : String(one.lineage),
              one.repository ?? "all",
              second(one.from),
              second(one.to),
              one.why ?? "?",
            ]),
            [0],
          ),
        ],
    [
      ...(receivedUpTo === undefined ? [] : [`received up to ${inBoth(receivedUpTo)}`]),
      `next: full ${second(due?.full)}, differential ${second(due?.differential)}`,
      ...(why === undefined ? [] : [`the last backup failed: ${why}`]),
    ],
  ];
  return `${parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}
