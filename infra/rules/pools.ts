/** Connections to the database. */
import type { Settings } from "../settings.ts";
import type { Machine, TierPlan } from "../topology.ts";
import type { Problem } from "./problem.ts";

/** Connections that PostgreSQL keeps for superusers, Patroni, replication and migrations. */
const reservedConnections = 15;

/**
 * The pools of all instances must fit into `max_connections` of one member: after a failover
 * without a standby, both pools of every instance end at the same server. While a release is
 * rolled out no instance runs twice, so there is nothing to add for that. A job has its tier's pools, too.
 */
export function poolProblems(
  { database }: Pick<Settings, "database">,
  machines: readonly Machine[],
  tiers: readonly TierPlan[],
): Problem[] {
  const pools = tiers.map(({ name, poolSize, jobs = [] }) => {
    const instances = machines.filter(({ roles }) => roles.includes(name));
    return poolSize * (instances.length + jobs.length);
  });
  const wanted = 2 * pools.reduce((sum, size) => sum + size, 0) + reservedConnections;
  if (wanted <= database.maxConnections) return [];
  return [
    {
      path: "database.maxConnections",
      value: database.maxConnections,
      why: `is less than the ${wanted} connections that all pools may open`,
      fix: `use ${wanted}, or smaller pools (hastack:tiers.NAME.poolSize)`,
    },
  ];
}
