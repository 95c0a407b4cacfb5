import { parseArgs } from "node:util";

/** The steps of `npm test`, in their order. */
export const stepNames = [
  "set-up",
  "lint",
  "types",
  "unit",
  "app",
  "fuzz",
  "toolchain",
  "e2e",
] as const;
export type StepName = (typeof stepNames)[number];

/** Steps that need what set-up makes: an engine, images, a browser. */
const needSetUp: readonly StepName[] = ["unit", "app", "fuzz", "toolchain", "e2e"];

/** Steps of `npm run test:full` alone, and why. */
export const onlyFull: Readonly<Partial<Record<StepName, string>>> = {
  fuzz: "npm run test:full has minutes for it",
};

export interface Choice {
  readonly steps: readonly StepName[];
  /** Whether the steps were chosen by name: then a step runs that has no need to. */
  readonly named: boolean;
  /** `npm run test:full`: the long runs too. */
  readonly full: boolean;
  /** Handed to mocha: `--grep`, files and the like. */
  readonly mocha: readonly string[];
}

const isStep = (name: string): name is StepName => (stepNames as readonly string[]).includes(name);

/**
 * Reads `npm test -- [--full] [--only STEP[,STEP]] [--grep TEXT]`.
 * @throws for a step that there is not.
 */
export function readChoice(args: readonly string[]): Choice {
  const { values } = parseArgs({
    args: [...args],
    options: {
      full: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      grep: { type: "string" },
    },
  });
  const only = values.only.flatMap((list) => list.split(","));
  const unknown = only.filter((name) => !isStep(name));
  if (unknown.length > 0) {
    throw new Error(`--only ${unknown.join(",")}: no such step; there are ${stepNames.join(", ")}`);
  }
  const chosen = stepNames.filter((name) => only.length === 0 || only.includes(name));
  const withSetUp = chosen.some((name) => needSetUp.includes(name));
  return {
    steps: stepNames.filter((name) => chosen.includes(name) || (name === "set-up" && withSetUp)),
    named: only.length > 0,
    full: values.full,
    mocha: values.grep === undefined ? [] : ["--grep", values.grep],
  };
}
