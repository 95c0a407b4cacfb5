import type { CacheConfig } from "../data/cache.ts";
import type { DatabaseConfig } from "../data/database.ts";
import type { SmtpConfig } from "../data/mail.ts";
import type { PictureStore } from "../data/trash.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** What one instance is told. */
export interface ServerConfig {
  tier: "storefront" | "admin";
  /** Shown top left on every page, in `X-Served-By`, and as `hostname` by `/api/health`. */
  instance: string;
  /** Name of the release that the program belongs to; `development` where it is none. */
  release: string;
  listen: { host: string; port: number };
  database: DatabaseConfig;
  uploadsDirectory: string;
  /** Days that a picture is kept in the trash once its row has gone; 0: it is removed at once. */
  keepFilesDays: number;
  /**
   * The first signs positions, for both tiers; each has done so lately. They signed sessions before each
   * tier had secrets of its own.
   */
  cookieSecrets: readonly string[];
  /** The first signs this tier's sessions; each has done so lately. */
  sessionSecrets: readonly string[];
  /** What links in mails begin with; it ends without a slash. Never taken from a request. */
  publicUrl: string;
  /** @default reads go to the database */
  cache?: CacheConfig | undefined;
  /** @default no mail is sent; an operator makes the links */
  smtp?: SmtpConfig | undefined;
  /** Only these addresses may set `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Request-Id`. */
  trustedProxies: string[];
  /** After SIGTERM: health says 503 for this long while everything is still served. */
  drainSeconds: number;
  /** After SIGTERM: the process has gone within this time, finished or not. */
  stopGraceSeconds: number;
  logLevel: LogLevel;
}

/** Where an instance has its pictures, and for how long it keeps them. */
export function picturesOf({ uploadsDirectory, keepFilesDays }: ServerConfig): PictureStore {
  return { directory: uploadsDirectory, keepDays: keepFilesDays };
}
