/**
 * Whether what clients saw of registers is linearizable: as if each operation had happened at once, at some moment
 * between its beginning and its end. Reads at the standby are no part of it.
 */
import type { Operation } from "../history.ts";
import type { Run, Violation } from "../proof.ts";
import { type Culprits, culpritsOf } from "./culprits.ts";
import { foundBy } from "./point.ts";
import { canHaveHappened } from "./search.ts";
import { quoted, registerText } from "./texts.ts";

/** Of one register. */
export type Answer =
  | { readonly is: "linearizable" }
  /** With the operations that contradict each other. */
  | { readonly is: "not linearizable"; readonly why: string }
  /** Time was too short. */
  | { readonly is: "undecided" };

/** Of all registers of a history. */
export interface Checked {
  readonly checked: Run["checked"];
  readonly violations: readonly Violation[];
  /** Registers that are undecided. */
  readonly undecided: readonly string[];
}

const defaultLimit = 10_000;

/**
 * @param operations on one register, all since it was empty; only `read` and `write` count
 * @param limitMilliseconds for the answer, and once more for why it is so @default ten seconds
 */
export function checkRegister(
  operations: readonly Operation[],
  limitMilliseconds = defaultLimit,
): Answer {
  const deadline = () => performance.now() + limitMilliseconds;
  const own = operations.filter(isOnRegister);
  const answer = canHaveHappened(own, deadline());
  if (answer === undefined) return { is: "undecided" };
  if (answer) return { is: "linearizable" };
  return { is: "not linearizable", why: whyNot(own, culpritsOf(own, deadline())) };
}

/**
 * @param operations of a whole history
 * @param limitMilliseconds for all registers together, and once more for each that is not linearizable @default ten seconds
 */
export function checkRegisters(
  operations: readonly Operation[],
  limitMilliseconds = defaultLimit,
): Checked {
  const own = operations.filter(isOnRegister);
  // One that takes all the time hides none of the others
  const registers = [...Map.groupBy(own, ({ key = "" }) => key)].toSorted(
    ([, one], [, other]) => one.length - other.length,
  );
  const violations: Violation[] = [];
  const undecided: string[] = [];
  const end = performance.now() + limitMilliseconds;
  for (const [key, some] of registers) {
    const answer = checkRegister(some, end - performance.now());
    if (answer.is === "undecided") undecided.push(key);
    if (answer.is === "not linearizable") violations.push({ rule: answer.is, what: answer.why });
  }
  return {
    checked: { registers: registers.length, operations: own.length },
    violations,
    undecided,
  };
}

const isOnRegister = ({ kind }: Operation): boolean => kind === "read" || kind === "write";

/** The culprits, and who wrote what they found. */
function whyNot(all: readonly Operation[], { operations, areSome }: Culprits): string {
  const found = new Set(operations.flatMap(foundBy));
  const writes = all.filter(({ kind, value }) => kind === "write" && found.has(value));
  const told = [...new Set([...operations, ...writes])].sort(
    (one, other) => one.began - other.began,
  );
  const texts = told.map(registerText);
  const written = new Set(writes.map(({ value }) => value));
  for (const value of found)
    if (value !== undefined && !written.has(value)) texts.push(`nobody wrote ${quoted(value)}`);
  if (areSome) texts.push("and others");
  return `${all[0]?.key}: no order explains these: ${texts.join("; ")}`;
}
