/**
 * The proof that parts built here stand in for Pulumi's own takes many minutes: it is made when the
 * sources of toolchain/ changed since it last succeeded, and by a full run where parts were built.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { builtParts, proofFile, sourcesHash } from "../setup/built-parts.ts";
import type { Outcome } from "./summary.ts";

const proved = () => (existsSync(proofFile) ? readFileSync(proofFile, "utf8").trim() : undefined);

const someAreBuilt = () => builtParts().length > 0;

/**
 * Why there is no need to prove it again; nothing where there is.
 * @param full whether it is a full run: one that need not be short tries the very parts that were built here
 */
export function whyNoProof(full: boolean): string | undefined {
  if (proved() !== sourcesHash() || (full && someAreBuilt())) return undefined;
  return "toolchain/ is as it was proved; --only toolchain does it again";
}

/**
 * Proves today's sources by a run, and keeps that they are, to be committed with them. A run without
 * Pulumi's own parts, or one that skipped something, compares nothing and proves nothing.
 */
export async function prove(suite: () => Promise<Outcome>): Promise<Outcome> {
  const hash = sourcesHash();
  const outcome = await suite();
  const { passed, failed, skipped } = outcome;
  const whole = passed > 0 && failed === 0 && skipped === 0 && !someAreBuilt();
  if (whole && hash === sourcesHash() && hash !== proved()) {
    writeFileSync(proofFile, `${hash}\n`);
    console.log("toolchain/proved now names these sources; commit it with them");
  }
  return outcome;
}
