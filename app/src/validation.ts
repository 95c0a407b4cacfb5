import type { z } from "zod";
import { HttpError } from "./errors.ts";

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
