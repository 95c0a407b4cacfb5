/** Histories of one register: of a real one, which clients use at the same time, and such as nobody has seen. */
import fc from "fast-check";
import type { Operation } from "../../../operate/prove/history.ts";

/** One operation of a client, with times in milliseconds. */
export interface Step {
  readonly does: "read" | "write" | "change";
  /** Since the client's last one ended; until the register takes it; until the client knows. */
  readonly times: readonly [number, number, number];
  /**
   * What becomes of it: with `late` the register takes it long after the client gave up, with `lost` never, and
   * with `silent` in time, but the client gets no answer.
   */
  readonly fate: "answered" | "silent" | "late" | "lost";
  /** Whether a change expects the value that is there. */
  readonly isRight: boolean;
  /** @default one that no other writes */
  readonly value?: string | undefined;
}

/** An operation whose outcome is still open, and when the register takes it. */
interface Running {
  readonly operation: Operation;
  readonly step: Step;
  readonly at: number;
}

const lateMilliseconds = 20;

/** What clients see of a real register, each of whom takes its steps one after the other. */
export function seenBy(clients: readonly (readonly Step[])[]): Operation[] {
  const running = clients.flatMap((steps, client) => runningOf(`client-${client + 1}`, steps));
  running.sort((one, other) => one.at - other.at);
  let value: string | undefined;
  return running.map(({ operation, step }) => {
    const { kind } = operation;
    const outcome = step.fate === "answered" ? "ok" : "unknown";
    if (kind === "read") return { ...operation, outcome, ...(value !== undefined && { value }) };
    const expected = step.isRight ? (value ?? "none") : "another";
    const isChange = step.does === "change";
    const happens = step.fate !== "lost" && (!isChange || expected === value);
    if (happens) value = operation.value;
    const isRefused = step.fate === "answered" && !happens;
    return {
      ...operation,
      outcome: isRefused ? "refused" : outcome,
      ...(isChange && { expected }),
    };
  });
}

function runningOf(client: string, steps: readonly Step[]): Running[] {
  let now = 0;
  return steps.map((step, index) => {
    const [pause, before, after] = step.times;
    const began = now + pause;
    now = began + before + after;
    const kind = step.does === "read" ? "read" : "write";
    const operation: Operation = {
      ...{ kind, client, key: "register 1", due: began, began, ended: now, outcome: "unknown" },
      ...(kind === "write" && { value: step.value ?? `${client}.${index}` }),
    };
    return { operation, step, at: step.fate === "late" ? now + lateMilliseconds : began + before };
  });
}

const stepOf = (value: fc.Arbitrary<string | undefined>): fc.Arbitrary<Step> =>
  fc.record({
    does: fc.constantFrom("read", "write", "change"),
    times: fc.tuple(fc.nat(4), fc.nat(6), fc.nat(6)),
    fate: fc.oneof(
      { weight: 6, arbitrary: fc.constant("answered" as const) },
      { weight: 1, arbitrary: fc.constantFrom("silent", "late", "lost") },
    ),
    isRight: fc.boolean(),
    value,
  });

/** Of a real register. @param value what is written @default each value once */
export const realHistories = (
  value: fc.Arbitrary<string | undefined> = fc.constant(undefined),
): fc.Arbitrary<Operation[]> =>
  fc.array(fc.array(stepOf(value), { maxLength: 8 }), { minLength: 1, maxLength: 5 }).map(seenBy);

const letters = ["a", "b", "c"];

/** Such as may or may not be of a real register: a few values, which may be written again and again. */
export const anyHistories = (): fc.Arbitrary<Operation[]> => {
  const letter = fc.constantFrom(...letters);
  const operation = fc.record(
    {
      kind: fc.constantFrom("read", "read", "write" as const),
      outcome: fc.constantFrom("ok", "ok", "ok", "unknown", "refused" as const),
      began: fc.nat(40),
      lasts: fc.nat(15),
      value: letter,
      expected: letter,
    },
    { requiredKeys: ["kind", "outcome", "began", "lasts"] },
  );
  return fc.array(operation, { maxLength: 9 }).map((all) =>
    all.map(({ began, lasts, kind, value, expected, ...rest }, index) => ({
      ...{ kind, client: `client-${index + 1}`, key: "register 1", due: began, began },
      ...{ ended: began + lasts, ...rest },
      ...((kind === "write" || value !== undefined) && { value: value ?? "a" }),
      ...(kind === "write" && expected !== undefined && { expected }),
    })),
  );
};

/** Of a real register, but one operation is told otherwise: a read with another value, a write with another outcome. */
export const bentHistories = (): fc.Arbitrary<Operation[]> => {
  const real = fc.oneof(realHistories(), realHistories(fc.constantFrom(...letters)));
  return fc.tuple(real, fc.nat(), fc.nat()).map(([history, place, source]) => {
    const bent = history[place % Math.max(1, history.length)];
    const { value } = history[source % Math.max(1, history.length)] ?? {};
    return history.map((one) => (one === bent ? bentTo(one, value) : one));
  });
};

const bentTo = (one: Operation, value: string | undefined): Operation => {
  if (one.kind === "write") return { ...one, outcome: one.outcome === "ok" ? "refused" : "ok" };
  const { value: _seen, ...rest } = one;
  return { ...rest, ...(value !== undefined && { value }) };
};
