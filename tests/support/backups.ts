/** What a stack's backups are: asked for by command, as an operator does. */
import { rmSync } from "node:fs";
import { mustRun } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { timed } from "./measure.ts";
import { command } from "./operation.ts";
import type { TestStack } from "./test-stack.ts";
import { type Acknowledged, missingWrites } from "./traffic.ts";

/** The member that keeps them. */
export const keeper = "backup-1";
/** A restore of some megabytes, on a machine that is busy with the tests. */
export const restoreSeconds = 600;

interface Range {
  readonly lineage: number;
  readonly from: string;
  readonly to: string;
}
interface Gap {
  readonly lineage: number;
  readonly from: string;
  readonly to: string | null;
  readonly why: string;
}

/** What `npm run backup -- --list --json` says, as far as it is looked at. */
export interface Listed {
  readonly backups: readonly {
    readonly type: string;
    readonly label: string;
    readonly lineage: number;
    readonly start: string;
    readonly repositories: Readonly<Record<string, number>>;
  }[];
  readonly ranges: readonly Range[];
  readonly gaps: readonly Gap[];
  readonly repositories: Readonly<
    Record<string, { readonly why: string | null; ranges: readonly Range[]; gaps: readonly Gap[] }>
  >;
  readonly anew?: { readonly at: string; readonly before: string };
}

/** Its exit code is 1 where moments are missing. */
export async function listed(stack: TestStack): Promise<Listed> {
  return JSON.parse((await command(stack, ["backup", "--list", "--json"])).stdout);
}

const last = (ranges: readonly Range[]): Range | undefined =>
  ranges.toSorted((a, b) => a.to.localeCompare(b.to)).at(-1);

export async function newest(stack: TestStack): Promise<Range> {
  const found = last((await listed(stack)).ranges);
  if (!found) throw new Error("nothing can be restored");
  return found;
}

/**
 * Waits until a moment can be restored.
 * @param repository from this one alone @default from whichever
 */
export async function reachable(
  stack: TestStack,
  moment: Date,
  repository?: string,
): Promise<void> {
  const where = repository === undefined ? "" : ` from ${repository} alone`;
  const probe = async () => {
    const { ranges, repositories } = await listed(stack);
    return last(repository === undefined ? ranges : (repositories[repository]?.ranges ?? []))?.to;
  };
  await timed(`until it can be restored${where}`, () =>
    until(`${moment.toISOString()} can be restored${where}`, {
      probe,
      done: (to) => Date.parse(to ?? "") > moment.getTime(),
      limitSeconds: 240,
    }),
  );
}

/** How many of these destinations are there. */
export async function countOf(stack: TestStack, some: readonly Acknowledged[]): Promise<number> {
  const asked = some.map((one) => missingWrites(stack, [one]));
  return (await Promise.all(asked)).filter(({ length }) => length === 0).length;
}

/** All that `npm run status` says, as one text, and its exit code. */
export async function status(stack: TestStack): Promise<{ text: string; code: number }> {
  const { code, stdout } = await command(stack, ["status", "--json"]);
  return { text: stdout, code };
}

/** Waits until the status says something of the backups. */
export function told(stack: TestStack, what: RegExp, limitSeconds = 180): Promise<unknown> {
  return timed(`until status says ${what}`, () =>
    until(`status says ${what}`, {
      probe: () => status(stack),
      done: ({ text }) => what.test(text),
      limitSeconds,
      intervalSeconds: 3,
    }),
  );
}

/** Waits until the status finds nothing wrong. */
export function well(stack: TestStack, limitSeconds = 240): Promise<unknown> {
  return timed("until status finds nothing wrong", () =>
    until("status finds nothing wrong", {
      probe: () => status(stack),
      done: ({ code }) => code === 0,
      limitSeconds,
      intervalSeconds: 3,
    }),
  );
}

/** All that the engine has of the stack, and its checkout, at once. */
export async function loseAll(stack: TestStack): Promise<void> {
  const filter = ["--filter", `label=hastack.stack=${stack.name}`];
  for (const [list, remove] of [
    [
      ["ps", "--all", "--quiet"],
      ["rm", "--force"],
    ],
    [
      ["volume", "ls", "--quiet"],
      ["volume", "rm", "--force"],
    ],
    [
      ["network", "ls", "--quiet"],
      ["network", "rm"],
    ],
  ] as const) {
    const names = (await mustRun(["docker", ...list, ...filter])).split("\n").filter(Boolean);
    if (names.length > 0) await mustRun(["docker", ...remove, ...names], { limitSeconds: 120 });
  }
  rmSync(stack.folder, { recursive: true, force: true });
}
