/** Addresses of machines: each once, inside its subnet, and none of them a virtual IP. */
import { contains, specialAddress } from "../addresses.ts";
import type { Settings } from "../settings.ts";
import type { Machine } from "../topology.ts";
import type { Problem } from "./problem.ts";

export function addressProblems(
  { network, machines: given }: Pick<Settings, "network" | "machines">,
  machines: readonly Machine[],
): Problem[] {
  const problems: Problem[] = [];
  for (const [name, { subnet, vip }] of networksOf(network)) {
    const holders = new Map(vip === undefined ? [] : [[vip, "the virtual IP"]]);
    for (const machine of machines) {
      const value = machine[name];
      if (value === undefined) continue;
      const problem = problemOf(value, subnet, holders.get(value));
      if (problem && given) {
        problems.push({ path: `machines.${machine.name}.${name}`, value, ...problem });
      } else if (problem) {
        // Nobody chose the machine's address: the virtual IP has to give way
        const why = `is the address of ${machine.name}`;
        problems.push({ path: `network.${name}.vip`, value, why, fix: problem.fix });
      }
      holders.set(value, machine.name);
    }
  }
  return problems;
}

type AnyNetwork = { readonly subnet: string; readonly vip?: string };

function networksOf({ frontend, backend, management }: Settings["network"]) {
  const named = { frontend, backend, ...(management && { management }) };
  return Object.entries(named) as ["frontend" | "backend" | "management", AnyNetwork][];
}

function problemOf(address: string, subnet: string, holder: string | undefined) {
  if (holder) return { why: `belongs to ${holder}`, fix: "use another" };
  if (!contains(subnet, address)) {
    return { why: `is outside ${subnet}`, fix: "use an address inside it" };
  }
  const special = specialAddress(subnet, address);
  return special && { why: `is the ${special} of ${subnet}`, fix: "use another" };
}
