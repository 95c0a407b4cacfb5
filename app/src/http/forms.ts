import { randomUUID } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import { type Database, unknownPosition } from "../data/database.ts";
import { type IdempotencyKey, isKnown, parseKey } from "../data/idempotency.ts";
import { Invalid } from "../domain/validation.ts";
import { HttpError, LoginNeeded } from "../lib/errors.ts";

/** What a form that was refused says when it is shown again. */
export interface FormNotes {
  /** What is wrong, where no field is to blame. */
  problem?: string;
  /** What is wrong with each field. */
  errors?: Readonly<Record<string, string>>;
  /** What was typed, passwords excepted. */
  typed?: Readonly<Record<string, string>>;
}

/** Shows the page that the form is on. */
export type ShowForm = (
  request: Request,
  response: Response,
  notes: FormNotes,
) => Promise<void> | void;

/** Errors that one field is to blame for, by their code. */
const fieldOf: Readonly<Record<string, string>> = { "email-taken": "email" };

/** Answers a form post; where it is refused, its page is shown again with what was typed. */
export function formPost(
  show: ShowForm,
  work: (request: Request, response: Response) => Promise<void>,
): RequestHandler {
  return async (request, response) => {
    try {
      await work(request, response);
    } catch (error) {
      if (!(error instanceof HttpError) || error instanceof LoginNeeded) throw error;
      sayRefusal(response, error);
      await show(request, response, { ...notesOf(error), typed: typedIn(request.body) });
    }
  };
}

/** Sets what a refusal says besides its page: the status, and when to try again. */
export function sayRefusal(response: Response, error: HttpError): void {
  if (error.retryAfterSeconds) response.set("Retry-After", String(error.retryAfterSeconds));
  response.status(error.status);
}

/**
 * The key of a change, so that it is made once however often it is sent: the request's header, or
 * the hidden field of a form.
 * @param fields of the form. @default there is none
 * @throws HttpError 422 where it is not valid
 */
export function keyOf(request: Request, fields: unknown = {}): string | undefined {
  return parseKey(request.get("Idempotency-Key") ?? sentKey(fields));
}

/** Whether a form repeats an earlier one, by the key that it, or its request, has. */
export function repeats(
  database: Database,
  request: Request,
  keys: Omit<IdempotencyKey, "key" | "requestHash">,
): (fields: Record<string, string>) => Promise<boolean> {
  return async (fields) => {
    const key = keyOf(request, fields);
    if (key === undefined) return false;
    // Of the primary: a standby may not have heard of the first one yet
    return await database.read((query) => isKnown(query, { ...keys, key }), unknownPosition);
  };
}

/**
 * The key for a form that is about to be shown. After trouble of ours (5xx) the change may have been
 * made: the form keeps its key, and sending it again repeats the first try. Any other copy of the
 * form is a change of its own.
 * @param error why the form is shown again. @default it is a new form
 * @param fields what was sent then
 */
export function formKey(error?: HttpError, fields?: unknown): string {
  return (error && error.status >= 500 && sentKey(fields)) || randomUUID();
}

function sentKey(fields: unknown): string | undefined {
  const { idempotencyKey } = Object(fields);
  return typeof idempotencyKey === "string" ? idempotencyKey : undefined;
}

function notesOf(error: HttpError): FormNotes {
  if (error instanceof Invalid) return { errors: error.fields };
  const field = fieldOf[error.code];
  return field ? { errors: { [field]: error.message } } : { problem: error.message };
}

function typedIn(body: unknown): Record<string, string> {
  const entries = Object.entries(body ?? {}).filter(
    ([name, value]) => typeof value === "string" && !/password|token/i.test(name),
  );
  return Object.fromEntries(entries);
}
