/** A proof that was never run: outages as they are seen in practice, drawn anew alike each time. */
import type { Kind } from "../../../operate/prove/history.ts";
import { isRead, kinds } from "../../../operate/prove/history.ts";
import type {
  Event,
  FaultResult,
  Proof,
  Run,
  Seen,
  Series,
  Stage,
} from "../../../operate/prove/proof.ts";
import { drawnFrom } from "../drawn.ts";

/** What becomes of a class of operations, from the fault on. */
export interface Outage {
  /** Without a success. @default 0 */
  readonly seconds?: number;
  /** Each second of it. @default none: they wait, or nothing was due */
  readonly failedPerSecond?: number;
  readonly why?: string;
}

/** Hashes take a while: these are drawn once, and every run begins elsewhere in them. */
const noise = Array.from({ length: 1009 }, drawnFrom(1));

function noiseFrom(seed: number): () => number {
  let turn = seed * 101;
  return () => {
    turn += 7;
    return noise[turn % noise.length] ?? 0;
  };
}

/** Operations that end in a tenth of a second, and how long the slowest of them takes in milliseconds. */
const usual: Readonly<Partial<Record<Kind, readonly [number, number]>>> = {
  page: [20, 38],
  "fresh page": [5, 60],
  read: [10, 9],
  "standby read": [8, 8],
  write: [6, 24],
  purchase: [3, 46],
};

export const whole: Seen = {
  count: 5000,
  failed: 0,
  gapSeconds: 0.1,
  medianMilliseconds: 6,
  p99Milliseconds: 31,
  reasons: {},
};

/** A run of 60 s that is broken after 10 s, and in which nothing is seen of it. */
export function drawnRun(changes: Partial<Run> = {}): Run {
  const seconds = 60;
  return {
    at: "2026-11-28T14:03:07.250Z",
    seconds,
    brokenAt: 10,
    mendedAt: 40,
    wholeAt: 47.3,
    members: ["db-1"],
    reads: whole,
    writes: { ...whole, count: 1000, medianMilliseconds: 14, p99Milliseconds: 58 },
    violations: [],
    stages: [],
    events: [],
    series: drawnSeries(seconds, 10, {}, 1),
    overlaps: [],
    checked: { registers: 48, operations: 6000 },
    ...changes,
  };
}

/**
 * A run with an outage, in numbers and as it is drawn.
 * @param seed other ones give other runs of the same kind
 */
export function outageRun(
  seed: number,
  outages: { readonly reads?: Outage; readonly writes?: Outage },
  changes: Partial<Run> = {},
): Run {
  const run = drawnRun(changes);
  const series = drawnSeries(run.seconds, run.brokenAt, outages, seed);
  return {
    ...run,
    series,
    reads: seenIn(series, true, run.reads, outages.reads ?? {}),
    writes: seenIn(series, false, run.writes, outages.writes ?? {}),
    ...changes,
  };
}

function seenIn(series: readonly Series[], reads: boolean, base: Seen, outage: Outage): Seen {
  const own = series.filter(({ kind }) => isRead(kind) === reads);
  const sum = (name: "ok" | "failed") => own.flatMap((one) => one[name]).reduce((a, b) => a + b, 0);
  const failed = sum("failed");
  return {
    ...base,
    count: sum("ok") + failed,
    failed,
    gapSeconds: outage.seconds ?? base.gapSeconds,
    reasons: failed === 0 ? {} : { [outage.why ?? "no answer in 5 s"]: failed },
  };
}

function drawnSeries(
  seconds: number,
  brokenAt: number,
  { reads = {}, writes = {} }: { readonly reads?: Outage; readonly writes?: Outage },
  seed: number,
): Series[] {
  const drawn = noiseFrom(seed);
  return kinds
    .filter((kind) => kind in usual)
    .map((kind) => {
      const outage = isRead(kind) ? reads : writes;
      const [most, slow] = usual[kind] ?? [0, 0];
      const bins = Array.from({ length: seconds * 10 }, (_, at) =>
        drawnBin(at / 10 - brokenAt, outage, most, slow, drawn),
      );
      return {
        kind,
        ok: bins.map(({ ok }) => ok),
        failed: bins.map(({ failed }) => failed),
        slowest: bins.map(({ slowest }) => slowest),
      };
    });
}

