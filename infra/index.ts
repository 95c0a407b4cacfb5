/** hastack, from top to bottom: settings -> application -> topology -> platform -> stack -> outputs. */
import * as pulumi from "@pulumi/pulumi";
import { readApplication } from "./application/application.ts";
import { outputsOf } from "./application/outputs.ts";
import { releaseOf } from "./application/recipe.ts";
import { flowsOf } from "./components/firewall.ts";
import { withInventory } from "./inventory.ts";
import { planTopology } from "./plan.ts";
import { choosePlatform } from "./platform/choose.ts";
import { formatProblem } from "./rules/problem.ts";
import { warnings } from "./rules/rules.ts";
import { readSettings } from "./settings.ts";
import { WebStack } from "./stack.ts";

// Pulumi renders a stack trace for each of its thousands of promises, and does so by source maps. Node
// strips types in place: lines are right without, and the program takes a quarter less processor time
Reflect.deleteProperty(Error, "prepareStackTrace");

const settings = withInventory(readSettings(pulumi.getStack(), pulumi.runtime.allConfig()));
const application = readApplication(settings);
const topology = planTopology(settings, application.tiers);
for (const warning of warnings(settings, topology)) pulumi.log.warn(formatProblem(warning));
const platform = await choosePlatform(settings, topology, flowsOf(application));
const release = releaseOf(application);
const stack = new WebStack("hastack", { settings, topology, platform, application, release });

const { url, localUrls, statsUrls } = stack.loadBalancer;

/** Pulumi takes the default export as the stack's outputs. */
export default {
  url,
  localUrls,
  statsUrls,
  /** For the user `operator` of the statistics page. */
  statsPassword: stack.credentials.of("statistics"),
  machines: Object.fromEntries(
    topology.machines.map((one) => [one.name, one.frontend ?? one.backend]),
  ),
  release: release.hash,
  /** Passphrase of the repositories of backups, where there are some. */
  ...(topology.members.backup.length > 0 && {
    backupRepositoryKey: stack.backup.repositoryKey,
  }),
  ...outputsOf(application, url, stack.credentials),
};
