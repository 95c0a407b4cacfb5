import { addressTable } from "../lib/address-table.ts";
import { readCall } from "./launcher/arguments.ts";
import { defaultStack } from "./launcher/stack.ts";
import { main as pulumi, pulumiOutput } from "./pulumi.ts";
import { machineSteps, runSteps, stackStep } from "./setup.ts";

/**
 * `npm start`: everything that `dev` needs, `dev` itself, and where to find it. With
 * `-- --stack NAME` another stack on Docker that has a file Pulumi.NAME.yaml.
 */
export async function main(args: readonly string[]): Promise<number> {
  const name = readCall(args).stack ?? defaultStack;
  await runSteps([...machineSteps, stackStep(name)]);
  const stack = ["--stack", name];
  const quiet = ["--yes", "--skip-preview", "--suppress-outputs"];
  const code = await pulumi(["up", ...stack, ...quiet, ...args]);
  if (code !== 0) {
    process.stderr.write(
      `\nerror: \`pulumi up\` failed (exit code ${code}); the reason is above. What was there before ` +
        "keeps serving; run `npm start` again to continue\n",
    );
    return code;
  }
  const outputs = JSON.parse(await pulumiOutput(["stack", "output", "--json", ...stack]));
  process.stdout.write(
    `\nThe stack ${name} is up:\n\n${addressTable(outputs, name)}\n` +
      `${"adminUrl" in outputs ? "The administrator is the user admin. " : ""}` +
      "The statistics page's user is operator. " +
      'What to try next: docs/operate.md, "See it fail"; ' +
      `\`npm run destroy${name === defaultStack ? "" : ` -- --stack ${name}`}\` removes the stack.\n`,
  );
  return 0;
}