/** @param since seconds from the fault on; less than 0 before it */
function drawnBin(
  since: number,
  { seconds = 0, failedPerSecond = 0 }: Outage,
  most: number,
  slow: number,
  drawn: () => number,
) {
  const one = drawn();
  const isOut = since >= 0 && since < seconds;
  const isAfter = seconds > 0 && since >= seconds && since < seconds + 1;
  const failed = isOut && drawn() < failedPerSecond / 10 ? 1 : 0;
  const ok = isOut ? 0 : Math.round(most * (isAfter ? 2.5 : 0.8 + 0.4 * one));
  const waited = isAfter ? seconds * 1000 * (1 - (since - seconds)) : 0;
  const slowest = isOut ? failed * 5000 : Math.round(slow * (0.4 + 1.5 * one ** 4) + waited);
  return { ok, failed, slowest };
}

export const stagesOf = (...seconds: readonly number[]): Stage[] =>
  (["noticed", "decided", "promoted", "rerouted", "first success"] as const).map((name, at) => ({
    name,
    seconds: seconds[at] ?? 0,
  }));

/** What programs write when the primary's machine is lost at 10 s. */
export const failoverEvents: readonly Event[] = [
  { at: 10, member: "db-1", program: "prove", text: "its container is killed" },
  {
    at: 10.1,
    member: "lb-1",
    program: "HAProxy",
    text: "Server primary/db-1 is DOWN, reason: Layer4 connection problem",
  },
  {
    at: 10.2,
    member: "lb-2",
    program: "HAProxy",
    text: "Server primary/db-1 is DOWN, reason: Layer4 connection problem",
  },
  {
    at: 10.3,
    member: "db-2",
    program: "PostgreSQL",
    text: "could not receive data from WAL stream: server closed the connection unexpectedly",
  },
  {
    at: 14.6,
    member: "db-2",
    program: "PostgreSQL",
    text: "could not connect to the primary server: Connection timed out",
  },
  { at: 30.1, member: "db-2", program: "Patroni", text: "Lock owner: db-1; the lock has expired" },
  { at: 30.4, member: "etcd-2", program: "etcd", text: "lease 694d8f7 expired" },
  {
    at: 30.6,
    member: "db-2",
    program: "Patroni",
    text: "acquired the leader lock, promoted self to leader",
  },
  {
    at: 31.2,
    member: "db-2",
    program: "PostgreSQL",
    text: "received promote request; redo done at 0/5000A28; selected new timeline ID: 2",
  },
  {
    at: 31.9,
    member: "db-2",
    program: "PostgreSQL",
    text: "database system is ready to accept connections",
  },
  {
    at: 32.6,
    member: "lb-1",
    program: "HAProxy",
    text: "Server primary/db-2 is UP, reason: Layer7 check passed, code: 200",
  },
  {
    at: 32.7,
    member: "lb-2",
    program: "HAProxy",
    text: "Server primary/db-2 is UP, reason: Layer7 check passed, code: 200",
  },
  { at: 40, member: "db-1", program: "prove", text: "its container is started" },
  { at: 44.8, member: "db-1", program: "Patroni", text: "running pg_rewind from db-2" },
  {
    at: 47.3,
    member: "db-1",
    program: "Patroni",
    text: "no action. I am (db-1), a secondary, and following a leader (db-2)",
  },
];

const primaryRuns = (): Run[] =>
  [23.04, 22.61, 23.38].map((seconds, at) =>
    outageRun(
      at + 1,
      {
        reads: { seconds: at === 2 ? 0.9 : 0.4, failedPerSecond: at === 2 ? 4 : 0 },
        writes: { seconds, failedPerSecond: 8, why: "no answer in 5 s" },
      },
      {
        members: [at === 1 ? "db-2" : "db-1"],
        stages: stagesOf(20.1, 20.6, 21.9, 22.6, seconds),
        events: failoverEvents,
      },
    ),
  );

