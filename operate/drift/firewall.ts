/** A machine's firewall: the rules in their file, those that are loaded, and what keeps them so. */
import type { FirewallRequest } from "../../infra/platform/ssh/firewall.ts";
import type { Expectation } from "./expectation.ts";
import { type Base, plainFile, unitThing } from "./things.ts";

export const rulesFile = "/etc/hastack/firewall.nft";

export function firewallThings(
  machine: string,
  { rules, files }: FirewallRequest,
  common: Base,
): Expectation[] {
  return [
    {
      ...common,
      machine,
      ask: `text ${rulesFile}`,
      thing: rulesFile,
      should: {},
      file: { template: rules, text: rules, isSecret: false },
    },
    { ...common, ask: "rules", thing: "firewall rules that are loaded", should: { loaded: "yes" } },
    ...Object.entries(files).flatMap(([unit, { content }]) => [
      plainFile(common, `/etc/systemd/system/${unit}`, content),
      unitThing(common, unit),
    ]),
  ];
}

/**
 * The rules as they are to be on a machine, where marks stand for what is known there only: the ports of
 * SSH are taken as they are, and of lines about users those that are there.
 */
export function rulesAsThere(rules: string, is: string): string {
  const there = is.split("\n");
  return rules
    .split("\n")
    .flatMap((line) => {
      if (!/@(ssh|uid:[a-z0-9_-]*)@/.test(line)) return [line];
      const [found] = there.filter((one) => patternOf(line).test(one));
      if (found !== undefined) return [found];
      return line.includes("@uid:") ? [] : [line];
    })
    .join("\n");
}

function patternOf(line: string): RegExp {
  const parts = line
    .split(/@ssh@|@uid:[a-z0-9_-]*@/)
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[0-9, ]+")}$`);
}
