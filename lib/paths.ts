import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";

/**
 * The checkout: the folder that holds package.json. It must not get into a resource's inputs, where
 * it would differ from one checkout to the next.
 */
export const root = resolve(import.meta.dirname, "..");

/** A path inside the checkout. */
export const inRoot = (...parts: string[]): string => join(root, ...parts);

/** A path inside `.hastack/`, the untracked folder of everything that set-up makes. */
export const inHastack = (...parts: string[]): string => join(root, ".hastack", ...parts);

/** The text of a file of the project. */
export const readProjectFile = (path: string): string => readFileSync(inRoot(path), "utf8");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/**
 * The exact version of a package that package.json asks for: the one place where versions stand.
 * @throws when the package is not listed.
 */
export function pinnedVersion(name: string): string {
  const manifest = JSON.parse(readProjectFile("package.json")) as Manifest;
  const version = manifest.dependencies[name] ?? manifest.optionalDependencies[name];
  if (version === undefined) throw new Error(`package.json: ${name} is not listed`);
  return version;
}

/**
 * PATH with this project's Node first, so that npm and Pulumi's language host run on it.
 * @param path the PATH to put it before
 */
export function withOwnNode(path = process.env.PATH): string {
  const bin = inRoot("node_modules/.bin");
  const node = existsSync(join(bin, "node")) ? [] : [dirname(process.execPath)];
  return [...node, bin, path ?? ""].filter(Boolean).join(delimiter);
}
