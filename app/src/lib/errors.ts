/** An answer other than success that the client is meant to see. */
export class HttpError extends Error {
  readonly status: number;
  /** A stable word for programs, in kebab case. */
  readonly code: string;
  /** Sent as `Retry-After`; absent where trying again would not help. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Something that every instance depends on is out of reach; nothing was changed. */
export class Unavailable extends HttpError {
  constructor(message: string, retryAfterSeconds = 2) {
    super(503, "unavailable", message, retryAfterSeconds);
  }
}

/** The database's disk is full, or does not work; nothing was changed. */
export class DatabaseFull extends HttpError {
  /** @param cause what the database said, for the log */
  constructor(cause: unknown) {
    const help = "There is no room to save changes at the moment. Nothing was changed.";
    super(503, "database-full", help, 30);
    this.cause = cause;
  }
}

/** The commit was sent and never answered: the change may or may not have been made. */
export class OutcomeUnknown extends HttpError {
  /** @param cause why it was not tried again, for the log */
  constructor(cause?: unknown) {
    super(
      500,
      "outcome-unknown",
      "The connection to the database was lost while your change was being saved. It may or may not have been made: look before you try again, or send an Idempotency-Key so that a repeat is safe.",
    );
    if (cause !== undefined) this.cause = cause;
  }
}

/** Somebody must log in first. A page is sent to the login instead, and comes back after it. */
export class LoginNeeded extends HttpError {
  readonly loginPage: string;

  constructor(loginPage = "/login") {
    super(401, "login-needed", "Log in first.");
    this.loginPage = loginPage;
  }
}
