import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import session from "express-session";
import { type Database, type Query, unknownPosition } from "../data/database.ts";
import {
  deleteSession,
  findSession,
  insertSession,
  type Login,
  noteUse,
  type SessionKind,
  type SessionRow,
  sessionDays,
} from "../domain/sessions.ts";
import { forgiveAttempt } from "../domain/throttle.ts";
import { clearCookie, cookieValue, nameOf, setCookie } from "./cookies.ts";
import { positionOf, rememberPosition } from "./position.ts";
import type { ServerConfig } from "./server-config.ts";

const maxAge = sessionDays * 24 * 60 * 60 * 1000;

/**
 * A standby is never this far behind, milliseconds. A session that is older and not there has
 * ended; a younger one may not have got there yet.
 */
const standbyMayLag = 10 * 60 * 1000;

declare module "express-session" {
  interface SessionData {
    /** Only while one is being started; never stored. */
    login: Login;
    /** Row of whom the session belongs to. */
    owner: { id: number; name: string; email?: string };
  }
}

interface Scene {
  database: Database;
  secrets: readonly string[];
  kind: SessionKind;
  request: Request;
  response: Response;
}

/** The id tells when it was made; it is signed in the cookie. */
function newId(): string {
  return `${Date.now().toString(36)}.${randomBytes(24).toString("base64url")}`;
}

function isYoung(id: string): boolean {
  return Date.now() - Number.parseInt(id, 36) < standbyMayLag;
}

/**
 * Sessions in the database, of one request: it knows how far its client has seen. There is no
 * `touch`: looking at a page writes nothing, but for an administrator's once a minute.
 */
class DatabaseStore extends session.Store {
  readonly #scene: Scene;
  /** Ids that are known to be in the table. */
  readonly #known = new Set<string>();

  constructor(scene: Scene) {
    super();
    this.#scene = scene;
  }

  get(id: string, done: (error: unknown, found?: session.SessionData | null) => void): void {
    this.#find(id).then((found) => done(undefined, found), done);
  }

  set(id: string, { login }: session.SessionData, done: (error?: unknown) => void): void {
    // The middleware saves once more at the end of a request that has saved.
    const stored = !login || this.#known.has(id) ? Promise.resolve() : this.#insert(id, login);
    stored.then(() => done(), done);
  }

  destroy(id: string, done: (error?: unknown) => void): void {
    const deleted = this.#known.delete(id) ? this.#delete(id) : Promise.resolve();
    deleted.then(() => done(), done);
  }

  async #find(id: string): Promise<session.SessionData | null> {
    const { request, kind, database } = this.#scene;
    // What the standby knows of its use may be late too
    const mayBeLate = isYoung(id) || kind.endsIdle;
    const row = await this.#look((query) => findSession(query, kind, id), mayBeLate);
    if (!row) return null;
    this.#known.add(id);
    const { expires_at: expires, note_use: isToNote, ...owner } = row;
    // Nobody waits for it, and the next request notes it where this one cannot
    if (isToNote) {
      database.write((query) => noteUse(query, id), { idempotent: true }).catch(() => {});
    }
    const cookie = { originalMaxAge: maxAge, expires, path: kind.cookie.path, httpOnly: true };
    return { cookie: { ...cookie, sameSite: "lax", secure: request.secure }, owner } as never;
  }

  async #look(find: (query: Query) => Promise<SessionRow | undefined>, mayBeLate: boolean) {
    const { database, secrets, request } = this.#scene;
    // The primary knows of every session that has ended: it must change nothing any more. As a
    // write, this waits for a new primary as long as the change itself would.
    if (!["GET", "HEAD"].includes(request.method)) {
      return (await database.write(find, { idempotent: true })).value;
    }
    const row = await database.read(find, positionOf(request, secrets));
    return row || !mayBeLate ? row : await database.read(find, unknownPosition);
  }

  async #insert(id: string, login: Login): Promise<void> {
    const { database, secrets, request, response, kind } = this.#scene;
    const { position } = await database.write(
      async (query) => {
        await insertSession(query, kind, id, login);
        await forgiveAttempt(query, login.subjects);
      },
      { idempotent: true },
    );
    this.#known.add(id);
    rememberPosition(request, response, secrets, position);
  }

  async #delete(id: string): Promise<void> {
    const { database, secrets, request, response, kind } = this.#scene;
    const { position } = await database.write((query) => deleteSession(query, kind, id), {
      idempotent: true,
    });
    rememberPosition(request, response, secrets, position);
  }
}

