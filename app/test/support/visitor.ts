import { createHash, createHmac, randomBytes } from "node:crypto";
import { sessionSecrets } from "./app.ts";
import type { Postgres } from "./postgres.ts";

/** Someone with an own set of cookies, as a browser keeps them. */
export class Client {
  readonly url: string;
  readonly cookies = new Map<string, string>();
  readonly #origin: string;
  readonly #added: Readonly<Record<string, string>>;

  /**
   * @param origin what a browser would call the site. @default the one of `url`
   * @param added what a proxy in between adds to each request. @default nothing
   */
  constructor(
    url: string,
    origin = new URL(url).origin,
    added: Readonly<Record<string, string>> = {},
  ) {
    this.url = url;
    this.#origin = origin;
    this.#added = added;
  }

  /** The same cookies at another instance. */
  at(url: string): Client {
    const other = new Client(url);
    for (const [name, value] of this.cookies) other.cookies.set(name, value);
    return other;
  }

  /** `Cookie` and `Origin`, for a request of one's own making. */
  get headers(): Record<string, string> {
    const pairs = [...this.cookies].map(([name, value]) => `${name}=${value}`);
    return {
      ...this.#added,
      Origin: this.#origin,
      ...(pairs.length > 0 && { Cookie: pairs.join("; ") }),
    };
  }

  /** Sends a request, and keeps the cookies of the answer. Redirects are not followed. */
  async send(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...this.headers, ...(init.headers as Record<string, string> | undefined) };
    const answer = await fetch(this.url + path, { redirect: "manual", ...init, headers });
    for (const line of answer.headers.getSetCookie()) this.#keep(line);
    return answer;
  }

  /** Sends JSON. */
  json(method: string, path: string, body?: unknown): Promise<Response> {
    const content = body === undefined ? undefined : JSON.stringify(body);
    const headers = { "Content-Type": "application/json" };
    return content === undefined
      ? this.send(path, { method })
      : this.send(path, { method, headers, body: content });
  }

  /** Sends a form as a page's. */
  form(path: string, fields: Record<string, string>): Promise<Response> {
    const headers = { Accept: "text/html" };
    return this.send(path, { method: "POST", body: new URLSearchParams(fields), headers });
  }

  /** Asks for a page. */
  async page(path: string): Promise<{ status: number; text: string; answer: Response }> {
    const answer = await this.send(path, { headers: { Accept: "text/html" } });
    return { status: answer.status, text: await answer.text(), answer };
  }

  #keep(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === "" || /expires=Thu, 01 Jan 1970/i.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}

/** The password of everybody that `register` makes. */
export const password = "a long enough one";

let visitors = 0;

/** Registers somebody new and stays logged in as them. Hashes a password: some tenths of a second. */
export async function register(
  url: string,
): Promise<{ client: Client; id: number; email: string }> {
  visitors += 1;
  const email = `visitor-${process.pid}-${visitors}@example.com`;
  const client = new Client(url);
  const answer = await client.json("POST", "/api/account", { name: "Ada", email, password });
  if (answer.status !== 201) throw new Error(`cannot register: ${await answer.text()}`);
  const { id } = (await answer.json()) as { id: number };
  return { client, id, email };
}

/** Logs somebody new in without a password, by writing the rows: for tests that need many. */
export async function visitor(
  postgres: Postgres,
  database: string,
  url: string,
  secret = sessionSecrets.storefront,
): Promise<{ client: Client; id: number; email: string }> {
  visitors += 1;
  const email = `visitor-${process.pid}-${visitors}@example.com`;
  const id = `${Date.now().toString(36)}.${randomBytes(24).toString("base64url")}`;
  const hash = createHash("sha256").update(id).digest("hex");
  const [row] = await postgres.sql<{ id: number }>(
    `WITH made AS (
       INSERT INTO account (email, name, password_hash) VALUES ('${email}', 'Ada', '-') RETURNING id
     ), opened AS (
       INSERT INTO session SELECT '\\x${hash}', id, now() + interval '1 day' FROM made
     ) SELECT id FROM made`,
    database,
  );
  const client = new Client(url);
  const signature = createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");
  client.cookies.set("hastack-session", encodeURIComponent(`s:${id}.${signature}`));
  return { client, id: row?.id ?? 0, email };
}
