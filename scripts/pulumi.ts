import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { root } from "../lib/paths.ts";
import { mustRun, run } from "../lib/run.ts";
import { become } from "./bootstrap.mjs";
import { type Call, changesStack, readCall, stackUse } from "./launcher/arguments.ts";
import {
  cliFolder,
  fileBackend,
  passphraseFile,
  pulumiEnvironment,
} from "./launcher/environment.ts";
import { remindOfKit } from "./launcher/kit.ts";
import { noticeMissing, refuseStrangers } from "./launcher/missing.ts";
import { withoutOthers } from "./launcher/others.ts";
import { adoptSalt, makeOverlay } from "./launcher/overlay.ts";
import { recover } from "./launcher/recovery.ts";
import { absentIn } from "./launcher/settings.ts";
import { ensureBackend, ensureStack, stackOf } from "./launcher/stack.ts";
import { ensurePulumiParts } from "./setup/pulumi-parts.ts";

/** A command line of Pulumi's, ready to be run. */
interface Prepared {
  readonly env: NodeJS.ProcessEnv;
  /** To be called when the CLI has ended. */
  settle(): void;
}

const cli = (): string => join(cliFolder(), "pulumi");

/** Prepares a command about a stack: the stack exists, its overlay is made, old runs are cleared. */
async function prepareStack(call: Call, env: NodeJS.ProcessEnv): Promise<Prepared> {
  const { name: stack, named } = stackOf(call, env);
  await ensureStack(stack, env);
  const own = call.configFile ?? env.PULUMI_OPTION_CONFIG_FILE;
  const overlay = own === undefined ? makeOverlay(stack) : undefined;
  const full: NodeJS.ProcessEnv = {
    ...env,
    ...(overlay === undefined ? {} : { PULUMI_OPTION_CONFIG_FILE: overlay.path }),
    ...(named ? {} : { PULUMI_STACK: stack }),
  };
  const config = own ?? overlay?.path;
  if (isUp(call)) await refuseStrangers(stack, full);
  if (stackUse(call) === "changes") {
    await recover(stack, { ...full, PULUMI_OPTION_CONFIG_FILE: config });
    Object.assign(full, await noticeMissing(stack, full));
    if (isDestroy(call)) full.HASTACK_LEFT_BEHIND = absentIn(stack).join(" ");
  }
  return { env: full, settle: () => overlay?.settle() };
}

const isDestroy = ({ words: [command = ""] }: Call): boolean =>
  ["destroy", "down", "dn"].includes(command);

const isUp = ({ words: [command = ""], help }: Call): boolean =>
  ["up", "update"].includes(command) && !help;

/** For the lock and the journal. */
const nameOf = ({ words: [command = ""], isPart }: Call): string =>
  isPart ? `${command} --target` : command;

const isHere = ({ cwd = "." }: Call): boolean => resolve(cwd) === root;

async function prepare(args: readonly string[]): Promise<Prepared> {
  const env = pulumiEnvironment();
  const call = readCall(args);
  await ensurePulumiParts();
  ensureBackend();
  const use = isHere(call) ? stackUse(call) : "none";
  if (use === "none") return { env, settle() {} };
  if (use !== "creates") return prepareStack(call, env);
  const { name } = stackOf(call, env);
  return { env, settle: () => fileBackend(env) !== undefined && adoptSalt(name) };
}

/** Only encrypting something makes Pulumi look at the passphrase; it does so in a scratch file. */
async function isWrongPassphrase(env: NodeJS.ProcessEnv): Promise<boolean> {
  const overlay = env.PULUMI_OPTION_CONFIG_FILE;
  if (overlay === undefined) return false;
  const folder = mkdtempSync(join(tmpdir(), "hastack-passphrase-"));
  try {
    const scratch = join(folder, "config.yaml");
    copyFileSync(overlay, scratch);
    const set = ["config", "set", "--non-interactive", "--secret", "hastack:probe", "x"];
    const { stderr } = await run([cli(), ...set, "--config-file", scratch], { env });
    return stderr.includes("incorrect passphrase");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Adds to Pulumi's "incorrect passphrase" which one was tried, and what to do. */
async function explainPassphrase(env: NodeJS.ProcessEnv): Promise<void> {
  if (!(await isWrongPassphrase(env))) return;
  const variable = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"].find(
    (name) => process.env[name] !== undefined,
  );
  process.stderr.write(
    variable === undefined
      ? `hastack: ${passphraseFile()} is not the passphrase that this stack was made with: put that one back\n`
      : `hastack: ${variable} is set, and is not the passphrase that this stack was made with: ` +
          `unset it to use ${passphraseFile()}, or give the right one\n`,
  );
}

/**
 * Runs the real CLI in our place, with this project's surroundings; gives its exit code.
 * @param locked whether an operation runs it, which has the stack's lock @default false
 */
export async function main(args: readonly string[], locked = false): Promise<number> {
  const { env, settle } = await prepare(args);
  const call = readCall(args);
  const start = () => become(cli(), args, env);
  const code = await (changesStack(call) && isHere(call) && !locked
    ? withoutOthers(stackOf(call, env).name, nameOf(call), start)
    : start());
  settle();
  if (code !== 0 && stackUse(call) !== "none") await explainPassphrase(env);
  if (code === 0 && isUp(call) && isHere(call) && !locked)
    await remindOfKit(stackOf(call, env).name);
  return code;
}

/**
 * Runs the real CLI and gives what it prints on standard output.
 * @param input given to its standard input @default nothing
 * @throws when it fails.
 */
export async function pulumiOutput(args: readonly string[], input?: string): Promise<string> {
  const { env, settle } = await prepare(args);
  const output = await mustRun([cli(), ...args], { env, input });
  settle();
  return output;
}
