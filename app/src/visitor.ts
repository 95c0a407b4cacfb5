import type { Request } from "express";
import { HttpError } from "./errors.ts";

/** Who is logged in at the storefront. */
export interface Visitor {
  id: number;
  name: string;
  email: string;
}

const visitors = new WeakMap<Request, Visitor>();

/** Notes who the session of this request belongs to. */
export function setVisitor(request: Request, visitor: Visitor): void {
  visitors.set(request, visitor);
}

/** Who is logged in, if anybody is. */
export function visitorOf(request: Request): Visitor | undefined {
  return visitors.get(request);
}

/** Somebody must log in first. A page is sent to the login instead, and comes back after it. */
export class LoginNeeded extends HttpError {
  constructor() {
    super(401, "login-needed", "Log in first.");
  }
}

/** Who is logged in. @throws LoginNeeded */
export function requireVisitor(request: Request): Visitor {
  const visitor = visitorOf(request);
  if (!visitor) throw new LoginNeeded();
  return visitor;
}
