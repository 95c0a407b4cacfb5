/** Reads values by a zod schema, and tells every problem in the same words for every file. */
import type { z } from "zod";
import type { Problem } from "./rules/problem.ts";
import { didYouMean } from "./rules/spelling.ts";

/** Where values come from. */
export interface Source {
  /** How problems call the file. @default the configuration of the stack */
  readonly name?: string;
  /** The file that says which values there are. */
  readonly documentedIn: string;
  /** Whether a value must not be shown. @default none is secret */
  readonly isSecret?: (path: readonly string[]) => boolean;
  /** Where a key has gone that was there in an earlier release. @default none has */
  readonly movedTo?: (path: string) => string | undefined;
}

/** The values, or all that is wrong with them. */
export type Parsed<T> =
  | { readonly data: T; readonly problems: readonly [] }
  | { readonly data?: undefined; readonly problems: readonly Problem[] };

/**
 * Checks values, and fills in defaults. Messages of a schema begin with `must`, or are a problem
 * and its fix with a comma between.
 */
export function parseValues<S extends z.ZodType>(
  schema: S,
  values: unknown,
  source: Source,
): Parsed<z.output<S>> {
  const parsed = schema.safeParse(values, { error: expectation });
  if (parsed.success) return { data: parsed.data, problems: [] };
  return {
    problems: parsed.error.issues.flatMap((issue) => describe(issue, schema, values, source)),
  };
}

function describe(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  values: unknown,
  source: Source,
): Problem[] {
  const path = issue.path.map(String);
  const about = (names: readonly string[]) => ({
    ...(source.name !== undefined && { source: source.name }),
    path: readablePath(names, values),
  });
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => {
      const moved = source.movedTo?.([...path, key].join("."));
      const otherwise = moved === undefined ? `see ${source.documentedIn}` : `use hastack:${moved}`;
      const fix = didYouMean(key, known, otherwise);
      const why = source.name === undefined ? "is not a setting" : "is not a key of this file";
      return { ...about([...path, key]), why, fix };
    });
  }
  const messages =
    issue.code === "invalid_key" ? issue.issues.map(({ message }) => message) : [issue.message];
  const value = issue.code === "invalid_key" ? undefined : valueAt(values, path);
  const text = JSON.stringify(value) ?? "";
  // A whole list of tiers would hide what is said about it
  const shown = text !== "" && text.length <= longestShown && !source.isSecret?.(path);
  return messages.map((message) => ({
    ...about(path),
    ...(shown && { value: text }),
    ...whyAndFix(message, value === undefined && issue.code !== "invalid_key", source),
  }));
}

const longestShown = 100;

/** A schema's message as problem and fix. */
function whyAndFix(message: string, missing: boolean, { documentedIn }: Source) {
  if (message.startsWith("must ")) {
    return { why: missing ? "is missing" : "is not valid", fix: `it ${message}` };
  }
  const [, why = message, fix = `see ${documentedIn}`] = /^(.*?)[,;] (.*)$/.exec(message) ?? [];
  return { why, fix };
}

/** What a value must be, where the schema itself does not say it. */
const expectation: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case "too_small":
      return `must ${bound(issue.origin, issue.minimum, issue.inclusive === false ? "above" : "or more")}`;
    case "too_big":
      return `must ${bound(issue.origin, issue.maximum, issue.inclusive === false ? "below" : "or less")}`;
    case "invalid_value":
      return `must be ${issue.values
        .map(String)
        .join(", ")
        .replace(/, ([^,]*)$/, " or $1")}`;
    default:
      return undefined;
  }
};

const typeNames: Readonly<Record<string, string>> = {
  string: "a text",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "a map of names and values",
  record: "a map of names and values",
};

function bound(origin: string, limit: number | bigint, word: string): string {
  if (origin === "string" && limit === 1) return "not be empty";
  const unit = origin === "string" ? " characters long" : "";
  const verb = origin === "array" ? "have" : "be";
  const entries = origin === "array" ? " entries" : unit;
  return word === "above" || word === "below"
    ? `${verb} ${word} ${limit}${entries}`
    : `${verb} ${limit} ${word}${entries}`;
}

function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key],
    values,
  );
}

/** A path as people read it: things in a list go by their name, where they have one. */
function readablePath(path: readonly string[], values: unknown): string {
  return path
    .map((key, index) => {
      const name = valueAt(values, [...path.slice(0, index + 1), "name"]);
      return /^\d+$/.test(key) && typeof name === "string" ? name : key;
    })
    .join(".");
}

/** The keys that a schema knows at a path. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  let inner: Definition | undefined = definitionOf(schema);
  for (const key of path) {
    const next: unknown = inner?.shape?.[key] ?? inner?.element ?? inner?.valueType;
    inner = next === undefined ? undefined : definitionOf(next);
  }
  return Object.keys(inner?.shape ?? {});
}

interface Definition {
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly element?: unknown;
  readonly valueType?: unknown;
  readonly innerType?: unknown;
}

/** What a schema is made of, without `optional` and defaults around it. */
function definitionOf(schema: unknown): Definition {
  const { def } = schema as { readonly def: Definition };
  return def.innerType === undefined ? def : definitionOf(def.innerType);
}
