/** Settings that mean something on one platform alone. */
import type { Problem } from "./problem.ts";

type Platform = "docker" | "ssh";

/** Such settings (`*` is any name), and what the other platform has instead. */
const onlyOn: readonly { readonly path: string; readonly platform: Platform; fix: string }[] = [
  {
    path: "machines",
    platform: "ssh",
    fix: "leave it out (hastack:members says how many the platform makes)",
  },
  { path: "ssh", platform: "ssh", fix: "leave it out" },
  ...["driver", "nfs", "reservePercent"].map((name) => ({
    path: `storage.${name}`,
    platform: "ssh" as const,
    fix: "leave it out (shared directories are Docker's volumes)",
  })),
  { path: "firewall", platform: "ssh", fix: "leave it out (the networks are Docker's own)" },
  {
    path: "network.management",
    platform: "ssh",
    fix: "leave it out (containers are managed by their engine)",
  },
  {
    path: "members",
    platform: "docker",
    fix: "leave it out (hastack:machines says who has which role)",
  },
  {
    path: "tiers.*.instances",
    platform: "docker",
    fix: "leave it out (hastack:machines says where each tier runs)",
  },
  {
    path: "tiers.*.firstHost",
    platform: "docker",
    fix: "leave it out (hastack:machines says which addresses there are)",
  },
  ...["publishedPorts", "publishedStatsPorts"].map((name) => ({
    path: `loadBalancer.${name}`,
    platform: "docker" as const,
    fix: "leave it out (the load balancers have addresses of their own)",
  })),
];

/**
 * What the platform has no use for, or cannot do without.
 * @param values the settings as given, without defaults
 */
export function platformProblems(values: Readonly<Record<string, unknown>>): Problem[] {
  const { platform } = values;
  if (platform !== "docker" && platform !== "ssh") return [];
  const misplaced = onlyOn
    .filter((one) => one.platform !== platform)
    .flatMap((one) =>
      pathsOf(values, one.path.split(".")).map((path) => ({
        path,
        why: `is for the platform ${one.platform} only`,
        fix: one.fix,
      })),
    );
  if (platform === "docker" || values.machines !== undefined) return misplaced;
  const why = "is missing";
  return [...misplaced, { path: "machines", why, fix: "list the machines and their roles" }];
}

/** The paths of this form that have a value. */
function pathsOf(values: unknown, [key, ...rest]: readonly string[]): string[] {
  if (key === undefined) return values === undefined ? [] : [""];
  if (typeof values !== "object" || values === null) return [];
  return Object.entries(values)
    .filter(([name]) => key === "*" || name === key)
    .flatMap(([name, inner]) =>
      pathsOf(inner, rest).map((path) => (path === "" ? name : `${name}.${path}`)),
    );
}
