/** Whether a stack has a recovery kit, and whether that is older than the last change that matters. */
import { allMembers } from "../../infra/topology.ts";
import type { OperatedStack } from "../stack.ts";
import type { Finding, Subject } from "../status/picture.ts";
import { changedParts, describeParts, type Fingerprint } from "./fingerprint.ts";
import { type KitRecord, newest, recordHere, recordOnStack } from "./record.ts";
import { fingerprintHere } from "./sources.ts";

/** What this checkout knows. */
export interface KnownHere {
  /** The last kit that was made here. @default none was */
  readonly record?: KitRecord | undefined;
  /** What a recovery would need now, as far as it is known. */
  readonly now: Partial<Fingerprint>;
}

/** Without backups there is nothing that a kit would bring back. */
export const needsKit = ({ topology }: OperatedStack): boolean =>
  allMembers(topology).some(({ role }) => String(role) === "backup");

/** A stack on this machine's engine is lost with its backups, and is mostly for trying out. */
const isMild = ({ settings }: OperatedStack): boolean => settings.platform === "docker";

/** @returns nothing where the stack has no backups, or its files cannot be read: others complain of that */
export function knownHere(stack: OperatedStack): KnownHere | undefined {
  if (!needsKit(stack)) return undefined;
  try {
    return { record: recordHere(stack.name), now: fingerprintHere(stack) };
  } catch {
    return undefined;
  }
}

const day = (iso: string): string => iso.slice(0, 10);

/** What there is to say of a stack's kit. @returns what is wrong with it, where something is */
function look(stack: OperatedStack, record: KitRecord | undefined, now: Partial<Fingerprint>) {
  const make = `npm run kit -- --make FILE --stack ${stack.name}`;
  if (record === undefined) {
    const what =
      "there is no recovery kit: if all machines and this checkout were lost, the backups could not be read";
    return { is: "none was made", serious: true, what, fix: make };
  }
  const made = `made ${day(record.made)} by ${record.by}`;
  const changed = changedParts(record.fingerprint, now);
  if (changed.length === 0) return { is: made };
  const older = `older than the last change of ${describeParts(changed)}`;
  // What the stack's file says is mostly kept elsewhere, too
  const serious = changed.some((one) => one !== "settings");
  const what = `the recovery kit of ${day(record.made)} is ${older}`;
  return { is: `${made}, ${older}`, serious, what, fix: make };
}

/**
 * For the status.
 * @param noted what the stack's etcd keeps of the last one
 * @returns nothing where the stack has no backups
 */
export function judgeKit(
  stack: OperatedStack,
  noted: KitRecord | undefined,
  here: KnownHere,
): Subject | undefined {
  if (!needsKit(stack)) return undefined;
  const { is, what, serious, fix } = look(stack, newest(here.record, noted), here.now);
  const name = "kit";
  if (what === undefined || !serious || isMild(stack))
    return { name, state: "ok", is, findings: [] };
  const should = "one that is not older than what it brings back";
  const finding: Finding = { state: "degraded", what, should, fix };
  return { name, state: finding.state, is, findings: [finding] };
}

/** A sentence for the end of an `up`. @returns nothing where there is nothing to say, or it is not asked for */
export async function reminderOf(stack: OperatedStack): Promise<string | undefined> {
  const here = isMild(stack) ? undefined : knownHere(stack);
  if (here === undefined) return undefined;
  // Without etcd, what is known here must do
  const noted = await recordOnStack(stack).catch(() => undefined);
  const { what, fix } = look(stack, newest(here.record, noted), here.now);
  return what === undefined ? undefined : `${what}: ${fix}`;
}
