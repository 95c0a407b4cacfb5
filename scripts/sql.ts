import { readOperationCall } from "../operate/act/call.ts";
import { askCluster } from "../operate/act/patroni.ts";
import { orStopped } from "../operate/act/whole.ts";
import { attach } from "../operate/attach.ts";
import { psql, sqlMember } from "../operate/sql.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run sql [-- [STATEMENT] [--replica] [--stack NAME]]";

const own = { replica: { type: "boolean" } } as const;

/** `npm run sql`: a SQL shell at the primary, or at a standby; or one statement. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, names, options } = readOperationCall(args, usage, { own });
  if (names.length > 1) throw new Error(`put the statement in quotes; use: ${usage}`);
  const stack = openStack(name);
  const member = sqlMember(
    stack,
    await orStopped(stack, askCluster(stack)),
    options.replica === true,
  );
  process.stderr.write(`${member.name}, as postgres\n`);
  return attach(stack, member.machine, psql(names[0]));
}
