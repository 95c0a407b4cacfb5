import { relative } from "node:path";
import { baseImage } from "../lib/base-image.ts";
import { root } from "../lib/paths.ts";
import { passphraseFile, pulumiEnvironment } from "./launcher/environment.ts";
import { makeOverlay, overlayFile } from "./launcher/overlay.ts";
import { defaultStack, ensureBackend, ensureStack } from "./launcher/stack.ts";
import { ensureBaseImage } from "./setup/base-image.ts";
import { ensureEngine } from "./setup/engine.ts";
import { ensurePulumiParts } from "./setup/pulumi-parts.ts";
import { ensureSshClient } from "./setup/ssh-client.ts";

/** One step of set-up. Done already: it does nothing. */
export interface Step {
  readonly name: string;
  /**
   * @param say told in a line what takes a while
   * @returns how it is now, in a line
   * @throws with what to do.
   */
  run(say: (line: string) => void): Promise<string>;
}

const here = (path: string): string => relative(root, path);

async function pulumi(say: (line: string) => void): Promise<string> {
  const there = await ensurePulumiParts({ say });
  return there.length === 0 ? "all in place" : `${there.join(", ")} there`;
}

/** Makes the state folder, the passphrase and a stack. */
export function stackStep(name: string): Step {
  return {
    name: "stack",
    async run() {
      const { made } = ensureBackend();
      const created = await ensureStack(name, pulumiEnvironment());
      makeOverlay(name);
      const passphrase = `passphrase in ${here(passphraseFile())}${made ? " (new)" : ""}`;
      const salt = `salt in ${here(overlayFile(name))}`;
      return `${name} ${created ? "created" : "is there"}; ${passphrase}, ${salt}`;
    },
  };
}

/** What every stack needs of this machine, in order: each step needs only those before it. */
export const machineSteps: readonly Step[] = [
  { name: "Docker engine", run: ensureEngine },
  { name: "Pulumi", run: pulumi },
  { name: `base image ${baseImage.name}`, run: ensureBaseImage },
];

/** What is needed besides to reach other machines. */
export const sshStep: Step = { name: "SSH client", run: ensureSshClient };

/** The steps for `dev`. */
export const steps: readonly Step[] = [...machineSteps, stackStep(defaultStack)];

/** Runs steps in order, a line or more for each on standard error; stops at the first that fails. */
export async function runSteps(list: readonly Step[]): Promise<void> {
  for (const { name, run } of list) {
    const say = (line: string) => process.stderr.write(`${name}: ${line}\n`);
    try {
      say(await run(say));
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
}

/** `npm run setup`: makes this machine ready for `pulumi up`. */
export async function main(): Promise<void> {
  await runSteps(steps);
}
