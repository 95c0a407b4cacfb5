/** What an operation says of itself before it is done. */
import { printable } from "../../lib/printable.mjs";
import type { Undo } from "./undo.ts";

/** An operation that is not done, as it would lose the last of something. */
export class Refusal extends Error {}

/** An operation that has not come to its end, and of which what it did stays: it can be run again. */
export class Unfinished extends Error {}

/** What is known once the stack was looked at, before anything is changed. */
export interface Plan {
  /** What it costs, a sentence each. */
  readonly costs: readonly string[];
  /** What is asked before it is done, on any stack. @default the call is asked back, and on `dev` nothing */
  readonly question?: string;
  /** Whether its standard output is for what it writes there itself. @default its result is told there */
  readonly hasOutput?: boolean;
  /** What puts back the state before, in its order. @default there is nothing to put back */
  readonly undo?: readonly Undo[];
  /**
   * @param signal aborted when the operator wants it to end
   * @returns what it did
   */
  run(signal: AbortSignal): Promise<string>;
  /**
   * What takes lock and journal away: done once the end is noted. What puts the state before back then
   * stays noted, as how the stack is to be. @default nothing does
   */
  last?(): Promise<void>;
}

/** For people, with one digit behind the point. @param start by `performance.now()` */
export const secondsSince = (start: number): string =>
  `${((performance.now() - start) / 1000).toFixed(1)} s`;

/** What is told while it goes on; results go to standard output. */
export const say = (text: string): void => void process.stderr.write(`${printable(text)}\n`);
