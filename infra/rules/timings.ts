/** Times that must fit each other, or what they promise is not kept. */
import type { Settings } from "../settings.ts";
import type { TierPlan } from "../topology.ts";
import type { Problem } from "./problem.ts";

export function timingProblems(
  settings: Pick<Settings, "loadBalancer" | "database">,
  tiers: readonly TierPlan[],
): Problem[] {
  return [
    ...tiers.flatMap((tier) => drainProblems(settings.loadBalancer, tier)),
    ...leaseProblems(settings.database),
  ];
}

function drainProblems(
  { checkIntervalMilliseconds, checkFastIntervalMilliseconds, fall }: Settings["loadBalancer"],
  { name, port, drainSeconds, stopGraceSeconds }: TierPlan,
): Problem[] {
  const found = { path: `tiers.${name}.drainSeconds`, value: drainSeconds };
  const problems: Problem[] = [];
  if (drainSeconds >= stopGraceSeconds) {
    problems.push({
      ...found,
      why: `leaves requests no time before stopGraceSeconds (${stopGraceSeconds}) is over`,
      fix: "use less",
    });
  }
  // As many checks that fail take an instance out; a second more for a busy machine
  const checks = checkIntervalMilliseconds + (fall - 1) * checkFastIntervalMilliseconds;
  const noticed = checks / 1000 + 1;
  if (port !== undefined && drainSeconds < noticed) {
    problems.push({
      ...found,
      why: "is over before the load balancers' health checks have seen it",
      fix: `use ${Math.ceil(noticed)} or shorter check intervals`,
    });
  }
  return problems;
}

/** Patroni lowers the other two by itself, without a word, where they do not fit. */
function leaseProblems({
  ttlSeconds,
  loopWaitSeconds,
  retryTimeoutSeconds,
}: Settings["database"]): Problem[] {
  const lease = loopWaitSeconds + 2 * retryTimeoutSeconds;
  if (ttlSeconds >= lease) return [];
  return [
    {
      path: "database.ttlSeconds",
      value: ttlSeconds,
      why: "is less than loopWaitSeconds + 2 × retryTimeoutSeconds",
      fix: `use ${lease} or more`,
    },
  ];
}
