import { readOperationCall } from "../operate/act/call.ts";
import { membersNamed } from "../operate/act/named.ts";
import { attach } from "../operate/attach.ts";
import { folderOf } from "../operate/folder.ts";
import { openStack } from "../operate/stack.ts";

const usage = "npm run shell -- MEMBER|MACHINE [COMMAND] [--stack NAME]";

/** `npm run shell -- MEMBER`: a shell as root on its machine, in the folder of its files; or one command. */
export async function main(args: readonly string[]): Promise<number> {
  const { stack: name, names } = readOperationCall(args, usage);
  const [wanted, command, ...others] = names;
  if (wanted === undefined || others.length > 0)
    throw new Error(`name a member, and put a command in quotes; use: ${usage}`);
  const stack = openStack(name);
  const [member] = membersNamed(stack, wanted);
  if (member === undefined) throw new Error(`use: ${usage}`);
  const words = command === undefined ? [] : ["-c", command];
  const folder = folderOf(stack, member);
  return attach(stack, member.machine, [
    "sh",
    "-c",
    `cd ${folder} && exec bash "$@"`,
    "sh",
    ...words,
  ]);
}
