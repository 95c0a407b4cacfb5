import { addressTable } from "../lib/address-table.ts";
import { defaultStack } from "./launcher/stack.ts";
import { main as pulumi, pulumiOutput } from "./pulumi.ts";
import { main as setup } from "./setup.ts";

/** `npm start`: everything that `dev` needs, `dev` itself, and where to find it. */
export async function main(args: readonly string[]): Promise<number> {
  await setup();
  const stack = ["--stack", defaultStack];
  const quiet = ["--yes", "--skip-preview", "--suppress-outputs"];
  const code = await pulumi(["up", ...stack, ...quiet, ...args]);
  if (code !== 0) {
    process.stderr.write(
      `\nerror: \`pulumi up\` ended with ${code}; the reason is above. What was there before serves ` +
        "on; `npm start` again goes on from where it stopped\n",
    );
    return code;
  }
  const outputs = JSON.parse(await pulumiOutput(["stack", "output", "--json", ...stack]));
  process.stdout.write(
    `\nThe stack ${defaultStack} is up:\n\n${addressTable(outputs, defaultStack)}\n` +
      "The administrator is the user admin, the statistics' user is operator. " +
      'What to try next: README.md, "See it fail"; ' +
      "`npm run destroy` takes the stack away.\n",
  );
  return 0;
}
