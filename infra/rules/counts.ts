/** How many members a role has, and how many instances a tier. */
import { addressPlan } from "../addresses.ts";
import { type CountProblem, generatedRoles, roleRow, roles } from "../roles.ts";
import type { Settings } from "../settings.ts";
import { present, type TierPlan, type Topology } from "../topology.ts";
import type { Problem } from "./problem.ts";
import { isOfOtherDriver } from "./storage.ts";

export function countProblems(settings: Settings, tiers: readonly TierPlan[]): Problem[] {
  return settings.machines === undefined
    ? generatedProblems(settings.members, tiers)
    : placedProblems(settings.machines, tiers, settings.storage.driver);
}

function tierCountProblem(count: number): CountProblem | undefined {
  return count === 0 ? { why: "leaves the tier without an instance", fix: "use 2" } : undefined;
}

/** Where the platform makes the machines. */
function generatedProblems(members: Settings["members"], tiers: readonly TierPlan[]): Problem[] {
  const { membersPerRole, firstHostOfTiers } = addressPlan;
  const counts = [
    ...generatedRoles.map((role) => ({
      path: `members.${role}`,
      value: members[role],
      found: roleRow(role).countProblem(members[role]),
    })),
    ...tiers.map(({ name, instances }) => ({
      path: `tiers.${name}.instances`,
      value: instances,
      found: tierCountProblem(instances),
    })),
  ];
  const tooMany: CountProblem = {
    why: "is more than the address plan has room for",
    fix: `use at most ${membersPerRole}`,
  };
  const most = firstHostOfTiers.length;
  return [
    ...counts.flatMap(({ path, value, found }) => [
      ...(found ? [{ path, value, ...found }] : []),
      ...(value > membersPerRole ? [{ path, value, ...tooMany }] : []),
    ]),
    ...(tiers.length > most
      ? [
          {
            path: "application.path",
            why: `leads to an application of ${tiers.length} tiers, and the address plan of the platform docker has room for ${most}`,
            fix: `use at most ${most} tiers, or the platform ssh`,
          },
        ]
      : []),
  ];
}

/** Where the machines are listed. */
function placedProblems(
  machines: NonNullable<Settings["machines"]>,
  tiers: readonly TierPlan[],
  driver: Settings["storage"]["driver"],
): Problem[] {
  const rules = [
    ...roles
      .filter((name) => !isOfOtherDriver(name, driver))
      .map((name) => ({ kind: "role", name, problem: roleRow(name).countProblem })),
    ...tiers.map(({ name }) => ({ kind: "tier", name, problem: tierCountProblem })),
  ];
  return rules.flatMap(({ kind, name, problem }) => {
    const holders = machines.filter((one) => one.roles.includes(name)).map((one) => one.name);
    const found = problem(holders.length);
    if (found === undefined) return [];
    const why = `${kind} ${name} is on ${placesOf(holders)}: ${holders.length} ${found.why}`;
    return [{ path: "machines", why, fix: found.fix }];
  });
}

function placesOf(holders: readonly string[]): string {
  const { length } = holders;
  return `${length} machine${length === 1 ? "" : "s"} (${holders.join(", ") || "none"})`;
}

/** Tiers of one instance, for good or for now: taken, but they do not survive what the others do. */
export function singleInstanceWarnings(settings: Settings, { tiers }: Topology): Problem[] {
  return Object.entries(tiers).flatMap(([name, instances]) => {
    const [only, other] = present(instances);
    if (only === undefined || other !== undefined) return [];
    const loss =
      only.port === undefined
        ? "its work stands still while that is down, restarted or updated"
        : "its requests fail while that is down, restarted or updated";
    if (instances.length > 1) {
      const why = `leaves ${only.name} alone in the tier ${name}: ${loss}`;
      const fix = "have a new release wait for the others, or for a quiet hour";
      return [{ path: "absent", why, fix }];
    }
    return settings.machines === undefined
      ? [
          {
            path: `tiers.${name}.instances`,
            value: 1,
            why: `leaves the tier with a single instance: ${loss}`,
            fix: "use 2",
          },
        ]
      : [
          {
            path: "machines",
            why: `tier ${name} is on one machine (${only.machine}): ${loss}`,
            fix: "put it on two machines",
          },
        ];
  });
}
