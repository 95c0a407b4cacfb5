/**
 * The proof that parts built here stand in for Pulumi's own takes many minutes: it is made when the
 * sources of toolchain/ changed since it last succeeded, and where nothing but built parts is there.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { builtParts, proofFile, sourcesHash } from "../setup/built-parts.ts";
import type { Outcome } from "./summary.ts";

const proved = () => (existsSync(proofFile) ? readFileSync(proofFile, "utf8").trim() : undefined);

const someAreBuilt = () => builtParts().length > 0;

/** Why there is no need to prove it again; nothing where there is. */
export function whyNoProof(): string | undefined {
  if (someAreBuilt() || proved() !== sourcesHash()) return undefined;
  return "no part was built here, and toolchain/ is as it was proved; --only toolchain does it";
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
