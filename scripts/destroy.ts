import { defaultStack } from "./launcher/stack.ts";
import { main as pulumi } from "./pulumi.ts";

/** `npm run destroy`: takes `dev` down; its data goes with it if `hastack:keepData` is false. */
export function main(args: readonly string[]): Promise<number> {
  return pulumi(["destroy", "--yes", "--skip-preview", "--stack", defaultStack, ...args]);
}
