import { z } from "zod";
import { HttpError } from "../lib/errors.ts";
import { wholeFrom } from "./numbers.ts";

/** Input that a schema refuses: 422, with a message for each field. */
export class Invalid extends HttpError {
  /** First message of each field, by its name; the whole is `form`. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(fields: Readonly<Record<string, string>>) {
    const [field = "form", message = "The form is not valid."] = Object.entries(fields)[0] ?? [];
    super(422, `${kebab(field)}-invalid`, message);
    this.fields = fields;
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Checks what a client sent, the same for a form and for JSON. @throws Invalid */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields: Record<string, string> = {};
  for (const { path, message } of result.error.issues) {
    fields[String(path[0] ?? "form")] ??= message;
  }
  throw new Invalid(fields);
}

/** Checks what the database gave, so that nothing but the documented shape goes out. */
export function readBack<T extends { id: number }>(
  schema: z.ZodType<T>,
  what: string,
  value: T,
): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new Error(`${what} ${value.id} in the database is not valid: ${problems.join("; ")}`);
}

/** Ids are positive and fit PostgreSQL's integer. A query writes them as text. */
export const idSchema = z.preprocess(wholeFrom, z.int().min(1).max(2_147_483_647));

/** The id in a path. @throws HttpError 404 for what can be no id */
export function parseId(value: string, what: string): number {
  if (/^\d{1,10}$/.test(value)) {
    const { success, data } = idSchema.safeParse(value);
    if (success) return data;
  }
  throw new HttpError(404, "not-found", `There is no such ${what}.`);
}

/** A form's fields without the empty ones: what was left blank counts as not sent. */
export function withoutBlanks(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => typeof value !== "string" || value.trim() !== ""),
  );
}
