/** Subnets and their virtual IPs. */
import {
  addressPlan,
  contains,
  hostAddress,
  hostNumber,
  overlaps,
  prefixLength,
  specialAddress,
  withoutHost,
} from "../addresses.ts";
import type { Settings } from "../settings.ts";
import type { Problem } from "./problem.ts";

type Found = Omit<Problem, "path"> & { readonly key: "subnet" | "vip" };

export function networkProblems({
  network,
  machines,
}: Pick<Settings, "network" | "machines">): Problem[] {
  const { frontend, backend, management } = network;
  // Who makes the machines also makes their networks, by the address plan
  const planned = machines === undefined;
  const problems = Object.entries({ frontend, backend }).flatMap(([name, { subnet, vip }]) => {
    const found = subnetProblem(subnet, planned) ?? virtualProblem(subnet, vip, planned);
    if (found === undefined) return [];
    return [{ path: `network.${name}.${found.key}`, ...withoutKey(found) }];
  });
  const managed = management && subnetProblem(management.subnet, planned);
  return [
    ...problems,
    ...(managed ? [{ path: "network.management.subnet", ...withoutKey(managed) }] : []),
    ...overlapProblems(network),
  ];
}

/** Who is in one network must not be taken for one of another. */
function overlapProblems({ frontend, backend, management }: Settings["network"]): Problem[] {
  const all = Object.entries({ frontend, backend, ...(management && { management }) });
  return all.flatMap(([name, { subnet }], index) =>
    all
      .slice(0, index)
      .filter(([, other]) => overlaps(other.subnet, subnet))
      .map(([other, { subnet: theirs }]) => ({
        path: `network.${name}.subnet`,
        value: subnet,
        why: `overlaps the ${other}'s ${theirs}`,
        fix: "use another",
      })),
  );
}

function withoutKey({ key: _, ...rest }: Found): Omit<Found, "key"> {
  return rest;
}

function subnetProblem(subnet: string, planned: boolean): Found | undefined {
  const found = { key: "subnet", value: subnet } as const;
  const prefix = prefixLength(subnet);
  const [shortest, longest] = planned ? [16, 24] : [8, 29];
  if (prefix < shortest || prefix > longest) {
    return { ...found, why: `has prefix length ${prefix}`, fix: `use ${shortest} to ${longest}` };
  }
  const plain = withoutHost(subnet);
  return plain === subnet ? undefined : { ...found, why: "has host bits set", fix: `use ${plain}` };
}

function virtualProblem(subnet: string, vip: string, planned: boolean): Found | undefined {
  const found = { key: "vip", value: vip } as const;
  if (!contains(subnet, vip)) {
    return { ...found, why: `is outside ${subnet}`, fix: "use an address inside it" };
  }
  if (!planned) {
    const special = specialAddress(subnet, vip);
    if (special === undefined) return undefined;
    return { ...found, why: `is the ${special} of ${subnet}`, fix: "use another" };
  }
  const { firstVirtualHost, firstDynamicHost } = addressPlan;
  const host = hostNumber(subnet, vip);
  if (host >= firstVirtualHost && host < firstDynamicHost) return undefined;
  const [first, last] = [firstVirtualHost, firstDynamicHost - 1].map((one) =>
    hostAddress(subnet, one),
  );
  return {
    ...found,
    why: "is in the range of members or of temporary containers",
    fix: `use ${first} to ${last}`,
  };
}
