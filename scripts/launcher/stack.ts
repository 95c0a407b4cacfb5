import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { inRoot } from "../../lib/paths.ts";
import { lastWords, run } from "../../lib/run.ts";
import { bareStack, type Call, namedStack } from "./arguments.ts";
import { cliFolder, fileBackend, passphraseFile, stateFolder } from "./environment.ts";
import { makeOverlay, overlayText, saltOf } from "./overlay.ts";

/** The stack that every command means until another is selected. */
export const defaultStack = "dev";

/** The project's name as in Pulumi.yaml. */
export function projectName(): string {
  const project = parse(readFileSync(inRoot("Pulumi.yaml"), "utf8")) as { name: string };
  return project.name;
}

/** Where Pulumi remembers what `pulumi stack select` chose for this checkout. */
function selectionFile(env: NodeJS.ProcessEnv): string {
  const hash = createHash("sha1").update(inRoot("Pulumi.yaml")).digest("hex");
  return join(env.PULUMI_HOME ?? "", "workspaces", `${projectName()}-${hash}-workspace.json`);
}

/** The stack that `pulumi stack select` chose. */
export function selectedStack(env: NodeJS.ProcessEnv): string | undefined {
  const file = selectionFile(env);
  if (!existsSync(file)) return undefined;
  const record = JSON.parse(readFileSync(file, "utf8")) as {
    stack?: string;
    stacks?: Record<string, string>;
  };
  const name = record.stacks?.[env.PULUMI_BACKEND_URL ?? ""] ?? record.stack;
  return name === undefined || name === "" ? undefined : bareStack(name);
}

/** The stack that a command is about, and whether the user named it. */
export function stackOf(call: Call, env: NodeJS.ProcessEnv): { name: string; named: boolean } {
  const asked = namedStack(call) ?? call.stack ?? env.PULUMI_STACK ?? selectedStack(env);
  return { name: bareStack(asked ?? defaultStack), named: asked !== undefined };
}

/** The file in which a `file://` backend keeps a stack, if it is there. */
export function stateFile(backend: string, stack: string): string | undefined {
  const base = join(backend, ".pulumi/stacks", projectName(), `${stack}.json`);
  return [base, `${base}.gz`].find((path) => existsSync(path));
}

/** What a `file://` backend keeps of a stack. @param file as `stateFile` finds it */
export function stateText(file: string): string {
  const bytes = readFileSync(file);
  return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
}

/** Stacks of any project that the project's own state folder holds. */
function hasStacks(): boolean {
  const folder = join(stateFolder(), ".pulumi/stacks");
  return (
    existsSync(folder) &&
    readdirSync(folder, { recursive: true }).some((name) => String(name).endsWith(".json"))
  );
}

/**
 * Makes the state folder and the passphrase, if they are not there.
 * @throws when the passphrase is gone and there is state that only it could open.
 */
export function ensureBackend(): { made: boolean } {
  const file = passphraseFile();
  if (existsSync(file)) {
    mkdirSync(stateFolder(), { recursive: true });
    return { made: false };
  }
  if (hasStacks()) {
    throw new Error(
      `${file} is gone, but the stacks in ${stateFolder()} were encrypted with it: put it back from ` +
        `a backup. If you do not need the stacks: remove their containers, networks and volumes ` +
        "(label hastack.stack), then the folder, and start again",
    );
  }
  mkdirSync(stateFolder(), { recursive: true });
  writeFileSync(file, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  return { made: true };
}

/**
 * Creates a stack that has a configuration file but no state yet, in a project folder of its own, so
 * that the salt goes to the overlay and not into the tracked file.
 * @returns true when it was created
 */
export async function ensureStack(stack: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const backend = fileBackend(env);
  if (backend === undefined || stateFile(backend, stack) !== undefined) return false;
  if (!existsSync(inRoot(`Pulumi.${stack}.yaml`))) return false;
  mkdirSync(backend, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "hastack-stack-"));
  try {
    const file = join(folder, `Pulumi.${stack}.yaml`);
    writeFileSync(join(folder, "Pulumi.yaml"), `name: ${projectName()}\nruntime: nodejs\n`);
    writeFileSync(file, overlayText(stack));
    const command = [join(cliFolder(), "pulumi"), "stack", "init", stack];
    const outcome = await run([...command, "--no-select", "--non-interactive", "-C", folder], {
      env: { ...env, PULUMI_STACK: undefined, PULUMI_OPTION_CONFIG_FILE: undefined },
    });
    if (outcome.code !== 0 && stateFile(backend, stack) === undefined) {
      throw new Error(`stack ${stack} could not be created:\n${lastWords(outcome)}`);
    }
    if (outcome.code === 0) makeOverlay(stack, saltOf(readFileSync(file, "utf8")));
    return outcome.code === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
