import type { Logger } from "pino";
import type { CachedReads } from "../data/cached-reads.ts";
import type { Database } from "../data/database.ts";
import type { Mailer } from "../data/mail.ts";
import type { Health } from "./health.ts";
import type { ServerConfig } from "./server-config.ts";
import type { Render } from "./views.ts";

/** What the routes stand on. */
export interface Services {
  config: ServerConfig;
  database: Database;
  /** For what many visitors read; `database` for the rest. */
  cached: CachedReads;
  health: Health;
  log: Logger;
  /** Absent where the configuration names no mail server. */
  mail: Mailer | undefined;
  render: Render;
}
