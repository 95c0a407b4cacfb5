/** What is promised where something is lost, at a client: docs/measured.md has what was measured. */
import type { Member } from "../../infra/topology.ts";
import type { Limits, Promised } from "./proof.ts";
import type { Scene } from "./scene.ts";

/** Who only waits has not failed, so there is a limit of time as well: a second is what busy processors may take. */
const unnoticedOf = { seconds: 1, failed: 0 } as const;
export const unnoticed: Promised = { reads: unnoticedOf, writes: unnoticedOf };

/** Only that nothing is lost, as always. */
export const noLimit: Promised = { reads: {}, writes: {} };

/** Seconds of the longest time without a success. */
export const within = (reads: number, writes: number): Promised => ({
  reads: { seconds: reads },
  writes: { seconds: writes },
});

/** A transaction that was under way there keeps its rows until PostgreSQL ends it: 2 s for the clients here. */
export const balancerLost = within(1, 3);
/** Its system goes on to take connections, so nobody is refused one. */
export const haproxyHung = within(1.5, 3);
export const instanceLost = within(1, 1);
export const primaryProcessLost = within(1, 3);
/** Started again after a second, Patroni waits for another one before it asks for its own lease. */
export const patroniKilled = within(1, 4);
/** A Patroni that waits for an answer of PostgreSQL still renews its lease meanwhile. */
export const postgresHung = within(1, 25);
export const primaryLost = within(1, 23);
/** What is under way when it hears nothing any more renews its lease once more. */
export const primaryDeaf = within(1, 25);
/** Writes wait from the moment at which the standby hears it no more, before its power is cut. */
export const primaryLostUnheard = within(1, 24);
/** A new leader of etcd lets every lease begin anew. */
export const primaryAndLeaderLost = within(1, 30);
export const standbyLost: Promised = { reads: unnoticedOf, writes: { seconds: 3, failed: 0 } };
/** One of GlusterFS that does not answer is given up after 5 s. */
export const brickLost: Promised = { reads: unnoticedOf, writes: { seconds: 10, failed: 0 } };

/** Of a member whose machine is lost. */
export function ofRole(
  { stack, primary, standby, etcdLeader, active }: Scene,
  member: Member,
): Promised {
  if (member.name === primary.name)
    return primary.machine === etcdLeader.machine ? primaryAndLeaderLost : primaryLost;
  if (member.name === standby.name) return standbyLost;
  if (member.name === active.name) return balancerLost;
  if (member.role === "brick" || member.role === "arbiter") return brickLost;
  return member.role in stack.topology.tiers ? instanceLost : unnoticed;
}

/** Of what is lost together: the longer times, and failures where any of them may have some. */
export function promisedTogether(all: readonly Promised[]): Promised {
  const of = (kind: keyof Promised): Limits => {
    const limits = all.map((one) => one[kind]);
    const most = Math.max(...limits.map(({ seconds = 0 }) => seconds));
    return {
      ...(most > 0 && { seconds: most }),
      ...(limits.every(({ failed }) => failed === 0) && { failed: 0 }),
    };
  };
  return { reads: of("reads"), writes: of("writes") };
}
