import type { Request } from "express";
import type { Administrator } from "../domain/administrators.ts";

const administrators = new WeakMap<Request, Administrator>();

/** Notes which administrator sent this request. */
export function setAdministrator(request: Request, administrator: Administrator): void {
  administrators.set(request, administrator);
}

/** Which administrator sent this request, if one did. */
export function administratorOf(request: Request): Administrator | undefined {
  return administrators.get(request);
}
