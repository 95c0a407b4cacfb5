// Builds the application's release of the files as they are, and prints its folder on stdout (and
// nothing else there). A release that exists already is used again.
//   node infra/application/build-release.ts [FOLDER] [--arch x64|arm64]
import { parseArgs } from "node:util";
import { command } from "../../lib/command.ts";
import { architecture, engineArchitecture } from "../../release/architecture.ts";
import { buildRelease } from "../../release/build.ts";
import { readRecipe } from "./recipe.ts";

await command(async () => {
  const options = { arch: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const target = values.arch ? architecture(values.arch) : await engineArchitecture();
  console.log(await buildRelease(readRecipe(positionals[0] ?? "app"), target));
});
