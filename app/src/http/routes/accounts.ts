import { type Request, type RequestHandler, type Response, Router } from "express";
import {
  authenticate,
  changePassword,
  deleteAccount,
  deleteAccountInput,
  loginInput,
  nameInput,
  passwordInput,
  readAccountChange,
  register,
  registerInput,
  rename,
  type Visitor,
} from "../../domain/accounts.ts";
import { visitorSession } from "../../domain/sessions.ts";
import { check } from "../../domain/validation.ts";
import { formBody, jsonBody } from "../body.ts";
import { formPost, type ShowForm } from "../forms.ts";
import { formPage, redirectWithFlash } from "../page.ts";
import { noteChange, rememberPosition } from "../position.ts";
import type { Services } from "../services.ts";
import { clearSessionCookie, endSession, startSession } from "../sessions.ts";
import { ownPath, requireVisitor } from "../visitor.ts";

/** Registering, logging in and out, and the account itself: pages, and the same as JSON. */
export function accountRoutes(services: Services): RequestHandler {
  const router = Router();
  addApi(router, services);
  addLoginPages(router, services);
  addAccountPages(router, services);
  return router;
}

/** Address of the caller, as far as proxies are trusted. */
export function clientOf(request: Request): string {
  return request.ip ?? "unknown";
}

function addApi(router: Router, services: Services): void {
  const { database } = services;
  router.use(["/api/account", "/api/session"], (_request, response, next) => {
    response.set("Cache-Control", "no-store");
    next();
  });

  router.post("/api/account", jsonBody(), async (request: Request, response: Response) => {
    response.status(201).json(await registerAndLogIn(services, request));
  });

  router.get("/api/account", (request, response) => {
    response.json(requireVisitor(request));
  });

  router.patch("/api/account", jsonBody(), async (request: Request, response: Response) => {
    const account = requireVisitor(request);
    const input = readAccountChange(request.body);
    if ("password" in input) {
      await changeOwnPassword(services, request, response, input);
      response.json(account);
    } else {
      await changeOwnName(services, request, response, input.name);
      response.json({ ...account, name: input.name });
    }
  });

  router.delete("/api/account", jsonBody(), async (request: Request, response: Response) => {
    await deleteOwnAccount(services, request, response);
    response.status(204).end();
  });

  router.post("/api/session", jsonBody(), async (request: Request, response: Response) => {
    const input = check(loginInput, request.body);
    const { account, login } = await authenticate(database, input, clientOf(request));
    await startSession(request, login);
    response.json(account);
  });

  router.delete("/api/session", async (request, response) => {
    await endSession(request, response, visitorSession);
    response.status(204).end();
  });
}

function addLoginPages(router: Router, services: Services): void {
  const { database } = services;

  const showRegister = formPage(services, "register", "Create an account", withNext);
  router.get("/register", (request, response) => showRegister(request, response, {}));
  router.post(
    "/register",
    formBody(),
    formPost(showRegister, async (request, response) => {
      await registerAndLogIn(services, request);
      redirectWithFlash(request, response, nextOf(request), "registered");
    }),
  );

  const showLogin = formPage(services, "login", "Log in", withNext);
  router.get("/login", (request, response) => showLogin(request, response, {}));
  router.post(
    "/login",
    formBody(),
    formPost(showLogin, async (request, response) => {
      const input = check(loginInput, request.body);
      const { login } = await authenticate(database, input, clientOf(request));
      await startSession(request, login);
      response.redirect(303, nextOf(request));
    }),
  );

  router.post("/logout", async (request, response) => {
    await endSession(request, response, visitorSession);
    redirectWithFlash(request, response, "/", "logged-out");
  });
}

function addAccountPages(router: Router, services: Services): void {
  const page = (form?: string): ShowForm =>
    formPage(services, "account", "Your account", () => ({ form }));
  router.get("/account", (request, response) => {
    requireVisitor(request);
    return page()(request, response, {});
  });

  router.post(
    "/account/name",
    formBody(),
    formPost(page("name"), async (request, response) => {
      await changeOwnName(services, request, response, check(nameInput, request.body).name);
      redirectWithFlash(request, response, "/account", "name-changed");
    }),
  );

  router.post(
    "/account/password",
    formBody(),
    formPost(page("password"), async (request, response) => {
      const input = check(passwordInput, request.body);
      await changeOwnPassword(services, request, response, input);
      redirectWithFlash(request, response, "/account", "password-changed");
    }),
  );

  router.post(
    "/account/delete",
    formBody(),
    formPost(page("delete"), async (request, response) => {
      await deleteOwnAccount(services, request, response);
      redirectWithFlash(request, response, "/", "account-deleted");
    }),
  );
}

/** The path to go on to afterwards goes with the form. */
const withNext = (request: Request) => ({ next: nextOf(request) });

function nextOf(request: Request): string {
  return ownPath(request.body?.next ?? request.query.next, "/");
}

async function registerAndLogIn({ database }: Services, request: Request): Promise<Visitor> {
  const input = check(registerInput, request.body);
  const { account, login } = await register(database, input, clientOf(request));
  await startSession(request, login);
  return account;
}

async function changeOwnName(
  { database, config }: Services,
  request: Request,
  response: Response,
  name: string,
): Promise<void> {
  const position = await rename(database, requireVisitor(request).id, name);
  rememberPosition(request, response, config.cookieSecrets, position);
}

async function changeOwnPassword(
  { database, config }: Services,
  request: Request,
  response: Response,
  input: Parameters<typeof changePassword>[2],
): Promise<void> {
  const caller = { client: clientOf(request), sessionId: request.sessionID };
  const position = await changePassword(database, requireVisitor(request), input, caller);
  rememberPosition(request, response, config.cookieSecrets, position);
}

async function deleteOwnAccount(
  services: Services,
  request: Request,
  response: Response,
): Promise<void> {
  const account = requireVisitor(request);
  const { password } = check(deleteAccountInput, request.body);
  const position = await deleteAccount(services.database, account, password, clientOf(request));
  await noteChange(services, request, response, "offers", position);
  // The session went with the account. From here on nothing can fail: it is done.
  clearSessionCookie(request, response, visitorSession);
}
