/** How an `up` mends what was changed by hand: its look becomes an input of what brings it again. */
import * as pulumi from "@pulumi/pulumi";

/** For a command that brings a member's files and starts its processes. */
export interface Mending {
  readonly variables: Readonly<Record<string, string>>;
  readonly ignoreChanges: string[];
}

const variable = "CHANGED_BY_HAND";

/**
 * Another value than before has the command run again, and the preview shows it; the value stays with it
 * until something is found again.
 * @param things that were found altered @default none
 */
export function mending(things: readonly string[] = []): Mending {
  if (things.length === 0) return { variables: {}, ignoreChanges: [`environment.${variable}`] };
  const value = `${things.join(", ")} (seen ${new Date().toISOString()})`;
  return { variables: { [variable]: value }, ignoreChanges: [] };
}

/** Of what a machine tells, what a delivery of its member's files puts right. */
export function ofDelivery(things: readonly string[] = []): readonly string[] {
  return things.filter((one) => !one.startsWith("task "));
}

/** And what a task does. */
export function ofTask(name: string, things: readonly string[] = []): readonly string[] {
  const mark = `task ${name}: `;
  return things.filter((one) => one.startsWith(mark)).map((one) => one.slice(mark.length));
}

/** Says what an `up` will put back. */
export function warnOfAltered(member: string, things: readonly string[] = []): void {
  if (things.length === 0) return;
  pulumi.log.warn(
    `${member}: changed by hand, and put back by this up: ${things.join(", ")}; npm run drift shows what`,
  );
}
