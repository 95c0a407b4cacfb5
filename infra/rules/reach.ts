/** How the machines are reached: what is not known of them, or cannot be right. */
import { hostKeyTypes, parseHostKey } from "../host-key.ts";
import type { Settings } from "../settings.ts";
import type { Problem } from "./problem.ts";

export function reachProblems(
  settings: Pick<Settings, "machines" | "network" | "ssh" | "stack">,
): Problem[] {
  const { machines = [], network } = settings;
  const virtual = [network.frontend.vip, network.backend.vip];
  const places = new Map<string, string>();
  const problems: Problem[] = [];
  for (const { name, address, port, hostKey } of machines) {
    if (hostKey !== undefined && parseHostKey(hostKey) === undefined) {
      problems.push({
        path: `machines.${name}.hostKey`,
        value: JSON.stringify(hostKey),
        why: "is not an SSH host key",
        fix: `use its type (${hostKeyTypes.join(", ")}) and the key`,
      });
    }
    if (address === undefined) continue;
    const path = `machines.${name}.address`;
    if (virtual.includes(address)) {
      const why = "is a virtual IP, which moves";
      problems.push({ path, value: address, why, fix: "use the machine's own address" });
    }
    const place = port === undefined ? address : `${address}, port ${port}`;
    const other = places.get(place);
    places.set(place, name);
    if (other) {
      problems.push({ path, value: place, why: `is the address of ${other}`, fix: "use another" });
    }
  }
  return [...unknownProblems(settings), ...problems];
}

function unknownProblems({
  machines = [],
  ssh,
  stack,
}: Pick<Settings, "machines" | "ssh" | "stack">): Problem[] {
  const place = ssh.inventory === undefined ? "" : ` into hastack:ssh.inventory (${ssh.inventory})`;
  const unknown = [
    {
      key: "address",
      what: "address",
      fix: "give it as `address`, there or in the inventory (hastack:ssh.inventory)",
    },
    {
      key: "hostKey",
      what: "host key",
      fix: `collect it${place} by npm run host-keys -- --stack ${stack}`,
    },
  ] as const;
  return unknown.flatMap(({ key, what, fix }) => {
    const names = machines.filter((one) => one[key] === undefined).map(({ name }) => name);
    if (names.length === 0) return [];
    const have = names.length === 1 ? "has" : "have";
    return [{ path: "machines", why: `${names.join(" and ")} ${have} no ${what}`, fix }];
  });
}
