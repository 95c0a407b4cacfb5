/** Pulumi's own programs that this project needs: which, in what version, and where they lie. */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { inHastack, pinnedVersion } from "../../lib/paths.ts";

/** One of Pulumi's own programs that this project needs. */
export interface Part {
  readonly kind: "cli" | "plugin";
  /** `pulumi`, or the plugin's name, such as `docker`. */
  readonly name: string;
  readonly version: string;
}

const plugins = ["docker", "random", "command"];
export const cliPrograms = ["pulumi", "pulumi-language-nodejs"];
/** Optional beside the two: the dynamic providers' runner and the policy analyzer. */
export const cliCompany = ["pulumi-resource-pulumi-nodejs", "pulumi-analyzer-policy"];

/** All parts, in the versions of the npm packages that speak with them. */
export const requiredParts = (): Part[] => [
  { kind: "cli", name: "pulumi", version: pinnedVersion("@pulumi/pulumi") },
  ...plugins.map((name): Part => {
    return { kind: "plugin", name, version: pinnedVersion(`@pulumi/${name}`) };
  }),
];

/** Where the part belongs in a PULUMI_HOME. */
export const partFolder = (part: Part, home = inHastack("pulumi")): string =>
  part.kind === "cli"
    ? join(home, "versions", part.version, "bin")
    : join(home, "plugins", `resource-${part.name}-v${part.version}`);

/** The programs without which the part is not there. */
export const programsOf = (part: Part): string[] =>
  part.kind === "cli" ? cliPrograms : [`pulumi-resource-${part.name}`];

/** Whether there is a program that may be run. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether a folder has all programs of the part. */
export const holds = (folder: string, part: Part): boolean =>
  programsOf(part).every((program) => isExecutable(join(folder, program)));

/** The part in words. */
export const partLabel = (part: Part): string =>
  part.kind === "cli" ? `CLI ${part.version}` : `${part.name} plugin ${part.version}`;

/** A place where parts can be had. They are asked in order; the first that has a part provides it. */
export interface Source {
  readonly name: string;
  /**
   * Puts the part's programs into the empty folder `into`.
   * @param say told in a line what takes a while
   * @returns where it came from, or why this source does not have it
   */
  provide(
    part: Part,
    into: string,
    say: (line: string) => void,
  ): Promise<{ from: string } | { lacking: string }>;
}
