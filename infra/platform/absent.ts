/** How an `up` leaves a machine alone that is lost for now. */
import type { Host } from "./platform.ts";

/** All of a resource's inputs: whatever the program says of it, the state keeps what it has. */
export const everything: readonly string[] = ["*"];

/**
 * What a command on an absent machine is, in place of itself: the state keeps it as it is, so nothing is
 * done. One that the state does not have yet is entered and does nothing; it is another command, and runs,
 * once the machine is not absent any more.
 */
export function leftAlone(
  { absent, machine }: Pick<Host, "absent" | "machine">,
  create: string,
): { readonly create: string; readonly ignored: readonly string[] } {
  return absent
    ? { create: `echo ${machine} is absent: nothing was done there`, ignored: everything }
    : { create, ignored: [] };
}
