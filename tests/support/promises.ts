/**
 * The promises, in seconds of the longest gap without a success at the client (docs/measured.md). Tests
 * assert recovery within three times the promise; what was measured is printed beside it.
 */
export const promises = {
  appProcessKilled: { reads: 0, writes: 1 },
  appMachineLost: { reads: 1, writes: 1 },
  release: { reads: 0.5, writes: 0.5 },
  loadBalancerLost: { reads: 1, writes: 1 },
  loadBalancerHung: { reads: 1.3, writes: 1.3 },
  primaryProcessKilled: { reads: 1, writes: 3 },
  primaryMachineLost: { reads: 1, writes: 30 },
  standbyLost: { reads: 1, writes: 3 },
  quorumMemberLost: { reads: 0.5, writes: 0.5 },
  cacheLost: { reads: 0.5, writes: 0.5 },
  // Pictures that were asked of the lost brick wait until GlusterFS gives it up, after 5 s
  brickLost: { reads: 6, writes: 10 },
  arbiterLost: { reads: 1, writes: 10 },
} as const;

export type Promised = { readonly reads: number; readonly writes: number };

/** The longer times of several promises: of what is lost together. */
export function worstOf(all: readonly Promised[]): Promised {
  return {
    reads: Math.max(...all.map(({ reads }) => reads)),
    writes: Math.max(...all.map(({ writes }) => writes)),
  };
}

/** Slack of a test over a promise. */
export const slack = 3;

/** Seconds below which a gap is only the machine being busy. */
export const noiseSeconds = 1;

/** Limits of waiting, in seconds, each named after what it bounds. */
export const limits = {
  up: 900,
  preview: 120,
  destroy: 300,
  engineRestart: 240,
  rejoin: 120,
  reboot: 90,
} as const;
