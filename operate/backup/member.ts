/** The member that keeps the backups: who it is, and what it says of itself. */
import { quote } from "../../infra/platform/shell.ts";
import { backupDirectory } from "../../infra/roles.ts";
import type { Member } from "../../infra/topology.ts";
import { Refusal } from "../act/plan.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

/** @throws Refusal where the stack has none, or its machine is absent */
export function backupMember({ name, settings, topology }: OperatedStack): Member {
  const [member] = topology.members.backup;
  if (member === undefined) {
    const fix =
      settings.platform === "docker"
        ? "set hastack:members.backup to 1"
        : "give the role backup to a machine (hastack:machines) that is no machine of the database";
    throw new Refusal(
      `stack ${name} has no backup member, so nothing is backed up: ${fix}, then npx pulumi up`,
    );
  }
  if (member.absent)
    throw new Refusal(
      `${member.name}: its machine ${member.machine} is absent (hastack:absent): start it, take it out there, npx pulumi up`,
    );
  return member;
}

/** Reading a file of state takes milliseconds. */
const lookSeconds = 10;

/** The member cannot be asked; what it does goes on. */
export class Away extends Error {}

/**
 * Runs shell text on the member's machine.
 * @param input for the script @default nothing
 * @returns its standard output
 * @throws Away where the machine does not answer, or an Error with what the script says
 */
export async function onBackup(
  stack: OperatedStack,
  script: string,
  { input = "", limitSeconds = lookSeconds } = {},
): Promise<string> {
  const { name, machine } = backupMember(stack);
  const outcome = await onMachineOf(stack, machine, script, { limitSeconds, input });
  if (isUnreachable(outcome))
    throw new Away(
      `${name}: its machine ${machine} cannot be asked (${outcome.unreachable}): start it, or mend its network`,
    );
  if (outcome.code === 0) return outcome.stdout;
  const said = outcome.stderr.trim().split("\n").slice(-5).join("\n");
  throw new Error(`${name}: ${said || `it ended with ${outcome.code}`}`);
}

/** The text of one of its files of state. @returns nothing where there is none @throws Away */
export async function stateFile(stack: OperatedStack, file: string): Promise<string | undefined> {
  const path = quote(`${backupDirectory}/state/${file}.json`);
  const text = await onBackup(stack, `[ ! -e ${path} ] || cat ${path}`);
  return text === "" ? undefined : text;
}
