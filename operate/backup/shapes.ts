/**
 * What the backup member writes of itself. Whoever is root there may write anything: what is of another kind
 * counts as not said, and what is not said is no good news.
 */
import { z } from "zod";
import { readJson } from "../json.ts";

/** A part of a file: of another kind it counts as not there. */
const maybe = <T extends z.ZodType>(shape: T) => shape.optional().catch(undefined);

/** A moment; text that is none counts as not there. */
export const moment = z
  .string()
  .refine((text) => /^\d{4}-\d\d-\d\dT/.test(text) && Number.isFinite(Date.parse(text)));
const time = maybe(moment);
const text = maybe(z.string().nullable());
const count = maybe(z.number().nonnegative());
const number = maybe(z.number());

/** Entries that can be read; one that cannot hides no other. @param most that anybody looks at */
const several = <T extends z.ZodType>(shape: T, most = 10_000) =>
  z
    .array(z.unknown())
    .catch([])
    .default([])
    .transform((all): z.output<T>[] =>
      all.slice(0, most).flatMap((one) => {
        const read = shape.safeParse(one);
        return read.success ? [read.data] : [];
      }),
    );

/** By repository. */
const byRepository = <T extends z.ZodType>(shape: T) =>
  z
    .record(z.string(), z.unknown())
    .catch({})
    .default({})
    .transform((all) =>
      Object.fromEntries(
        Object.entries(all)
          .slice(0, 20)
          .flatMap(([name, one]): [string, z.output<T>][] => {
            const read = shape.safeParse(one);
            return read.success ? [[name, read.data]] : [];
          }),
      ),
    );

export const receiveShape = z.object({
  at: time,
  connected: maybe(z.boolean()),
  since: time,
  why: text,
  received: text,
  receivedUpTo: time,
  spoolBytes: count,
  spoolLimitBytes: count,
  lineage: count,
  repositories: byRepository(z.object({ pushed: text, at: time, why: text })),
});
export type Receive = z.output<typeof receiveShape>;

const backup = z.object({
  lineage: z.number(),
  label: z.string(),
  type: z.string(),
  start: moment,
  stop: moment,
  bytes: count,
  repositories: byRepository(z.number()),
});
export type Backup = z.output<typeof backup>;

const range = z.object({
  lineage: z.number(),
  from: moment,
  to: moment,
  /** @default it holds for all repositories together */
  repository: maybe(z.string()),
});
export type Range = z.output<typeof range>;

const gap = z.object({
  lineage: number,
  from: time,
  to: time,
  why: text,
  repository: maybe(z.string()),
});
export type Gap = z.output<typeof gap>;

export const backupsShape = z.object({
  at: time,
  lineage: count,
  backups: several(backup),
  ranges: several(range),
  gaps: several(gap),
  repositories: byRepository(z.object({ why: text, ranges: several(range), gaps: several(gap) })),
  due: maybe(z.object({ full: time, differential: time })),
  /** The database began anew by itself, and nobody has restored what was before. */
  anew: maybe(z.object({ at: moment, before: moment }).nullable()),
  why: text,
});
export type Backups = z.output<typeof backupsShape>;

export const filesShape = z.object({
  at: time,
  why: text,
  repositories: byRepository(z.object({ at: time, why: text, snapshots: count })),
  bytes: count,
  files: count,
});
export type Files = z.output<typeof filesShape>;

export const drillShape = z.object({
  started: time,
  ended: time,
  outcome: maybe(z.enum(["passed", "failed"])),
  why: text,
  moment: time,
  backup: text,
  seconds: count,
  checks: several(z.object({ what: z.string(), ok: z.boolean(), detail: text })),
  due: maybe(moment.nullable()),
});
export type Drill = z.output<typeof drillShape>;

const cell = maybe(z.union([z.string(), z.number()]).nullable());
const table = z.object({
  table: z.string(),
  live: maybe(z.number().nullable()),
  restored: maybe(z.number().nullable()),
  newestLive: cell,
  newestRestored: cell,
});
export type TableDifference = z.output<typeof table>;

export const restoredShape = z.object({
  to: text,
  reached: time,
  phase: maybe(z.enum(["restoring", "beside", "promoted", "failed"])),
  since: time,
  lineage: count,
  seconds: count,
  why: text,
  tables: several(table),
  files: maybe(
    z.object({
      named: count,
      missing: count,
      inTrash: count,
      inBackup: count,
      nowhere: several(z.string(), 20),
    }),
  ),
});
export type Restored = z.output<typeof restoredShape>;

export const runningShape = z.object({ what: text, since: time, progress: text });
export type Running = z.output<typeof runningShape>;

export const requestShape = z.object({
  id: z.string(),
  do: z.string(),
  since: time,
  phase: z.enum(["waiting", "running", "done", "failed"]),
  progress: text,
  why: text,
  result: z.record(z.string(), z.unknown()).nullable().optional().catch(undefined),
});
export type RequestState = z.output<typeof requestShape>;

/** By the names of the files. */
const shapes = {
  receive: receiveShape,
  backups: backupsShape,
  files: filesShape,
  drill: drillShape,
  restored: restoredShape,
  running: runningShape,
} as const;
export type StateName = keyof typeof shapes;
export type StateOf<N extends StateName> = z.output<(typeof shapes)[N]>;
export const stateNames = Object.keys(shapes) as readonly StateName[];

/** @returns nothing where the text is none of this kind */
export const readState = <N extends StateName>(
  name: N,
  content: string | undefined,
): StateOf<N> | undefined => readJson(content, shapes[name] as z.ZodType) as StateOf<N> | undefined;
