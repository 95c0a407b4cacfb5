import { readOperationCall } from "../operate/act/call.ts";
import { operate } from "../operate/act/operation.ts";
import { planRotate } from "../operate/act/rotate.ts";
import { openStack } from "../operate/stack.ts";
import { remindOfKit } from "./launcher/kit.ts";

const usage = "npm run rotate [-- NAME…] [--finish] [--stack NAME] [--yes]";

/** `npm run rotate`: other passwords and secrets in place of those that the stack has made. */
export async function main(args: readonly string[]): Promise<number> {
  const own = { finish: { type: "boolean" } } as const;
  const { stack: name, yes, names, options } = readOperationCall(args, usage, { own });
  const stack = openStack(name);
  const finish = options.finish === true;
  const what = ["rotate", ...names, ...(finish ? ["--finish"] : [])].join(" ");
  const code = await operate(stack, { what, yes }, async () =>
    planRotate(stack, { names, finish }),
  );
  // Its own `up`s leave that to the end
  if (code === 0) await remindOfKit(name);
  return code;
}
