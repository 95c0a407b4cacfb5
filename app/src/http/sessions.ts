import { createHash, randomBytes } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import session from "express-session";
import { type Database, type Query, unknownPosition } from "../data/database.ts";
import { forgiveAttempt, type Subject } from "../domain/throttle.ts";
import { HttpError } from "../lib/errors.ts";
import type { ServerConfig } from "../run/config.ts";
import { positionOf, rememberPosition } from "./position.ts";

/** How long somebody stays logged in, days; looking at pages does not lengthen it. */
export const sessionDays = 14;
/** Sessions that somebody has at once; a further login ends the oldest. */
export const mostSessions = 20;
const maxAge = sessionDays * 24 * 60 * 60 * 1000;

/**
 * A standby is never this far behind, milliseconds. A session that is older and not there has
 * ended; a younger one may not have got there yet.
 */
const standbyMayLag = 10 * 60 * 1000;

/** Where the sessions of one tier are kept. */
export interface SessionKind {
  /** Both tiers answer at one address: their cookies must not meet. */
  cookie: string;
  path: string;
  table: "session" | "administrator_session";
  ownerColumn: "account_id" | "administrator_id";
  owners: "account" | "administrator";
  /** What is known of the owner. */
  columns: string;
}

export const visitorSession: SessionKind = {
  ...{ cookie: "hastack-session", path: "/" },
  ...{ table: "session", ownerColumn: "account_id" },
  ...{ owners: "account", columns: "o.id, o.name, o.email" },
};

export const administratorSession: SessionKind = {
  ...{ cookie: "hastack-admin", path: "/admin" },
  ...{ table: "administrator_session", ownerColumn: "administrator_id" },
  ...{ owners: "administrator", columns: "o.id, o.name" },
};

/** Somebody who has just proved who they are. */
export interface Login {
  ownerId: number;
  /** The hash that was verified; when it has changed meanwhile, the login has failed after all. */
  passwordHash: string;
  /** What the attempt was counted for. */
  subjects: readonly Subject[];
}

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
  secret: string;
  kind: SessionKind;
  request: Request;
  response: Response;
}

/** Tables hold this instead of the id, so that a copy of them opens no session. */
function digest(id: string): Buffer {
  return createHash("sha256").update(id).digest();
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
 * `touch`: looking at a page writes nothing.
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
    const { request, kind } = this.#scene;
    const row = await this.#look((query) => findSession(query, kind, id), isYoung(id));
    if (!row) return null;
    this.#known.add(id);
    const { expires_at: expires, ...owner } = row;
    const cookie = { originalMaxAge: maxAge, expires, path: kind.path, httpOnly: true };
    return { cookie: { ...cookie, sameSite: "lax", secure: request.secure }, owner } as never;
  }

  async #look(find: (query: Query) => Promise<Row | undefined>, isYoung: boolean) {
    const { database, secret, request } = this.#scene;
    // The primary knows of every session that has ended: it must change nothing any more. As a
    // write, this waits for a new primary as long as the change itself would.
    if (!["GET", "HEAD"].includes(request.method)) {
      return (await database.write(find, { idempotent: true })).value;
    }
    const row = await database.read(find, positionOf(request, secret));
    return row || !isYoung ? row : await database.read(find, unknownPosition);
  }

  async #insert(id: string, login: Login): Promise<void> {
    const { database, secret, request, response, kind } = this.#scene;
    const { position } = await database.write(
      async (query) => {
        await insertSession(query, kind, id, login);
        await forgiveAttempt(query, login.subjects);
      },
      { idempotent: true },
    );
    this.#known.add(id);
    rememberPosition(request, response, secret, position);
  }

  async #delete(id: string): Promise<void> {
    const { database, secret, request, response, kind } = this.#scene;
    const { position } = await database.write(
      (query) => query(`DELETE FROM ${kind.table} WHERE id_hash = $1`, [digest(id)]),
      { idempotent: true },
    );
    rememberPosition(request, response, secret, position);
  }
}

interface Row {
  id: number;
  name: string;
  email?: string;
  expires_at: Date;
}

async function findSession(query: Query, kind: SessionKind, id: string): Promise<Row | undefined> {
  const [row] = await query<Row>(
    `SELECT ${kind.columns}, s.expires_at
     FROM ${kind.table} s JOIN ${kind.owners} o ON o.id = s.${kind.ownerColumn}
     WHERE s.id_hash = $1 AND s.expires_at > now()`,
    [digest(id)],
  );
  return row;
}

async function insertSession(
  query: Query,
  kind: SessionKind,
  id: string,
  { ownerId, passwordHash }: Login,
): Promise<void> {
  // The lock makes a change of the password, which ends all sessions, come before or after this.
  const [still] = await query(
    `SELECT FROM ${kind.owners} WHERE id = $1 AND password_hash = $2 FOR SHARE`,
    [ownerId, passwordHash],
  );
  if (!still) throw new HttpError(401, "login-failed", "The password was changed just now.");
  await query(
    `INSERT INTO ${kind.table} (id_hash, ${kind.ownerColumn}, expires_at)
     VALUES ($1, $2, now() + make_interval(days => $3)) ON CONFLICT DO NOTHING`,
    [digest(id), ownerId, sessionDays],
  );
  await query(
    `DELETE FROM ${kind.table} WHERE id_hash IN (
       SELECT id_hash FROM ${kind.table} WHERE ${kind.ownerColumn} = $1
       ORDER BY id_hash = $2 DESC, expires_at DESC OFFSET $3)`,
    [ownerId, digest(id), mostSessions],
  );
}

/** Ends all sessions of somebody, inside the transaction that changes the password. */
export async function endSessions(
  query: Query,
  kind: SessionKind,
  ownerId: number,
  exceptId = "",
): Promise<void> {
  await query(`DELETE FROM ${kind.table} WHERE ${kind.ownerColumn} = $1 AND id_hash <> $2`, [
    ownerId,
    digest(exceptId),
  ]);
}

/** What sessions stand on. */
export interface SessionServices {
  config: Pick<ServerConfig, "cookieSecret">;
  database: Database;
}

/** Finds the session of each request, if it has one. */
export function loadSession(
  { config, database }: SessionServices,
  kind: SessionKind,
): RequestHandler {
  const { cookieSecret: secret } = config;
  const options: session.SessionOptions = {
    name: kind.cookie,
    secret,
    genid: newId,
    resave: false,
    saveUninitialized: false,
    cookie: { path: kind.path, maxAge, httpOnly: true, sameSite: "lax", secure: "auto" },
  };
  return (request, response, next) => {
    const store = new DatabaseStore({ database, secret, kind, request, response });
    session({ ...options, store })(request, response, next);
  };
}

/**
 * Starts a session under a new id: one that somebody planted in the browser before gets nowhere.
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
  clearSessionCookie(response, kind);
}

/** Lets the browser forget a session that has ended already. */
export function clearSessionCookie(response: Response, kind: SessionKind): void {
  response.clearCookie(kind.cookie, { path: kind.path });
}

function promised(work: (done: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    work((error) => (error ? reject(error) : resolve()));
  });
}
