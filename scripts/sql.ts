import { readOperationCall } from "../operate/act/call.ts";
import { askCluster } from "../operate/act/patroni.ts";
import { orStopped } from "../operate/act/whole.ts";
import { attach } from "../operate/attach.ts";
import { backupMember } from "../operate/backup/member.ts";
import { psql, sqlMember } from "../operate/sql.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run sql [-- [STATEMENT] [--replica | --restored] [--stack NAME]]";

const own = { replica: { type: "boolean" }, restored: { type: "boolean" } } as const;

/** `npm run sql`: a SQL shell at the primary, at a standby, or at what is restored beside; or one statement. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, names, options } = readOperationCall(args, usage, { own });
  if (names.length > 1) throw new Error(`put the statement in quotes; use: ${usage}`);
  const stack = openStack(name);
  if (options.restored && options.replica)
    throw new Error(`--restored is no member's: leave --replica out; use: ${usage}`);
  const member = options.restored
    ? backupMember(stack)
    : sqlMember(stack, await orStopped(stack, askCluster(stack)), options.replica === true);
  process.stderr.write(`${member.name}, as postgres\n`);
  return attach(stack, member.machine, psql(names[0], options.restored === true));
}
