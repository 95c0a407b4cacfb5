/** Names of roles and tiers in the settings: each must be one that there is. */
import { roles } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { TierPlan } from "../topology.ts";
import type { Problem } from "./problem.ts";
import { didYouMean } from "./spelling.ts";

export function nameProblems(
  settings: Pick<Settings, "machines" | "tiers">,
  tiers: readonly Pick<TierPlan, "name" | "formerly">[],
): Problem[] {
  const names = tiers.map(({ name }) => name);
  const fix = (name: string, all: readonly string[]) => {
    const renamed = tiers.find(({ formerly }) => formerly === name);
    return renamed
      ? `use its new name ${renamed.name}`
      : didYouMean(name, all, `use ${listOf(all)}`);
  };
  const known = [...roles, ...names];
  const strangers = Object.keys(settings.tiers)
    .filter((name) => !names.includes(name))
    .map((name) => ({
      path: `tiers.${name}`,
      why: "is not a tier of the application",
      fix: fix(name, names),
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
          fix: fix(name, known),
        })),
    ),
  ];
}

function listOf(names: readonly string[]): string {
  return names.join(", ").replace(/, ([^,]*)$/, " or $1");
}
