/** A visitor of the site: has an account, keeps cookies, and books. */
import { randomUUID } from "node:crypto";
import { type Answer, type Door, request } from "./traffic.ts";

/** Longer than the site tries to get a write through. */
const writeLimitMilliseconds = 40_000;

/** Who has an account. */
export interface Account {
  readonly email: string;
  readonly password: string;
}

/** A booking, as the site acknowledged it. */
export interface Booked {
  readonly id: number;
  readonly quantity: number;
}

/** An answer that was not the one hoped for. */
export class Refused extends Error {
  readonly status: number;
  /** The API's word for it, such as `sold-out`. */
  readonly code: string;

  constructor({ status, body }: Answer) {
    super(`${status} ${body.slice(0, 200)}`);
    this.status = status;
    this.code = /^\{"error":"([\w-]+)"/.exec(body)?.[1] ?? "";
  }
}

export class Visitor {
  readonly account: Account;
  readonly #door: Door;
  readonly #cookies = new Map<string, string>();

  /** @param door where the visitor comes in */
  constructor(door: Door, account?: Account) {
    this.#door = door;
    this.account = account ?? {
      email: `visitor-${randomUUID()}@example.org`,
      password: `password of ${randomUUID()}`,
    };
  }

  /** What the visitor's browser sends along, for clients of another kind. */
  get headers(): Readonly<Record<string, string>> {
    const Cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    return { Origin: new URL(this.#door.url).origin, Cookie };
  }

  /** Makes the account, and is logged in. */
  register(): Promise<unknown> {
    return this.#json("POST", "api/account", { name: "Vera", ...this.account });
  }

  logIn(): Promise<unknown> {
    return this.#json("POST", "api/session", this.account);
  }

  /** Asks for a link by mail that sets a new password. */
  askForLink(): Promise<unknown> {
    return this.#json("POST", "api/password-reset", { email: this.account.email });
  }

  /** Sets the account's password by such a link's token. */
  resetPassword(token: string): Promise<unknown> {
    return this.#json("PUT", "api/password-reset", { token, password: this.account.password });
  }

  /** @throws Refused unless the site knows who this is */
  async whoAmI(): Promise<{ email: string; servedBy: string }> {
    const answer = await this.send("GET", "api/account");
    if (answer.status !== 200) throw new Refused(answer);
    return { email: JSON.parse(answer.body).email, servedBy: answer.servedBy };
  }

  /** @param key repeats a booking whose answer was lost */
  book(offerId: number, quantity: number, key: string): Promise<Booked> {
    const headers = { "Idempotency-Key": key };
    return this.#json("POST", "api/bookings", { offerId, quantity }, headers) as Promise<Booked>;
  }

  cancel({ id }: Booked): Promise<unknown> {
    return this.#json("DELETE", `api/bookings/${id}`);
  }

  /** All bookings, cancelled ones too. */
  async bookings(): Promise<(Booked & { readonly status: string })[]> {
    const found: (Booked & { status: string })[] = [];
    let next: string | null = "api/bookings?limit=100";
    while (next !== null) {
      const answer: Answer = await this.send("GET", next.replace(/^\//, ""));
      if (answer.status !== 200) throw new Refused(answer);
      const page: { items: typeof found; next: string | null } = JSON.parse(answer.body);
      found.push(...page.items);
      next = page.next;
    }
    return found;
  }

  /** Sends a request as a browser on one of the site's own pages would. */
  async send(
    method: string,
    path: string,
    body?: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const { url, ca } = this.#door;
    const answer = await request(url + path, {
      // A connection that was kept may be closed by the site just when it is used again
      agent: false,
      method,
      ca,
      headers: {
        Origin: new URL(url).origin,
        ...(cookies && { Cookie: cookies }),
        ...(body !== undefined && { "Content-Length": String(Buffer.byteLength(body)) }),
        ...headers,
      },
      ...(body !== undefined && { body }),
      ...(method !== "GET" && { limitMilliseconds: writeLimitMilliseconds }),
    });
    for (const line of answer.headers["set-cookie"] ?? []) this.#keep(line);
    return answer;
  }

  async #json(
    method: string,
    path: string,
    value?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    const content = { "Content-Type": "application/json", ...headers };
    const answer = await this.send(
      method,
      path,
      value === undefined ? undefined : JSON.stringify(value),
      content,
    );
    if (answer.status < 200 || answer.status > 299) throw new Refused(answer);
    return answer.body && JSON.parse(answer.body);
  }

  #keep(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === "") this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }
}
