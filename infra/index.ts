/** hastack, from top to bottom: settings -> topology -> platform -> stack -> outputs. */
import * as pulumi from "@pulumi/pulumi";
import { releaseHash } from "../release/hash.ts";
import { schemeOf } from "./certificate.ts";
import { withInventory } from "./inventory.ts";
import { choosePlatform } from "./platform/choose.ts";
import { ports } from "./roles.ts";
import { readSettings } from "./settings.ts";
import { WebStack } from "./stack.ts";
import { planTopology } from "./topology.ts";

const settings = withInventory(readSettings(pulumi.getStack(), pulumi.runtime.allConfig()));
const tiers = [
  { name: "storefront", port: 3000, poolSize: 10 },
  { name: "admin", port: 3001, poolSize: 5 },
].map((tier) => ({
  instances: 2,
  drainSeconds: 3,
  stopGraceSeconds: 25,
  ...tier,
  ...settings.tiers[tier.name],
}));
const topology = planTopology(settings, tiers);
const platform = await choosePlatform(settings, topology);
const stack = new WebStack("hastack", {
  settings,
  topology,
  platform,
  release: { hash: releaseHash(), application: "app" },
});

const scheme = schemeOf(settings);
const { vip } = topology.network.frontend;
const { publishedPorts, publishedStatsPorts } = settings.loadBalancer;

/** The site, by the address that moves between the load balancers. */
export const url = `${scheme}://${vip}/`;
export const adminUrl = `${scheme}://${vip}/admin`;
/** First password of the administrator `admin`; replacing it sets it again. */
export const adminPassword = stack.credentials.of("administrator");
/** The site on the operator's own machine, one address for each load balancer. */
export const localUrls = publishedPorts.map((port) => `${scheme}://127.0.0.1:${port}/`);
/** HAProxy's statistics page, one for each load balancer; user `operator`. */
export const statsUrls = publishedStatsPorts.length
  ? publishedStatsPorts.map((port) => `${scheme}://127.0.0.1:${port}/`)
  : topology.members.loadBalancer.map((one) => `${scheme}://${one.frontend}:${ports.stats}/`);
export const statsPassword = stack.credentials.of("statistics");
export const machines = Object.fromEntries(
  topology.machines.map((one) => [one.name, one.frontend ?? one.backend]),
);
export const release = releaseHash();
