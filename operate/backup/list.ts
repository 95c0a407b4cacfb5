/** What can be restored: backups, ranges of moments by lineage and repository, and gaps in them. */
import { allPrintable } from "../../lib/printable.mjs";
import { type OperatedStack, stackOption } from "../stack.ts";
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
  /** What each repository can give by itself, and why it could not be looked at. */
  readonly repositories: Backups["repositories"];
  readonly due: Backups["due"];
  /** When the database began anew by itself, and the newest moment before. @default it did not */
  readonly anew: Backups["anew"];
  /** Why the last backup failed. @default it did not */
  readonly why: string | undefined;
  /** Why no WAL is received. @default it is */
  readonly waits: string | undefined;
}

export function listedOf(stack: string, backups?: Backups, receive?: Receive): Listed {
  return allPrintable({
    stack,
    at: backups?.at,
    receivedUpTo: receive?.receivedUpTo,
    backups: backups?.backups ?? [],
    ranges: backups?.ranges ?? [],
    gaps: backups?.gaps ?? [],
    repositories: backups?.repositories ?? {},
    due: backups?.due,
    anew: backups?.anew ?? undefined,
    why: backups?.why ?? undefined,
    waits: receive?.why ?? undefined,
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
export function textOfList(listed: Listed): string {
  const { at, backups, ranges, gaps, due, why, waits, receivedUpTo } = listed;
  const allGaps = [...gaps, ...ofEach(listed, "gaps")];
  if (at === undefined) {
    const why = waits === undefined ? "" : `: ${waits}`;
    return `no backup yet: the backup member has not looked at its repositories, which it does every 30 s${why}\n`;
  }
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
          [...ranges, ...ofEach(listed, "ranges")].map((one) => [
            String(one.lineage),
            one.repository ?? "all",
            second(one.from),
            second(one.to),
          ]),
          [0],
        ),
    Object.entries(listed.repositories).flatMap(([name, { why }]) =>
      why ? [`the repository ${name} cannot be looked at: ${why}`] : [],
    ),
    allGaps.length === 0
      ? []
      : [
          `${counted(allGaps.length, "gap")}: moments in there cannot be restored from where it is`,
          ...tableOf(
            ["lineage", "repository", "from", "to", "why"],
            allGaps.map((one) => [
              one.lineage === undefined ? "?" : String(one.lineage),
              one.repository ?? "all",
              second(one.from),
              second(one.to),
              one.why ?? "?",
            ]),
            [0],
          ),
        ],
    anewLines(listed),
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

/** Of each repository where there are several, with its name. */
const ofEach = <K extends "ranges" | "gaps">(
  { repositories }: Listed,
  kind: K,
): Backups["repositories"][string][K][number][] => {
  const all = Object.entries(repositories);
  if (all.length < 2) return [];
  return all.flatMap(([repository, one]) => one[kind].map((each) => ({ ...each, repository })));
};

/** What was before is what somebody who has lost everything looks for. */
function anewLines({ stack, anew }: Listed): string[] {
  if (!anew) return [];
  const { at, before } = anew;
  return [
    `the database began anew on ${inBoth(at)}; the newest moment before that:`,
    `  npm run restore -- --to ${before} --in-place${stackOption(stack)}`,
  ];
}
