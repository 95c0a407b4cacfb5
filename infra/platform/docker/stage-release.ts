/** Makes the folder that Docker builds a release's image from: the recipe, and the release. */
import { fail, required } from "../../../lib/command.ts";
import { inRoot } from "../../../lib/paths.ts";
import { engineArchitecture } from "../../../release/architecture.ts";
import { stagedRelease } from "../../../release/stage.ts";
import { readRecipe } from "../../application/recipe.ts";

const image = inRoot("infra/platform/docker/image");

try {
  await stagedRelease(
    readRecipe(required("APPLICATION")),
    required("RELEASE"),
    await engineArchitecture(),
    image,
  );
} catch (error) {
  fail(error);
}
