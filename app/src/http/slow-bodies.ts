import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";
import { bodyGivenUp } from "../lib/body-given-up.ts";
import { HttpError } from "../lib/errors.ts";

/** How slow a client may send. */
export interface BodyLimits {
  /** The least that must have come on average, bytes. */
  bodyBytesPerSecond: number;
  /** From the start, during which nothing need come. */
  bodyGraceSeconds: number;
}

/** 5 MB may take 18 minutes: a telephone far from its mast gets its picture through. */
export const bodyLimits: BodyLimits = { bodyBytesPerSecond: 5000, bodyGraceSeconds: 5 };

/** How long a client whose request was given up has for reading why, milliseconds. */
const lingerMs = 1500;

/**
 * Watches the bodies that are still arriving. One that comes too slowly is given up with an answer
 * that says so, instead of a connection that ends; one that comes steadily may take its time.
 */
export class SlowBodies {
  readonly #limits: BodyLimits;
  readonly #arriving = new Set<(error: HttpError) => void>();

  constructor(limits: Partial<BodyLimits> = {}) {
    this.#limits = { ...bodyLimits, ...limits };
  }

  /** @param answer tells the client, where nothing that reads the body does so itself */
  watch(answer: ErrorRequestHandler): RequestHandler {
    return (request, response, next) => {
      if (hasBody(request)) this.#watch(request, response, answer);
      next();
    };
  }

  /** Gives up those that are waited for, with an answer, before the process ends under them. */
  giveUp(): void {
    const help = "This server is being restarted. Nothing was changed: send it again.";
    for (const end of this.#arriving) end(new HttpError(503, "restarting", help, 1));
  }

  #watch(request: Request, response: Response, answer: ErrorRequestHandler): void {
    const { bodyBytesPerSecond, bodyGraceSeconds } = this.#limits;
    const { socket } = request;
    const bytesBefore = socket.bytesRead;
    const tickMs = Math.min(500, bodyGraceSeconds * 100);
    let seconds = 0;
    const timer = setInterval(() => {
      // What has come and is not read yet is no fault of the client's.
      if (!isWaitedFor(request) || request.readableLength > 0) return;
      seconds += tickMs / 1000;
      const least = bodyBytesPerSecond * (seconds - bodyGraceSeconds);
      if (socket.bytesRead - bytesBefore < least) giveUp(tooSlow(seconds));
    }, tickMs);
    timer.unref();
    const giveUp = (error: HttpError) => {
      stop();
      closeSoon(request, response);
      // A form that is being received says it on its own page, with what was typed.
      if (request.emit(bodyGivenUp, error)) return;
      answer(error, request, response, () => {});
    };
    const restart = (error: HttpError) => {
      if (isWaitedFor(request)) giveUp(error);
    };
    const stop = () => {
      clearInterval(timer);
      this.#arriving.delete(restart);
    };
    this.#arriving.add(restart);
    request.once("end", stop).once("close", stop);
  }
}

function hasBody({ headers }: Request): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/**
 * Whether the request's work waits for the client. It does not where all has come, nor where nobody
 * reads the body (yet): then the work may be done already, and "nothing was changed" would be wrong.
 */
function isWaitedFor({ complete, readableFlowing }: Request): boolean {
  return !complete && readableFlowing !== null;
}

/** The rest of the request is not waited for; but what is closed at once loses its answer. */
function closeSoon(request: Request, response: Response): void {
  const close = () => {
    if (!request.complete) request.socket.destroy();
  };
  const linger = () => setTimeout(close, lingerMs).unref();
  if (response.writableFinished) linger();
  else response.once("finish", linger);
}

function tooSlow(seconds: number): HttpError {
  const time = `${Math.round(seconds)} seconds`;
  const help = `Your request arrived too slowly and was ended after ${time}. Nothing was changed: try again with a smaller picture or over a better connection.`;
  return new HttpError(408, "upload-too-slow", help);
}
