/** What the firewalls let in besides the stack: whether it can be, and opens none of the stack's doors. */
import { portsOf } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Machine, TierPlan } from "../topology.ts";
import type { Problem } from "./problem.ts";

type Admit = Settings["firewall"]["admit"][number];

export function admitProblems(
  { firewall }: Pick<Settings, "firewall">,
  tiers: readonly TierPlan[],
  machines: readonly Machine[],
): Problem[] {
  return firewall.admit.flatMap((one, index) => {
    const path = `firewall.admit.${index}`;
    return [
      ...portProblems(one, path),
      ...familyProblems(one, path),
      ...machineProblems(one, path, machines),
      ...ownDoorProblems(one, path, tiers, machines),
    ];
  });
}

function portProblems({ port, ports }: Admit, path: string): Problem[] {
  if ((port === undefined) === (ports === undefined)) {
    const why = port === undefined ? "has no port" : "has port and ports";
    return [{ path, why, fix: "give one of port and ports" }];
  }
  if (ports === undefined) return [];
  const [first, last] = rangeOf({ port, ports });
  return first >= 1 && first <= last && last <= 65_535
    ? []
    : [
        {
          path: `${path}.ports`,
          value: ports,
          why: "is no range of ports",
          fix: "use two of 1 to 65535, the lower one first",
        },
      ];
}

const rangeOf = ({ port, ports }: Pick<Admit, "port" | "ports">): [number, number] => {
  const [first = 0, last = 0] = (ports ?? `${port}-${port}`).split("-").map(Number);
  return [first, last];
};

/** A rule is for addresses of one kind, and the machines' own in the networks are IPv4. */
function familyProblems({ from, network }: Admit, path: string): Problem[] {
  if (from === "everybody") return [];
  const six = from.filter((one) => one.includes(":"));
  if (six.length > 0 && six.length < from.length) {
    const fix = "write two entries";
    return [{ path: `${path}.from`, why: "has IPv4 and IPv6 subnets", fix }];
  }
  return six.length > 0 && network !== undefined
    ? [
        {
          path: `${path}.from`,
          value: six[0],
          why: `is IPv6, and the ${network} network is IPv4`,
          fix: "leave the network out",
        },
      ]
    : [];
}

function machineProblems(
  { network, machines: names }: Admit,
  path: string,
  machines: readonly Machine[],
): Problem[] {
  const unknown = (names ?? []).filter((name) => !machines.some((one) => one.name === name));
  const outside = machines.filter(
    (one) => names?.includes(one.name) && network !== undefined && one[network] === undefined,
  );
  return [
    ...unknown.map((value) => ({
      path: `${path}.machines`,
      value,
      why: "is not in hastack:machines",
      fix: "remove it, or add it there",
    })),
    ...outside.map(({ name }) => ({
      path: `${path}.machines`,
      value: name,
      why: `has no address in the ${network} network`,
      fix: "leave it out, or give it one",
    })),
  ];
}

/** Whom the stack's own ports are open to follows from its flows; more is let in by name only. */
function ownDoorProblems(
  { port, ports, protocol, from, machines: names }: Admit,
  path: string,
  tiers: readonly TierPlan[],
  machines: readonly Machine[],
): Problem[] {
  const isOpen = from === "everybody" || from.some((one) => Number(one.split("/")[1]) < 8);
  if (!isOpen || protocol !== "tcp") return [];
  const [first, last] = rangeOf({ port, ports });
  const own = machines
    .filter(({ name }) => names === undefined || names.includes(name))
    .flatMap(({ roles }) => roles)
    .flatMap((role) =>
      portsOf({ role, ...tiers.find((tier) => tier.name === role) }).map((one) => ({ role, one })),
    )
    .find(({ one }) => one >= first && one <= last);
  return own === undefined
    ? []
    : [
        {
          path,
          value: own.one,
          why: `is a port of the role ${own.role}, and would be open to everybody`,
          fix: "name in from who is to reach it",
        },
      ];
}
