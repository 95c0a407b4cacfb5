/** A release, built and packed on the operator's machine: once for all the machines it goes to. */
import { required } from "../../../lib/command.ts";
import { architecture } from "../../../release/architecture.ts";
import { packedRelease } from "../../../release/pack.ts";
import { readRecipe } from "../../application/recipe.ts";

/** Path of the archive of the release that the environment names. */
export function archive(): Promise<string> {
  return packedRelease(
    readRecipe(required("APPLICATION")),
    required("RELEASE"),
    architecture(required("ARCHITECTURE")),
  );
}
