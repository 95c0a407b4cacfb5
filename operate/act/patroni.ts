/** Patroni's REST API, asked on a machine of the database: certificates and password are there. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { commandLine } from "../../infra/platform/shell.ts";
import { patroniCurl, patroniUrl } from "../../infra/render/patroni.ts";
import type { Member } from "../../infra/topology.ts";
import { inRoot } from "../../lib/paths.ts";
import { folderOf } from "../folder.ts";
import { readJson } from "../json.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";

const clusterMember = z.object({
  name: z.string(),
  /** `leader`, `sync_standby`, `replica` … */
  role: z.string(),
  state: z.string(),
});
export type ClusterMember = z.output<typeof clusterMember>;

const cluster = z.object({
  members: z.array(clusterMember),
  /** Whether automatic failover is paused. */
  pause: z.boolean().optional(),
});
export type Cluster = z.output<typeof cluster>;

/** The cluster as the first member that answers sees it. @throws when none does */
export async function askCluster(stack: OperatedStack): Promise<Cluster> {
  const why: string[] = [];
  for (const member of stack.topology.members.database) {
    const curl = patroniCurl(`${folderOf(stack, member)}/`);
    const script = `${curl} -fsS --max-time 3 ${patroniUrl(member)}/cluster`;
    const outcome = await onMachineOf(stack, member.machine, script, { limitSeconds: 5 });
    if (isUnreachable(outcome)) why.push(`${member.name}: ${outcome.unreachable}`);
    else {
      const said = outcome.code === 0 ? readJson(outcome.stdout, cluster) : undefined;
      if (said) return said;
      why.push(`${member.name}: ${outcome.stderr.trim() || "what it says is no answer"}`);
    }
  }
  throw new Error(`Patroni cannot be asked:\n${why.join("\n")}`);
}

export const leaderOf = ({ members }: Cluster): ClusterMember | undefined =>
  members.find(({ role, state }) => role === "leader" && state === "running");

/** The one that has all that the leader has acknowledged. */
export const standbyOf = ({ members }: Cluster): ClusterMember | undefined =>
  members.find(({ role, state }) => role === "sync_standby" && state === "streaming");

const program = readFileSync(inRoot("operate/act/patroni.py"), "utf8");

/** Has a member's Patroni do something. @returns what it says @throws with what it says against it */
export async function tellPatroni(
  stack: OperatedStack,
  member: Member,
  [method, path, body]: readonly [method: "POST" | "PATCH", path: string, body: object],
  limitSeconds: number,
): Promise<string> {
  const file = `${folderOf(stack, member)}/patroni.yml`;
  const words = [file, method, `${patroniUrl(member)}${path}`, JSON.stringify(body)];
  const script = commandLine(["python3", "-c", program, ...words, String(limitSeconds)]);
  const limits = { limitSeconds: limitSeconds + 2 };
  const outcome = await onMachineOf(stack, member.machine, script, limits);
  if (isUnreachable(outcome)) throw new Error(`${member.name}: ${outcome.unreachable}`);
  if (outcome.code === 0) return outcome.stdout.trim();
  throw new Error(`${member.name}: Patroni says: ${outcome.stderr.trim()}`);
}
