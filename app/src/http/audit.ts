import type { Request } from "express";
import type { Logger } from "pino";
import { administratorOf } from "./administrator.ts";

/**
 * Logs what an administrator has done to an account: who, to whom, what. It is logged at every level of
 * `LOG_LEVEL`, and tells no password and no link.
 * @param account how its owner is called: a visitor's e-mail address, an administrator's name
 */
export function logDeed(log: Logger, request: Request, account: string, deed: string): void {
  const administrator = administratorOf(request)?.name;
  const about = { audit: true, administrator, account, client: request.ip, requestId: request.id };
  const level = log.level === "silent" ? log.level : "info";
  log.child(about, { level }).info(deed);
}
