import { defaultStack } from "./launcher/stack.ts";
import { main as pulumi } from "./pulumi.ts";

/** `npm run preview`: what `pulumi up` would do to `dev`, line by line. */
export function main(args: readonly string[]): Promise<number> {
  return pulumi(["preview", "--diff", "--stack", defaultStack, ...args]);
}
