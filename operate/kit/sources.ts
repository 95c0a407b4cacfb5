/** The files of this checkout that a recovery of a stack needs. */
import { existsSync, readFileSync } from "node:fs";
import { inventoryPath } from "../../infra/inventory.ts";
import { fileBackend, pulumiEnvironment } from "../../scripts/launcher/environment.ts";
import { overlayFile, trackedFile } from "../../scripts/launcher/overlay.ts";
import { stateFile, stateText } from "../../scripts/launcher/stack.ts";
import type { OperatedStack } from "../stack.ts";
import { type Fingerprint, fingerprintOf, type Sources } from "./fingerprint.ts";

/** @returns its text, or an empty one where there is none */
const textOf = (file: string | undefined): string =>
  file !== undefined && existsSync(file) ? readFileSync(file, "utf8") : "";

/** @param state as `pulumi stack export` writes it, or as a folder of states keeps it */
export function sourcesOf({ name, settings }: OperatedStack, state: string): Sources {
  return {
    settings: textOf(trackedFile(name)),
    overlay: textOf(overlayFile(name)),
    inventory: textOf(inventoryPath(settings)),
    state,
  };
}

/**
 * Of what a recovery would need now, as far as it can be told without Pulumi: where its backend is no
 * folder, what the state holds is not looked at.
 */
export function fingerprintHere(stack: OperatedStack): Partial<Fingerprint> {
  const backend = fileBackend(pulumiEnvironment());
  const file = backend === undefined ? undefined : stateFile(backend, stack.name);
  const all = fingerprintOf(sourcesOf(stack, file === undefined ? "" : stateText(file)));
  if (file !== undefined) return all;
  const { secrets: _unknown, ...rest } = all;
  return rest;
}
