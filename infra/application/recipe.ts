/** How the release of an application is made, as its description says. */
import { RunError } from "@pulumi/pulumi";
import { releaseHash } from "../../release/hash.ts";
import type { ReleaseRecipe } from "../../release/recipe.ts";
import type { Release } from "../platform/platform.ts";
import { type Application, applicationFolder, readDescription } from "./application.ts";
import type { ApplicationDescription } from "./description.ts";
import { usersOf } from "./names.ts";

/** @param path the application's folder, relative to the project or absolute */
export function recipeOf(
  { name, release }: Pick<ApplicationDescription, "name" | "release">,
  path: string,
): ReleaseRecipe {
  const { files, build } = release;
  return {
    name,
    folder: applicationFolder(path),
    ...(files !== undefined && { files }),
    ...(build !== undefined && { build }),
  };
}

/**
 * The release that the application's files make now.
 * @throws RunError where they make none; Pulumi prints it without a stack trace
 */
export function releaseOf(application: Application): Release {
  const { path } = application;
  const users = usersOf(application);
  try {
    return { hash: releaseHash(recipeOf(application, path)), application: path, users };
  } catch (error) {
    throw new RunError((error as Error).message);
  }
}

/** The recipe of the application in a folder. @throws SettingsError when its description is wrong */
export function readRecipe(path: string): ReleaseRecipe {
  return recipeOf(readDescription(path), path);
}
