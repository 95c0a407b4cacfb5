/** For mocha's `--require`: what all suites need and no time limit of theirs should cover. */
import { postgresImage } from "./docker.ts";

export async function mochaGlobalSetup(): Promise<void> {
  await postgresImage();
}
