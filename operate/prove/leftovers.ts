/** What a proof makes in a stack, and takes away at its end: its database, and its files in the shared directory. */
import { sharedPath } from "../../infra/application/environment.ts";
import { quote } from "../../infra/platform/shell.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import { removeDatabase } from "./database.ts";

/** Where clients put files: in a directory of its own. @returns nothing where the application shares none */
export function uploadsFolder({ application }: OperatedStack): string | undefined {
  const [directory] = application.shared.map(sharedPath);
  return directory === undefined ? undefined : `${directory}/.hastack-prove`;
}

/** Storage on several machines takes a while for the files of a hundred runs. */
const removingSeconds = 300;

/** Safe where nothing is there. @throws where there is no primary, or no machine with the shared directory answers */
export async function removeProof(stack: OperatedStack): Promise<void> {
  await removeDatabase(stack);
  const folder = uploadsFolder(stack);
  if (folder === undefined) return;
  const said: string[] = [];
  for (const { name, machine } of Object.values(stack.topology.tiers).flat()) {
    const remove = `rm -rf -- ${quote(folder)}`;
    const outcome = await onMachineOf(stack, machine, remove, { limitSeconds: removingSeconds });
    if (!isUnreachable(outcome) && outcome.code === 0) return;
    said.push(`${name}: ${isUnreachable(outcome) ? outcome.unreachable : outcome.stderr.trim()}`);
  }
  throw new Error(`${folder} could not be removed: ${said.join("; ")}`);
}
