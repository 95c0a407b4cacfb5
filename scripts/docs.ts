/** `npm run docs`: writes the documents that are generated from the schemas. */
import { writeFileSync } from "node:fs";
import { inRoot } from "../lib/paths.ts";
import { descriptionDocuments } from "./docs/description.ts";
import { faultsDocuments } from "./docs/faults.ts";
import type { Generated } from "./docs/generated.ts";
import { provedDocuments } from "./docs/proved.ts";
import { settingsDocuments } from "./docs/settings.ts";

/** All generated files. */
export function generatedDocuments(): Generated[] {
  return [
    ...settingsDocuments(),
    ...descriptionDocuments(),
    ...faultsDocuments(),
    ...provedDocuments(),
  ];
}

export function main(): void {
  for (const { path, text } of generatedDocuments()) {
    writeFileSync(inRoot(path), text);
    console.log(`wrote ${path}`);
  }
}
