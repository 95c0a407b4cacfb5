import { resolve } from "node:path";
import { become } from "./bootstrap.mjs";
import { readCall, stackUse } from "./launcher/arguments.ts";
import { cliFolder, fileBackend, pulumiEnvironment } from "./launcher/environment.ts";
import { adoptSalt, makeOverlay } from "./launcher/overlay.ts";
import { recover } from "./launcher/recovery.ts";
import { ensureBackend, ensureStack, stackOf } from "./launcher/stack.ts";
import { root } from "./lib/paths.ts";
import { ensurePulumiParts } from "./setup/pulumi-parts.ts";

/** Runs the real CLI with these arguments and this project's surroundings; gives its exit code. */
export async function main(args: string[]): Promise<number> {
  const env = pulumiEnvironment();
  const call = readCall(args);
  const cli = `${cliFolder()}/pulumi`;
  await ensurePulumiParts();
  ensureBackend();
  const use = resolve(call.cwd ?? process.cwd()).startsWith(root) ? stackUse(call) : "none";
  if (use === "none") return become(cli, args, env);
  const { name: stack, named } = stackOf(call, env);
  if (use === "creates") {
    const code = await become(cli, args, env);
    if (fileBackend(env) !== undefined) adoptSalt(stack);
    return code;
  }
  await ensureStack(stack, env);
  const overlay =
    call.configFile === undefined && env.PULUMI_OPTION_CONFIG_FILE === undefined
      ? makeOverlay(stack)
      : undefined;
  const full: NodeJS.ProcessEnv = {
    ...env,
    ...(overlay === undefined ? {} : { PULUMI_OPTION_CONFIG_FILE: overlay.path }),
    ...(named ? {} : { PULUMI_STACK: stack }),
  };
  if (use === "changes") await recover(stack, full);
  const code = await become(cli, args, full);
  overlay?.settle();
  return code;
}
