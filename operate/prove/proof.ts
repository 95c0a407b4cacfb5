/** What `prove` found: the data of its table, its JSON and its page. */
import type { Kind } from "./history.ts";

/** Longest time without a success, in seconds, and how many operations may fail; what is absent is not promised. */
export interface Limits {
  readonly seconds?: number;
  readonly failed?: number;
}

/** What is promised of a fault. */
export interface Promised {
  readonly reads: Limits;
  readonly writes: Limits;
}

/** What clients saw of one class of operations. */
export interface Seen {
  readonly count: number;
  readonly failed: number;
  /** Longest time without a success. */
  readonly gapSeconds: number;
  /** From the time an operation was due, of those that succeeded. */
  readonly medianMilliseconds: number;
  readonly p99Milliseconds: number;
  /** Why some failed, with how often. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** Something that must never be: a write that is lost, two primaries at once. Seconds are no violation, but a promise. */
export interface Violation {
  /** `lost write`, `duplicate`, `refused write is there`, `nobody wrote this`, `stock`, `not linearizable`, `stale read`, `two primaries`, `lost file`, `members differ`, `not read back`, `not watched`, `not whole again`. */
  readonly rule: string;
  /** What was seen, with the keys and members. */
  readonly what: string;
}

/** A stage of an outage, since the fault. */
export interface Stage {
  readonly name: "noticed" | "decided" | "promoted" | "rerouted" | "first success";
  readonly seconds: number;
}

/** What a program of the stack wrote in its log, or what the proof itself did, in seconds since the measurement began. */
export interface Event {
  readonly at: number;
  readonly member: string;
  readonly program: "Patroni" | "PostgreSQL" | "HAProxy" | "keepalived" | "etcd" | "prove";
  readonly text: string;
}

/** What happened to one kind of operations in each tenth of a second, by the time they ended. */
export interface Series {
  readonly kind: Kind;
  readonly ok: readonly number[];
  readonly failed: readonly number[];
  /** The slowest of them, in milliseconds; 0 where there is none. */
  readonly slowest: readonly number[];
}

/** Two members that did the same at once, as only one may. */
export interface Overlap {
  readonly what: "accepts writes" | "serves reads as the primary";
  readonly members: readonly [string, string];
  readonly milliseconds: number;
}

/** One fault, once. */
export interface Run {
  /** When the measurement began, ISO 8601. */
  readonly at: string;
  readonly seconds: number;
  /** Seconds since then at which it was broken, and mended; absent where it mends itself. */
  readonly brokenAt: number;
  readonly mendedAt?: number;
  /** When all was as before. */
  readonly wholeAt?: number;
  /** Of all that was on the machines that it hit, which need not be the same each time. @default as of the fault */
  readonly promised?: Promised;
  /** Whom it hit: `db-1`. */
  readonly members: readonly string[];
  /** Why it does not count, such as a load generator that could not keep up. */
  readonly void?: string;
  readonly reads: Seen;
  readonly writes: Seen;
  readonly violations: readonly Violation[];
  readonly stages: readonly Stage[];
  readonly events: readonly Event[];
  readonly series: readonly Series[];
  readonly overlaps: readonly Overlap[];
  /** Registers that the checker saw, and operations on them. */
  readonly checked: { readonly registers: number; readonly operations: number };
}

/** `held`; a promise of seconds or failures was `missed`; something was `violated` that must never be; `void`. */
export type Verdict = "held" | "missed" | "violated" | "void";

export interface FaultResult {
  /** As in `--only`. */
  readonly name: string;
  /** For people: `the primary's machine is lost`. */
  readonly what: string;
  /** Of all that is on the machines that it hits: the longest of all runs. Each run is judged by its own. */
  readonly promised: Promised;
  readonly runs: readonly Run[];
}

export interface Proof {
  readonly version: 1;
  readonly stack: string;
  readonly platform: string;
  readonly application: string;
  readonly began: string;
  readonly ended: string;
  /** Where the clients ran. */
  readonly client: { readonly cores: number; readonly node: string };
  /** Operations that were due each second, by kind. */
  readonly rates: Readonly<Partial<Record<Kind, number>>>;
  readonly faults: readonly FaultResult[];
  /** Faults that are to be tried, in this order, and how often each. */
  readonly chosen: readonly string[];
  readonly runs: number;
  /** Faults that were not tried, and why. */
  readonly skipped: readonly { readonly name: string; readonly why: string }[];
}