export const primaryLost = (): FaultResult => ({
  name: "primary-lost",
  what: "the primary's machine is lost",
  promised: { reads: { seconds: 1 }, writes: { seconds: 30 } },
  runs: primaryRuns(),
});

export const balancerLost = (): FaultResult => ({
  name: "load-balancer-lost",
  what: "the load balancer with the addresses is lost",
  promised: { reads: { seconds: 1, failed: 5 }, writes: { seconds: 1, failed: 5 } },
  runs: [
    outageRun(
      11,
      {
        reads: { seconds: 0.9, failedPerSecond: 9, why: "connection reset" },
        writes: { seconds: 0.9, failedPerSecond: 4, why: "connection reset" },
      },
      {
        members: ["lb-1"],
        events: [
          { at: 10, member: "lb-1", program: "prove", text: "its container is killed" },
          {
            at: 10.7,
            member: "lb-2",
            program: "keepalived",
            text: "(frontend) Entering MASTER STATE",
          },
          {
            at: 10.7,
            member: "lb-2",
            program: "keepalived",
            text: "(backend) Entering MASTER STATE",
          },
        ],
      },
    ),
    outageRun(
      12,
      {},
      { members: ["lb-1"], void: "the load generator was up to 3.2 s late: 2 cores are too few" },
    ),
  ],
});

export const standbyFrozen = (): FaultResult => ({
  name: "standby-frozen",
  what: "the standby's machine stands still, and goes on",
  promised: { reads: { seconds: 1 }, writes: { seconds: 15, failed: 0 } },
  runs: [
    outageRun(
      21,
      {
        writes: {
          seconds: 16.204,
          failedPerSecond: 8,
          why: "canceling statement due to statement timeout",
        },
      },
      { members: ["db-2"], stages: stagesOf(15.2, 15.4, 15.6, 15.7, 16.204) },
    ),
  ],
});

export const networkSplit = (): FaultResult => ({
  name: "primary-split",
  what: "the primary's machine sees no other machine",
  promised: { reads: { seconds: 1 }, writes: { seconds: 30 } },
  runs: [
    outageRun(
      31,
      { writes: { seconds: 24.87, failedPerSecond: 8 } },
      {
        violations: [
          {
            rule: "lost write",
            what: "register r-17: 4711 was acknowledged at 10.213 s by db-1, and every read since 24.9 s at db-2 gives 4698",
          },
        ],
        overlaps: [
          { what: "accepts writes", members: ["db-1", "db-2"], milliseconds: 340 },
          { what: "serves reads as the primary", members: ["db-1", "db-2"], milliseconds: 1210 },
        ],
        stages: stagesOf(20.4, 20.9, 22.1, 23.2, 24.87),
      },
    ),
  ],
});

export const cacheLost = (): FaultResult => ({
  name: "cache-lost",
  what: "the cache is lost",
  promised: { reads: { seconds: 1, failed: 0 }, writes: { seconds: 1, failed: 0 } },
  runs: [41, 42].map((seed) => outageRun(seed, {}, { members: ["cache-1"] })),
});

/** One that held, one that was missed, one that was violated, and one without a run that counts besides. */
export const drawnProof = (changes: Partial<Proof> = {}): Proof => ({
  version: 1,
  stack: "dev",
  platform: "docker",
  application: "shop",
  began: "2026-11-28T14:02:11.000Z",
  ended: "2026-11-28T15:14:31.000Z",
  client: { cores: 2, node: "v24.21.0" },
  rates: { page: 200, "fresh page": 50, read: 100, "standby read": 80, write: 60, purchase: 30 },
  faults: [primaryLost(), balancerLost(), standbyFrozen(), networkSplit(), cacheLost()],
  chosen: [],
  runs: 1,
  skipped: [{ name: "backup-lost", why: "this stack has no machine of backups" }],
  ...changes,
});
