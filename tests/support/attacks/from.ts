/** Programs of the tests that run where a member is: with its addresses, and none of its files. */

import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { root } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { type Knock, knockAll, type Verdict } from "./knock.ts";

/**
 * Command that runs a file of the tests in a container of the same image as another, by this very Node.
 * @param network options of `docker run` @default the other's
 */
export async function nodeIn(
  container: string,
  file: string,
  network: readonly string[] = [`--network=container:${container}`],
): Promise<string[]> {
  const node = realpathSync(process.execPath);
  const folders = [...new Set([root, dirname(node)])];
  const image = await mustRun(["docker", "inspect", "--format={{.Image}}", container]);
  return [
    ...["docker", "run", "--rm", "--init", "--interactive", ...network],
    ...folders.map((folder) => `--volume=${folder}:${folder}:ro`),
    ...["--user=0", `--entrypoint=${node}`, image.trim(), file],
  ];
}

/** Makes knocks from a container's addresses. @param container @default from this machine's own */
export async function knockFrom(
  knocks: readonly Knock[],
  container?: string,
): Promise<readonly Verdict[]> {
  if (container === undefined || knocks.length === 0) return knockAll(knocks);
  const command = await nodeIn(container, `${import.meta.dirname}/knock.ts`);
  const options = { input: JSON.stringify(knocks), limitSeconds: 300 };
  return JSON.parse(await mustRun(command, options));
}

/** Identity of the Docker network in which a container has an address. @throws without one */
export async function networkOf(container: string, address: string): Promise<string> {
  const look = ["docker", "inspect", "--format={{json .NetworkSettings.Networks}}", container];
  const networks: Record<string, { IPAddress: string; NetworkID: string }> = JSON.parse(
    await mustRun(look),
  );
  const found = Object.values(networks).find(({ IPAddress }) => IPAddress === address);
  if (!found) throw new Error(`${container} has no address ${address}`);
  return found.NetworkID;
}
