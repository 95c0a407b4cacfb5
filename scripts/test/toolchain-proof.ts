/**
 * The proof that parts built here stand in for Pulumi's own takes many minutes: it is made when the
 * sources of toolchain/ changed since it last succeeded, and where nothing but built parts is there.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { inRoot } from "../lib/paths.ts";
import { builtFrom, sourcesHash } from "../setup/built-parts.ts";
import { partFolder, requiredParts } from "../setup/parts.ts";
import type { Outcome } from "./summary.ts";

/** Tracked: hash of the sources that were proved last. */
const record = inRoot("toolchain/proved");

const proved = () => (existsSync(record) ? readFileSync(record, "utf8").trim() : undefined);

/** Why there is no need to prove it again; nothing where there is. */
export function whyNoProof(): string | undefined {
  if (requiredParts().some((part) => builtFrom(partFolder(part)) !== undefined)) return undefined;
  if (proved() !== sourcesHash()) return undefined;
  return "Pulumi's own parts are there, and toolchain/ is as it was proved; --only toolchain";
}

/**
 * Keeps that these sources are proved, to be committed with them; a run that skipped something, as
 * the comparison with Pulumi's own parts where they are not to be had, proves nothing.
 */
export function recordProof({ passed, failed, skipped }: Outcome): void {
  if (passed === 0 || failed > 0 || skipped > 0 || proved() === sourcesHash()) return;
  writeFileSync(record, `${sourcesHash()}\n`);
  console.log("toolchain/proved now names these sources; commit it with them");
}
