/** Proofs as files: one that is cut off has what it has seen, and can go on. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { inHastack } from "../../lib/paths.ts";
import { writeWhole } from "../../lib/write-whole.ts";
import { Refusal } from "../act/plan.ts";
import { countedOf } from "./judge.ts";
import type { FaultResult, Proof } from "./proof.ts";
import { pageOf } from "./report/page.ts";
import { summaryOf } from "./report/summary.ts";

const folderOf = (stack: string) => inHastack("prove", stack);

/** Writes down what there is so far. @returns where it is */
export function keepProof(proof: Proof): string {
  const folder = folderOf(proof.stack);
  const name = proof.began.replaceAll(/[:.]/g, "-");
  writeWhole(`${folder}/${name}.json`, JSON.stringify(proof));
  writeWhole(`${folder}/${name}.html`, pageOf(proof));
  writeWhole(`${folder}/summary.json`, `${JSON.stringify(summaryOf(proof), null, 2)}\n`);
  return `${folder}/${name}.html, and .json beside it`;
}

/** Runs that do not count are tried again, so often at most. */
const mostVoid = 2;

/** Whether a fault has fewer runs than it is to have. */
export function isWanted(done: FaultResult | undefined, runs: number): boolean {
  if (done === undefined) return true;
  return countedOf(done).length < runs && done.runs.length < runs + mostVoid;
}

/** The last proof of a stack. @throws Refusal where there is none, or it has all its runs */
export function proofToResume(stack: string): Proof {
  const folder = folderOf(stack);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const last = names
    .filter((name) => /^\d.*\.json$/.test(name))
    .toSorted()
    .at(-1);
  if (last === undefined) throw new Refusal(`--resume: nothing was proved of ${stack} yet`);
  const proof: Proof = JSON.parse(readFileSync(`${folder}/${last}`, "utf8"));
  const isDone = (name: string) =>
    !isWanted(
      proof.faults.find((one) => one.name === name),
      proof.runs,
    );
  if (proof.chosen.every(isDone))
    throw new Refusal(`--resume: the last proof of ${stack} has all its runs (${folder}/${last})`);
  return proof;
}
