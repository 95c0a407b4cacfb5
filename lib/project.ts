/** Where the project's own files are. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Absolute path of the project; it must not get into a resource's inputs, where it would differ from one checkout to the next. */
export const projectDirectory = fileURLToPath(new URL("../", import.meta.url));

/** The text of a file of the project. */
export function readProjectFile(path: string): string {
  return readFileSync(`${projectDirectory}${path}`, "utf8");
}
