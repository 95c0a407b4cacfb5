/**
 * Images with the very packages that the stack's workloads ask for, made by the stack's own recipe.
 * They are built once and found again by a hash of the recipe.
 */
import { createHash } from "node:crypto";
import { runDocker, tryDocker } from "../../../infra/platform/docker/engine.ts";
import type { Workload } from "../../../infra/platform/platform.ts";
import { inRoot, readProjectFile } from "../../../lib/paths.ts";

const folder = "infra/platform/docker/image";
const recipeLabel = "hastack-test.recipe";
const buildLimitSeconds = 600;

/**
 * The image of a workload.
 * @param besides packages that it does not ask for @default none
 * @returns its name
 */
export function imageFor(
  { component, packages, release }: Pick<Workload, "component" | "packages" | "release">,
  besides: readonly string[] = [],
) {
  const kind = component.replace(/(?<=[a-z])[A-Z]/g, "-$&").toLowerCase();
  const users = release?.users ?? [];
  return ensure([kind, ...users, ...besides].join("-"), [...packages, ...besides], users);
}

/** The image without any packages but those that all have. @returns its name */
export function baseImage(): Promise<string> {
  return ensure("base", []);
}

const ready = new Map<string, Promise<string>>();

function ensure(
  kind: string,
  packages: readonly string[],
  users: readonly string[] = [],
): Promise<string> {
  const known = ready.get(kind) ?? build(kind, packages, users);
  ready.set(kind, known);
  return known;
}

async function build(
  kind: string,
  packages: readonly string[],
  users: readonly string[],
): Promise<string> {
  await assertEngine();
  const name = `hastack-test/${kind}`;
  const recipe = hashOf([...packages, ...users]);
  const format = `{{index .Config.Labels "${recipeLabel}"}}`;
  const { stdout } = await tryDocker(["image", "inspect", "--format", format, name]);
  if (stdout.trim() === recipe) return name;
  console.log(`      building ${name} with ${packages.join(", ") || "no packages"}`);
  await runDocker(
    [
      "build",
      "--quiet",
      `--tag=${name}`,
      `--label=${recipeLabel}=${recipe}`,
      `--build-arg=PACKAGES=${packages.join(" ")}`,
      `--build-arg=USERS=${users.join(" ")}`,
      inRoot(folder),
    ],
    "",
    buildLimitSeconds,
  );
  return name;
}

async function assertEngine(): Promise<void> {
  const { code, stderr } = await tryDocker(["version", "--format={{.Server.Version}}"]);
  if (code !== 0) {
    throw new Error(`these tests need Docker (${stderr.trim()}); npm run setup brings it`);
  }
}

function hashOf(names: readonly string[]): string {
  const files = ["Dockerfile", "install-packages"].map((file) =>
    readProjectFile(`${folder}/${file}`),
  );
  return createHash("sha256")
    .update(JSON.stringify([files, names]))
    .digest("hex")
    .slice(0, 12);
}
