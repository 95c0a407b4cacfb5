/** By what a kit is told from what a recovery would need now. No secret can be guessed from it. */
import { parse } from "yaml";
import { z } from "zod";
import { shortHash } from "../../lib/short-hash.ts";
import { secretsOf, withoutSalt } from "../../scripts/launcher/overlay.ts";
import { readJson } from "../json.ts";
import { holdsSecret } from "./new-machines.ts";

export const fingerprintShape = z.object({
  /** The stack's file, and its secret settings as they are encrypted. */
  settings: z.string(),
  /** How the machines are reached. */
  machines: z.string(),
  /** Passwords, keys and authorities in the state, by their names and when they were made. */
  secrets: z.string(),
});
export type Fingerprint = z.output<typeof fingerprintShape>;

/** Texts of files; one that is not there is empty. */
export interface Sources {
  /** `Pulumi.STACK.yaml`. */
  readonly settings: string;
  readonly overlay: string;
  readonly inventory: string;
  /** As `pulumi stack export` writes it, or as a folder of states keeps it. */
  readonly state: string;
}

const resource = z.object({
  urn: z.string(),
  type: z.string(),
  created: z.string().optional(),
  inputs: z.record(z.string(), z.unknown()).optional(),
});
const resources = z.array(resource).default([]);
const deployment = z.object({ resources });
const stateShape = z.union([
  z.object({ deployment }).transform((one) => one.deployment.resources),
  z
    .object({ checkpoint: z.object({ latest: deployment }) })
    .transform((one) => one.checkpoint.latest.resources),
]);

export function fingerprintOf({ settings, overlay, inventory, state }: Sources): Fingerprint {
  const kept = (readJson(state, stateShape) ?? []).filter(holdsSecret);
  const made = kept.map(({ urn, created = "" }) => `${urn} ${created}`);
  return {
    settings: shortHash(canonical(parse(withoutSalt(settings))), canonical(secretsOf(overlay))),
    machines: shortHash(canonical(parse(inventory))),
    secrets: shortHash(...made.sort()),
  };
}

/** The same text for the same content, however it is laid out. */
function canonical(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, one: unknown) =>
    typeof one === "object" && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

/** What each part is called. */
const parts: Readonly<Record<keyof Fingerprint, string>> = {
  secrets: "passwords or keys",
  machines: "how the machines are reached",
  settings: "settings",
};

/** Parts that are not as they were. @param now as far as it is known */
export const changedParts = (then: Fingerprint, now: Partial<Fingerprint>): (keyof Fingerprint)[] =>
  (Object.keys(parts) as (keyof Fingerprint)[]).filter(
    (one) => now[one] !== undefined && then[one] !== now[one],
  );

export const describeParts = (changed: readonly (keyof Fingerprint)[]): string =>
  changed.map((one) => parts[one]).join(", ");
