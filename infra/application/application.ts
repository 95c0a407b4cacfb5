/** The application that a stack serves: what its description says, with what the stack sets. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseDocument } from "yaml";
import { root } from "../../lib/paths.ts";
import { firstGeneration, type Generations, inUse, loginOf } from "../generations.ts";
import { applicationProblems } from "../rules/application.ts";
import { parseValues } from "../schema.ts";
import { deepFreeze, type Settings, SettingsError } from "../settings.ts";
import {
  type ApplicationDescription,
  descriptionSchema,
  type JobDescription,
  type TierDescription,
} from "./description.ts";
import { databaseRoleOf } from "./names.ts";

/** What a stack may set of the application. */
type Wishes = Pick<
  Settings,
  "application" | "applicationSecrets" | "credentials" | "tiers" | "stack"
>;

/** A tier as it runs in this stack. */
export interface Tier extends TierDescription {
  /** Its database role. */
  readonly databaseRole: string;
  /** What its programs log in as: the role itself, or one that becomes it. */
  readonly databaseLogin: string;
  /** The jobs that run beside its instances. */
  readonly jobs: readonly JobDescription[];
}

export interface Application extends Omit<ApplicationDescription, "tiers"> {
  /** Its folder, as the setting gives it: relative to the project, or absolute. */
  readonly path: string;
  readonly tiers: readonly Tier[];
  /** Its own settings: what the stack gives, else the default. */
  readonly values: Readonly<Record<string, string | number | boolean>>;
  /** Its own secrets that the operator gives. */
  readonly givenSecrets: Readonly<Record<string, string>>;
  /** Those of passwords and generated secrets, by name. */
  readonly generations: Readonly<Record<string, Generations>>;
}

/** Name of the description in the application's folder. */
const descriptionFile = "hastack.yaml";

/** Absolute path of an application's folder. */
export function applicationFolder(path: string): string {
  return resolve(root, path);
}

/**
 * Reads an application's description.
 * @param path its folder, relative to the project or absolute
 * @throws SettingsError with every problem
 */
export function readDescription(path: string): ApplicationDescription {
  const full = resolve(applicationFolder(path), descriptionFile);
  if (existsSync(full)) {
    return parseDescription(readFileSync(full, "utf8"), `${path}/${descriptionFile}`);
  }
  const why = `has no ${descriptionFile}`;
  const fix = "name the folder of an application";
  throw new SettingsError([{ path: "application.path", value: path, why, fix }]);
}

/**
 * @param text of the description
 * @param file how errors name it
 * @throws SettingsError with every problem
 */
export function parseDescription(text: string, file: string): ApplicationDescription {
  const document = parseDocument(text);
  // The first says where; the others mostly follow from it
  const [error] = document.errors;
  if (error) {
    const why = error.message.split(/:?\n/)[0] ?? "it cannot be read";
    throw new SettingsError([{ source: file, path: "", why, fix: "write it as YAML" }]);
  }
  const source = { name: file, documentedIn: "docs/hastack-yaml.md" };
  const { data, problems } = parseValues(descriptionSchema, document.toJS() ?? {}, source);
  if (data === undefined) throw new SettingsError(problems);
  return data;
}

/**
 * The application of a stack.
 * @throws SettingsError with everything wrong in its description, or in what the stack gives it
 */
export function readApplication(settings: Wishes): Application {
  return applicationOf(readDescription(settings.application.path), settings);
}

/** @throws SettingsError with everything wrong in what the stack gives it */
export function applicationOf(description: ApplicationDescription, settings: Wishes): Application {
  const problems = applicationProblems(description, settings);
  if (problems.length > 0) throw new SettingsError(problems);
  return deepFreeze({
    ...description,
    path: settings.application.path,
    tiers: description.tiers.map((tier) => ({
      ...tier,
      ...settings.tiers[tier.name],
      databaseRole: databaseRoleOf(tier.name),
      databaseLogin: loginOf(
        databaseRoleOf(tier.name),
        inUse(settings.credentials[tier.name] ?? firstGeneration),
      ),
      jobs: description.jobs.filter((job) => job.tier === tier.name),
    })),
    values: valuesOf(description, settings),
    givenSecrets: settings.applicationSecrets,
    generations: settings.credentials,
  });
}

type Value = string | number | boolean;

/** Called once the values that are given are known to fit. */
function valuesOf({ settings }: ApplicationDescription, { application }: Wishes) {
  return Object.fromEntries(
    Object.entries(settings).map(([name, { default: fallback }]) => [
      name,
      (application.settings[name] as Value | undefined) ?? fallback ?? "",
    ]),
  );
}
