/** A fault: what it is, and how it begins, lasts and ends. */
import { setTimeout as sleep } from "node:timers/promises";
import { allMembers, type Member } from "../../infra/topology.ts";
import type { Mend } from "./harm.ts";
import { ofRole, promisedTogether } from "./promises.ts";
import type { Promised } from "./proof.ts";
import { anotherPrimary, type Scene } from "./scene.ts";

export interface Fault {
  /** As in `--only`. */
  readonly name: string;
  readonly what: string;
  readonly promised: Promised;
  /** Whether their machines are lost as a whole, with all that is on them. @default false */
  readonly isOfMachines?: true;
  /** Whether no client can come from their machines meanwhile. @default where they are lost as a whole */
  readonly strandsClients?: true;
  /** Whom it hits, all at once. */
  readonly hits: (scene: Scene) => readonly Member[];
  /**
   * Harms one of them.
   * @param struck is called at the moment at which it is harmed, where that is not the last thing that is done
   * @returns what mends it; nothing where it mends itself
   */
  readonly harm: (scene: Scene, member: Member, struck: () => void) => Promise<Mend | undefined>;
  /** How long it lasts, seconds, before it is mended. @default 6, where there is anything to mend */
  readonly lasts?: number;
  /** Whether it lasts until there is another primary, and those seconds at most. @default false */
  readonly untilPromoted?: true;
  /** Why it is not tried at this stack. @default it is, where it hits anybody */
  readonly whyNot?: (scene: Scene) => Promise<string | undefined> | string | undefined;
}

/** Long enough that everything that follows from it has happened, seconds. */
const usuallyLasts = 6;

/** What is promised of a fault at a stack: of a machine that is lost, whatever is promised of any of its members. */
export function promisedAt(scene: Scene, { promised, isOfMachines, hits }: Fault): Promised {
  if (!isOfMachines) return promised;
  const machines = new Set(hits(scene).map(({ machine }) => machine));
  const lost = allMembers(scene.stack.topology).filter(({ machine }) => machines.has(machine));
  return promisedTogether([promised, ...lost.map((member) => ofRole(scene, member))]);
}

/** Machines that clients do not come from while it lasts. */
export function strandedAt(scene: Scene, { strandsClients, isOfMachines, hits }: Fault): string[] {
  return strandsClients || isOfMachines ? hits(scene).map(({ machine }) => machine) : [];
}

/** What a fault did. */
export interface Struck {
  readonly members: readonly Member[];
  /** Absent where it mends itself. */
  readonly mend?: Mend;
}

/** Hits all of them at once. @param struck is called at the moment at which each of them is harmed, or after it */
export async function strike(
  scene: Scene,
  { hits, harm }: Fault,
  struck: () => void,
): Promise<Struck> {
  const members = hits(scene);
  const done = await Promise.allSettled(
    members.map(async (member) => {
      const mend = await harm(scene, member, struck);
      struck();
      return mend;
    }),
  );
  const mends = done.flatMap((one) => (one.status === "fulfilled" && one.value ? [one.value] : []));
  const mend = async () => {
    const mended = await Promise.allSettled(mends.map((one) => one()));
    for (const one of mended) if (one.status === "rejected") throw one.reason;
  };
  const failed = done.find((one) => one.status === "rejected");
  if (failed) {
    await mend();
    throw failed.reason;
  }
  return { members, ...(mends.length > 0 && { mend }) };
}

/** Waits while a fault lasts. */
export async function outlast(
  scene: Scene,
  { lasts = usuallyLasts, untilPromoted }: Fault,
  signal: AbortSignal,
): Promise<void> {
  if (untilPromoted) await anotherPrimary(scene, lasts, signal);
  // With another primary, load balancers still have to see it
  await sleep((untilPromoted ? usuallyLasts : lasts) * 1000, undefined, { signal });
}
