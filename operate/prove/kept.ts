/** Proofs as files: one that is cut off has what it has seen, and can go on. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { inHastack } from "../../lib/paths.ts";
import { writeWhole } from "../../lib/write-whole.ts";
import { Refusal } from "../act/plan.ts";
import { readJson } from "../json.ts";
import { leftOf } from "./judge.ts";
import type { Proof } from "./proof.ts";
import { pageOf } from "./report/page.ts";
import { summaryOf } from "./report/summary.ts";

const folderOf = (stack: string) => inHastack("prove", stack);

/**
 * Writes down what there is so far.
 * @param isWhole whether it is at its end, and its summary the one that counts @default false
 * @returns where it is
 */
export function keepProof(proof: Proof, isWhole = false): string {
  const folder = folderOf(proof.stack);
  const name = proof.began.replaceAll(/[:.]/g, "-");
  writeWhole(`${folder}/${name}.json`, JSON.stringify(proof));
  writeWhole(`${folder}/${name}.html`, pageOf(proof));
  if (isWhole)
    writeWhole(`${folder}/summary.json`, `${JSON.stringify(summaryOf(proof), null, 2)}\n`);
  return `${folder}/${name}.html, and .json beside it`;
}

const limits = z.looseObject({ seconds: z.number().optional(), failed: z.number().optional() });
const numbers = z.array(z.number());
const promised = z.looseObject({ reads: limits, writes: limits });
const seen = z.looseObject({ count: z.number(), failed: z.number(), gapSeconds: z.number() });
const run = z.looseObject({
  at: z.iso.datetime(),
  seconds: z.number(),
  promised: promised.optional(),
  void: z.string().optional(),
  reads: seen,
  writes: seen,
  brokenAt: z.number(),
  members: z.array(z.string()),
  violations: z.array(z.looseObject({ rule: z.string(), what: z.string() })),
  stages: z.array(z.looseObject({ name: z.string(), seconds: z.number() })),
  events: z.array(z.looseObject({ at: z.number(), member: z.string(), text: z.string() })),
  series: z.array(
    z.looseObject({ kind: z.string(), ok: numbers, failed: numbers, slowest: numbers }),
  ),
  checked: z.looseObject({ registers: z.number(), operations: z.number() }),
  overlaps: z.array(z.looseObject({ what: z.string(), milliseconds: z.number() })),
});
/** As much of a proof as is looked at before it goes on. */
const shape = z.looseObject({
  version: z.literal(1),
  stack: z.string(),
  began: z.iso.datetime(),
  faults: z.array(
    z.looseObject({ name: z.string(), what: z.string(), promised, runs: z.array(run) }),
  ),
  chosen: z.array(z.string()),
  runs: z.int().min(1).max(100),
  skipped: z.array(z.looseObject({ name: z.string(), why: z.string() })),
});

/** The last proof of a stack. @throws Refusal where there is none, or it has all its runs */
export function proofToResume(stack: string): Proof {
  const folder = folderOf(stack);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const last = names
    .filter((name) => /^\d.*\.json$/.test(name))
    .toSorted()
    .at(-1);
  if (last === undefined) throw new Refusal(`--resume: nothing was proved of ${stack} yet`);
  const file = `${folder}/${last}`;
  const proof = readJson(readFileSync(file, "utf8"), shape) as Proof | undefined;
  if (proof === undefined || proof.stack !== stack)
    throw new Refusal(`--resume: ${file} is no proof of ${stack}: remove it, or begin anew`);
  if (leftOf(proof).length === 0)
    throw new Refusal(`--resume: the last proof of ${stack} has all its runs (${folder}/${last})`);
  return proof;
}
