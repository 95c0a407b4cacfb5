/** A SQL shell at the database: `psql` on the member itself, as PostgreSQL's administrator. */
import { restoredSocketDirectory } from "../infra/render/backup.ts";
import { databaseName } from "../infra/render/patroni.ts";
import { ports } from "../infra/roles.ts";
import type { Member } from "../infra/topology.ts";
import { type Cluster, leaderOf } from "./act/patroni.ts";
import { memberNamed, type OperatedStack } from "./stack.ts";

/**
 * Where SQL is run.
 * @param replica whether it is a standby, which changes nothing @default the primary
 * @throws when there is none, with what there is
 */
export function sqlMember(stack: OperatedStack, cluster: Cluster, replica: boolean): Member {
  const found = replica
    ? cluster.members.find(({ role, state }) => role !== "leader" && state === "streaming")
    : leaderOf(cluster);
  if (found) return memberNamed(stack, found.name);
  const states = cluster.members.map(({ name, role, state }) => `${name}: ${role}, ${state}`);
  throw new Error(`there is no ${replica ? "standby" : "primary"} (${states.join("; ")})`);
}

/** Where the backup member has the socket of a database that it has restored. */
const restoredSocket = [`--host=${restoredSocketDirectory}`, `--port=${ports.restored}`];

/**
 * The command on the member.
 * @param statement what it runs @default it reads what is typed
 * @param restored whether it is at the restored database beside the stack @default at the member's own
 */
export function psql(statement?: string, restored = false): string[] {
  const where = restored ? restoredSocket : [];
  const options = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", ...where, `--dbname=${databaseName}`];
  const command = statement === undefined ? [] : [`--command=${statement}`];
  // Its own folder need not be one that postgres may enter
  const words = ["runuser", "-u", "postgres", "--", "psql", ...options, ...command];
  return ["sh", "-c", 'cd / && exec "$@"', "sh", ...words];
}
