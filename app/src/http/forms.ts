import type { Request, RequestHandler, Response } from "express";
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
      if (error.retryAfterSeconds) response.set("Retry-After", String(error.retryAfterSeconds));
      response.status(error.status);
      await show(request, response, { ...notesOf(error), typed: typedIn(request.body) });
    }
  };
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
