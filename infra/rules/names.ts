/** Names of roles and tiers in the settings: each must be one that there is. */
import { roles } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { TierPlan } from "../topology.ts";
import type { Problem } from "./problem.ts";
import { didYouMean } from "./spelling.ts";

export function nameProblems(
  settings: Pick<Settings, "machines" | "tiers">,
  tiers: readonly Pick<TierPlan, "name">[],
): Problem[] {
  const names = tiers.map(({ name }) => name);
  const known = [...roles, ...names];
  const strangers = Object.keys(settings.tiers)
    .filter((name) => !names.includes(name))
    .map((name) => ({
      path: `tiers.${name}`,
      why: "is not a tier of the application",
      fix: didYouMean(name, names, `use ${listOf(names)}`),
    }));
  return [
    ...strangers,
    ...(settings.machines ?? []).flatMap((machine) =>
      machine.roles
        .filter((name) => !known.includes(name))
        .map((name) => ({
          path: `machines.${machine.name}.roles`,
          value: name,
          why: "is neither a role nor a tier of the application",
          fix: didYouMean(name, known, `use ${listOf(known)}`),
        })),
    ),
  ];
}

function listOf(names: readonly string[]): string {
  return names.join(", ").replace(/, ([^,]*)$/, " or $1");
}
