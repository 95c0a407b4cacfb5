/**
 * The promises at an HTTP client (docs/measured.md). Tests assert recovery within three times the promised seconds, and
 * that nothing fails where that is promised; what was measured is printed beside it.
 */
export interface Promised {
  /** Seconds of the longest gap without a success. */
  readonly reads: number;
  readonly writes: number;
  /** No request fails at all: they wait. @default some may */
  readonly noneFails?: true;
  /** Those of the seconds of writes that a lease takes to end, on any machine: a test has no slack on these. @default 0 */
  readonly leaseSeconds?: number;
}

/** `ttl` of Patroni: as long as a primary that is gone keeps its place. */
const leaseSeconds = 20;

export const promises = {
  appProcessKilled: { reads: 0, writes: 1 },
  appMachineLost: { reads: 1, writes: 1 },
  release: { reads: 0.5, writes: 0.5, noneFails: true },
  loadBalancerLost: { reads: 1, writes: 1 },
  loadBalancerHung: { reads: 1.3, writes: 1.3 },
  primaryProcessKilled: { reads: 1, writes: 3 },
  primaryMachineLost: { reads: 1, writes: 23, leaseSeconds },
  // A new leader of etcd lets every lease begin anew
  primaryAndLeaderLost: { reads: 1, writes: 30, leaseSeconds },
  standbyLost: { reads: 1, writes: 3, noneFails: true },
  quorumMemberLost: { reads: 0.5, writes: 0.5, noneFails: true },
  cacheLost: { reads: 0.5, writes: 0.5, noneFails: true },
  // Pictures that were asked of the lost brick wait until GlusterFS gives it up, after 5 s
  brickLost: { reads: 6, writes: 10, noneFails: true },
  arbiterLost: { reads: 1, writes: 10, noneFails: true },
} as const satisfies Readonly<Record<string, Promised>>;

/** The longer times of several promises: of what is lost together. */
export function worstOf(all: readonly Promised[]): Promised {
  const lease = Math.max(...all.map((one) => one.leaseSeconds ?? 0));
  return {
    reads: Math.max(...all.map(({ reads }) => reads)),
    writes: Math.max(...all.map(({ writes }) => writes)),
    ...(all.every(({ noneFails }) => noneFails) && { noneFails: true }),
    ...(lease > 0 && { leaseSeconds: lease }),
  };
}

/** Slack of a test over a promise. */
export const slack = 3;

/** Seconds below which a gap is only the machine being busy. */
export const noiseSeconds = 1;

/** Seconds that a test lets pass. */
export function mostSeconds(promised: Promised, kind: "reads" | "writes"): number {
  const lease = kind === "writes" ? (promised.leaseSeconds ?? 0) : 0;
  return Math.max(lease + (promised[kind] - lease) * slack, noiseSeconds);
}

/** Limits of waiting, in seconds, each named after what it bounds. */
export const limits = {
  up: 900,
  preview: 120,
  destroy: 300,
  engineRestart: 240,
  rejoin: 120,
  reboot: 90,
} as const;
