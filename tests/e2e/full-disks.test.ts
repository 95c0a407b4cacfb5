/** Disks without room on three machines; for `npm run test:full`. */
import { timed } from "../support/measure.ts";
import type { TestStack } from "../support/test-stack.ts";
import { fullDisksSuite, makeDisks } from "./suites/full-disks.ts";
import { onThreeMachines } from "./suites/full-stack.ts";

const networks = ["172.29.60", "172.29.61", "172.29.62"] as const;

async function onDisks(stack: TestStack): Promise<void> {
  await makeDisks(stack);
  await timed("from bare to serving", () => stack.mustUp());
}

onThreeMachines("full disks on three machines", "full-disks", networks, onDisks, fullDisksSuite);
