/** How the release of an application is made, as its description says. */
import type { ReleaseRecipe } from "../../release/recipe.ts";
import { applicationFolder, readDescription } from "./application.ts";
import type { ApplicationDescription } from "./description.ts";

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

/** The recipe of the application in a folder. @throws SettingsError when its description is wrong */
export function readRecipe(path: string): ReleaseRecipe {
  return recipeOf(readDescription(path), path);
}
