/** The application that a stack serves: what its description says, with what the stack sets. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseDocument } from "yaml";
import { root } from "../../lib/paths.ts";
import { deepFreeze, describeIssues, type Settings, SettingsError } from "../settings.ts";
import {
  type ApplicationDescription,
  descriptionSchema,
  type TierDescription,
  valueProblem,
} from "./description.ts";
import { databaseRoleOf } from "./names.ts";

/** What a stack may set of the application. */
type Wishes = Pick<Settings, "application" | "applicationSecrets" | "tiers" | "stack">;

/** A tier as it runs in this stack. */
export interface Tier extends TierDescription {
  /** Its database role. */
  readonly databaseRole: string;
}

export interface Application extends Omit<ApplicationDescription, "tiers"> {
  /** Its folder, as the setting gives it: relative to the project, or absolute. */
  readonly path: string;
  readonly tiers: readonly Tier[];
  /** Its own settings: what the stack gives, else the default. */
  readonly values: Readonly<Record<string, string | number | boolean>>;
  /** Its own secrets that the operator gives. */
  readonly givenSecrets: Readonly<Record<string, string>>;
}

/** Name of the description in the application's folder. */
export const descriptionFile = "hastack.yaml";

/** Absolute path of an application's folder. */
export function applicationFolder(path: string): string {
  return resolve(root, path);
}

/**
 * Reads an application's description.
 * @param path its folder, relative to the project or absolute
 * @throws SettingsError with every problem as file, key, problem, value
 */
export function readDescription(path: string): ApplicationDescription {
  const file = `${path}/${descriptionFile}`;
  const full = resolve(applicationFolder(path), descriptionFile);
  if (!existsSync(full)) {
    throw new SettingsError([
      `hastack:application.path: ${path} has no ${descriptionFile}, name the folder of an application`,
    ]);
  }
  return parseDescription(readFileSync(full, "utf8"), file);
}

/**
 * @param text of the description
 * @param file how errors name it
 * @throws SettingsError with every problem
 */
export function parseDescription(text: string, file: string): ApplicationDescription {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new SettingsError([`${file}: ${error.message.split(/:?\n/)[0]}`]);
  const values: unknown = document.toJS() ?? {};
  const parsed = descriptionSchema.safeParse(values);
  if (parsed.success) return parsed.data;
  const source = { prefix: `${file}: `, definedIn: "docs/hastack-yaml.md" };
  throw new SettingsError(describeIssues(parsed.error, values, source));
}

/**
 * The application of a stack.
 * @throws SettingsError with everything that is wrong in its description, or that the stack sets of it
 */
export function readApplication(settings: Wishes): Application {
  const { path } = settings.application;
  return applicationOf(readDescription(path), settings);
}

/** @throws SettingsError with everything that the stack sets wrong of the application */
export function applicationOf(description: ApplicationDescription, settings: Wishes): Application {
  const problems = [
    ...valueProblems(description, settings),
    ...secretProblems(description, settings),
    ...tierProblems(description, settings),
  ];
  if (problems.length > 0) throw new SettingsError(problems);
  return deepFreeze({
    ...description,
    path: settings.application.path,
    tiers: description.tiers.map((tier) => ({
      ...tier,
      ...settings.tiers[tier.name],
      databaseRole: databaseRoleOf(tier.name),
    })),
    values: valuesOf(description, settings),
    givenSecrets: settings.applicationSecrets,
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

function valueProblems(
  { name: application, settings }: ApplicationDescription,
  wishes: Wishes,
): string[] {
  const given = wishes.application.settings;
  const known = Object.keys(settings).join(", ") || "none";
  const strangers = Object.keys(given)
    .filter((name) => settings[name] === undefined)
    .map(
      (name) =>
        `hastack:application.settings.${name}: is no setting of ${application}, use one of its own (${known})`,
    );
  const wrong = Object.entries(settings).flatMap(([name, definition]) => {
    const path = `hastack:application.settings.${name}`;
    const value = given[name];
    if (value === undefined) {
      const hint = `${application} needs it: ${definition.description}`;
      return definition.default === undefined ? [`${path}: is missing, ${hint}`] : [];
    }
    const why = valueProblem(definition, value);
    return why === undefined ? [] : [`${path}: ${JSON.stringify(value)} ${why}`];
  });
  return [...strangers, ...wrong];
}

function secretProblems({ name: application, secrets }: ApplicationDescription, wishes: Wishes) {
  const { applicationSecrets: given, stack } = wishes;
  const expected = Object.entries(secrets).filter(([, { generated }]) => !generated);
  const strangers = Object.keys(given)
    .filter((name) => !expected.some(([one]) => one === name))
    .map((name) => {
      const why = secrets[name] ? "is generated by the stack" : `is no secret of ${application}`;
      return `hastack:applicationSecrets.${name}: ${why}, leave it out`;
    });
  const missing = expected
    .filter(([name, { optional }]) => !optional && given[name] === undefined)
    .map(
      ([name]) =>
        `hastack:applicationSecrets.${name}: is missing, give it by npx pulumi config set --stack ${stack} --path --secret 'hastack:applicationSecrets.${name}'`,
    );
  return [...strangers, ...missing];
}

function tierProblems({ tiers }: ApplicationDescription, wishes: Wishes): string[] {
  const names = tiers.map(({ name }) => name);
  const strangers = Object.keys(wishes.tiers)
    .filter((name) => !names.includes(name))
    .map((name) => `hastack:tiers.${name}: is no tier, use one of ${names.join(", ")}`);
  const grace = tiers.flatMap((tier) => {
    const { drainSeconds, stopGraceSeconds } = { ...tier, ...wishes.tiers[tier.name] };
    return drainSeconds < stopGraceSeconds
      ? []
      : [
          `hastack:tiers.${tier.name}.drainSeconds: ${drainSeconds} leaves requests no time before stopGraceSeconds (${stopGraceSeconds}) is over, use less`,
        ];
  });
  return [...strangers, ...grace];
}
