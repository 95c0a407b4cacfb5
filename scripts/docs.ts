/** `npm run docs`: writes the documents that are generated from the schemas. */
import { writeFileSync } from "node:fs";
import { inRoot } from "../lib/paths.ts";
import { settingsDocuments } from "./docs/settings.ts";

/** A generated file, by its path in the project. */
export interface Generated {
  readonly path: string;
  readonly text: string;
}

/** All generated files. */
export function generatedDocuments(): Generated[] {
  return [...settingsDocuments()];
}

export function main(): void {
  for (const { path, text } of generatedDocuments()) {
    writeFileSync(inRoot(path), text);
    console.log(`wrote ${path}`);
  }
}
