import { parse } from "yaml";
import { addressesOf, type MachineSet, type StandIn } from "./machines.ts";

/** What the lab must know of a stack's configuration. */
export interface Plan {
  readonly set: MachineSet;
  /** The site's address. */
  readonly vip: string;
  /** Where the configuration expects the machines' inventory, relative to the project's folder. */
  readonly inventory: string | undefined;
}

interface Configured {
  readonly name: string;
  readonly address?: string;
  readonly frontend?: string;
  readonly backend: string;
}

const lastNumber = (address: string): number => Number(address.split(".").at(-1));

const isAddress = (text: string): boolean => /^\d+\.\d+\.\d+\.\d+$/.test(text);

/**
 * The stand-ins that a stack's configuration describes.
 * @param text of Pulumi.<stack>.yaml
 * @throws when they cannot be the machines that it describes, and why.
 */
export function planLab(stack: string, text: string): Plan {
  const file = `Pulumi.${stack}.yaml`;
  const { config = {} } = parse(text) as { config?: Record<string, unknown> };
  const machines = (config["hastack:machines"] ?? []) as Configured[];
  const network = config["hastack:network"] as Record<
    "frontend" | "backend",
    { subnet: string; vip: string }
  >;
  if (machines.length === 0) {
    throw new Error(`${file} has no hastack:machines: stand-ins take their names and addresses`);
  }
  const real = machines.find(({ address }) => address === undefined || !isAddress(address));
  if (real !== undefined) {
    throw new Error(
      `${file}: machine ${real.name} has ${real.address ?? "no address"} as its \`address\`: stand-ins ` +
        "take their management network from it, so it must be an IPv4 address of a /24 like the shipped " +
        `172.30.12.0/24. For machines of your own use \`npx pulumi up --stack ${stack}\``,
    );
  }
  const management = machines[0]?.address?.replace(/\d+$/, "0/24") ?? "";
  const set: MachineSet = {
    set: stack,
    machines: machines.map(standIn),
    networks: {
      frontend: network.frontend.subnet,
      backend: network.backend.subnet,
      management,
    },
  };
  for (const [index, machine] of machines.entries()) checkAddresses(file, set, index, machine);
  const ssh = config["hastack:ssh"] as { inventory?: string } | undefined;
  return { set, vip: network.frontend.vip, inventory: ssh?.inventory };
}

function standIn({ name, backend, frontend }: Configured): StandIn {
  return { name, number: lastNumber(backend) - 10, frontend: frontend !== undefined };
}

/** A stand-in has the same last number in each of its networks. */
function checkAddresses(file: string, set: MachineSet, index: number, machine: Configured): void {
  const planned = addressesOf(set, set.machines[index] as StandIn);
  const { frontend, backend, address: management } = machine;
  const wanted = { frontend, backend, management };
  for (const network of ["frontend", "backend", "management"] as const) {
    if (planned[network] === wanted[network]) continue;
    throw new Error(
      `${file}: machine ${machine.name} has ${wanted[network]} in the ${network} network, where its ` +
        `stand-in would have ${planned[network]}: give a machine the same last number in all its networks`,
    );
  }
}
