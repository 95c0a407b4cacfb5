import { join } from "node:path";
import { inHastack } from "../lib/paths.ts";

/** How a release of an application is made. */
export interface ReleaseRecipe {
  /** The application's name. */
  readonly name: string;
  /** Absolute path of the application's folder. */
  readonly folder: string;
  /**
   * Files and folders that a release is made of, relative to the application's folder; of a folder
   * all that is in it but dot files, node_modules and __pycache__. @default the whole folder, with the
   * same exceptions
   */
  readonly files?: readonly string[];
  /**
   * Shell text that is run in a copy of the files, with RELEASE_ARCHITECTURE in its environment. What
   * then lies there is the release. @default none: the files are the release
   */
  readonly build?: string;
}

/** In Node's words. */
export type Architecture = "x64" | "arm64";

/** The folder where a release is once it is built. */
export function builtReleaseFolder(hash: string, architecture: Architecture): string {
  return inHastack("releases", `${hash}-${architecture}`);
}

/** The file at a release's root that tells what it is. */
export const aboutFile = (folder: string): string => join(folder, "release.json");
