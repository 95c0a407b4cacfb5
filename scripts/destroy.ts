import { readCall } from "./launcher/arguments.ts";
import { defaultStack } from "./launcher/stack.ts";
import { main as pulumi } from "./pulumi.ts";

/**
 * `npm run destroy`: takes `dev` down, or with `-- --stack NAME` another stack; its data goes with it
 * if `hastack:keepData` is false.
 */
export function main(args: readonly string[]): Promise<number> {
  const stack = readCall(args).stack === undefined ? ["--stack", defaultStack] : [];
  return pulumi(["destroy", "--yes", "--skip-preview", ...stack, ...args]);
}