/** What sessions stand on. */
export interface SessionServices {
  config: Pick<ServerConfig, "cookieSecrets" | "sessionSecrets">;
  database: Database;
}

/** Finds the session of each request, if it has one. */
export function loadSession(
  { config, database }: SessionServices,
  kind: SessionKind,
): RequestHandler {
  const { cookieSecrets: secrets, sessionSecrets } = config;
  const options: session.SessionOptions = {
    // The first signs; the last ones did before each tier had its own
    secret: [...sessionSecrets, ...secrets],
    genid: newId,
    resave: false,
    saveUninitialized: false,
    cookie: { path: kind.cookie.path, maxAge, httpOnly: true, sameSite: "lax", secure: "auto" },
  };
  return (request, response, next) => {
    const store = new DatabaseStore({ database, secrets, kind, request, response });
    readFormerCookie(request, kind, secrets);
    const name = nameOf(request, kind.cookie);
    session({ ...options, name, store })(request, response, (error) => {
      if (!error) signAnew(request, response, kind, sessionSecrets);
      next(error);
    });
  };
}

/**
 * A secret that is being replaced will not be taken much longer: a session that it has signed goes on
 * under the signature of the first one.
 */
function signAnew(
  request: Request,
  response: Response,
  { cookie }: SessionKind,
  [first = "", ...others]: readonly string[],
): void {
  const value = cookieValue(request, cookie);
  const { owner, cookie: kept } = request.session ?? {};
  if (!owner || value === undefined || !isSigned(value, others)) return;
  const seconds = Math.ceil((kept?.maxAge ?? 0) / 1000);
  const id = request.sessionID;
  if (seconds > 0)
    setCookie(request, response, cookie, `s:${id}.${signatureOf(id, first)}`, seconds);
}

/**
 * By HTTPS, a session that the releases before began goes on under its plain name until it ends: it is
 * read as if it had the name of now. Others can plant a cookie under the plain name, so nothing else is
 * read there: the secret of those releases signs no session any more.
 */
function readFormerCookie(
  request: Request,
  { cookie }: SessionKind,
  secrets: readonly string[],
): void {
  const name = nameOf(request, cookie);
  const value = cookieValue(request, cookie);
  if (name === cookie.name || value === undefined || !isSigned(value, secrets)) return;
  request.headers.cookie = `${name}=${encodeURIComponent(value)}; ${request.headers.cookie}`;
}

const signatureOf = (id: string, secret: string): string =>
  createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");

/** Whether a session's cookie, `s:ID.SIGNATURE`, is signed with one of these secrets. */
function isSigned(value: string, secrets: readonly string[]): boolean {
  const [, id = "", signature = ""] = /^s:(.*)\.([^.]*)$/.exec(value) ?? [];
  const given = Buffer.from(signature);
  return secrets.some((secret) => {
    const own = Buffer.from(signatureOf(id, secret));
    return own.length === given.length && timingSafeEqual(own, given);
  });
}

/**
 * Starts a session under a new id: one that was planted in the browser before is useless.
 * @throws HttpError 401 where the password was changed at the same moment
 */
export async function startSession(request: Request, login: Login): Promise<void> {
  try {
    await promised((done) => request.session.regenerate(done));
    request.session.login = login;
    await promised((done) => request.session.save(done));
  } catch (error) {
    // Or the middleware would try once more at the end, and hand out a cookie that opens nothing.
    await promised((done) => request.session.destroy(done));
    throw error;
  }
}

/** Ends the session of a request, if it has one. */
export async function endSession(
  request: Request,
  response: Response,
  kind: SessionKind,
): Promise<void> {
  await promised((done) => request.session.destroy(done));
  clearSessionCookie(request, response, kind);
}

/** Lets the browser forget a session that has ended already. */
export function clearSessionCookie(request: Request, response: Response, kind: SessionKind): void {
  clearCookie(request, response, kind.cookie);
}

function promised(work: (done: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    work((error) => (error ? reject(error) : resolve()));
  });
}
