import { type Request, type RequestHandler, Router } from "express";
import { emailInput } from "../../domain/accounts.ts";
import {
  type Administrator,
  administratorLoginInput,
  administratorPasswordInput,
  authenticateAdministrator,
  BasicLogin,
  changeAdministratorPassword,
} from "../../domain/administrators.ts";
import { makeResetLink, type ResetLink } from "../../domain/resets.ts";
import { administratorSession } from "../../domain/sessions.ts";
import { check } from "../../domain/validation.ts";
import { HttpError, LoginNeeded } from "../../lib/errors.ts";
import { administratorOf, setAdministrator } from "../administrator.ts";
import { logDeed } from "../audit.ts";
import { formBody, jsonBody } from "../body.ts";
import { formPost, type ShowForm } from "../forms.ts";
import { formPage, isApi, redirectWithFlash, wantsPage } from "../page.ts";
import { rememberPosition } from "../position.ts";
import type { Services } from "../services.ts";
import { endSession, loadSession, startSession } from "../sessions.ts";
import { ownPath } from "../visitor.ts";
import { clientOf } from "./accounts.ts";

/**
 * The administrators' login. Whatever is mounted after this needs an administrator: a session, or
 * HTTP Basic from scripts. Bodies are not read before.
 */
export function adminLoginRoutes(services: Services): RequestHandler {
  // Sessions are found under paths written like this only.
  const router = Router({ caseSensitive: true });
  router.use(loadSession(services, administratorSession));
  addLogin(router, services);
  router.use(needAdministrator(services));
  addAccount(router, services);
  addResetLinks(router, services);
  return router;
}

function addLogin(router: Router, services: Services): void {
  const { database } = services;
  const showLogin = formPage(services, "admin-login", "Log in", (request) => ({
    next: nextOf(request),
  }));
  router.get("/admin/login", (request, response) => showLogin(request, response, {}));
  router.post(
    "/admin/login",
    formBody(),
    formPost(showLogin, async (request, response) => {
      const input = check(administratorLoginInput, request.body);
      const login = await authenticateAdministrator(database, input, clientOf(request));
      await startSession(request, login);
      response.redirect(303, nextOf(request));
    }),
  );
  router.post("/admin/logout", async (request, response) => {
    await endSession(request, response, administratorSession);
    redirectWithFlash(request, response, "/admin/login", "logged-out");
  });
}

function needAdministrator({ database }: Services): RequestHandler {
  const basic = new BasicLogin(database);
  return async (request, response, next) => {
    const isPage = wantsPage(request) && !isApi(request);
    // Browsers would ask with a window of their own, and send what they got with every request.
    if (!isPage) response.set("WWW-Authenticate", 'Basic realm="hastack", charset="UTF-8"');
    const given = basicCredentials(request.get("Authorization"));
    const found = given
      ? await basic.verify(given.name, given.password, clientOf(request))
      : (request.session?.owner as Administrator | undefined);
    if (!found) throw new LoginNeeded("/admin/login");
    response.removeHeader("WWW-Authenticate");
    setAdministrator(request, found);
    next();
  };
}

/** What a script sent, if it sent anything that can be a name and a password. */
function basicCredentials(header: string | undefined): Login | undefined {
  const [, encoded] = /^basic +([\w+/=-]{1,2000})$/i.exec(header ?? "") ?? [];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, "base64").toString("utf8");
  const at = decoded.indexOf(":");
  const input = { name: decoded.slice(0, Math.max(0, at)), password: decoded.slice(at + 1) };
  const { success, data } = administratorLoginInput.safeParse(input);
  if (!success) throw new HttpError(401, "login-failed", "The name or the password is wrong.");
  return data;
}

interface Login {
  name: string;
  password: string;
}

function addAccount(router: Router, services: Services): void {
  const { database, config, log } = services;
  const showAccount = accountPage(services, { form: "password" });
  router.get("/admin/account", (request, response) => showAccount(request, response, {}));
  router.post(
    "/admin/account/password",
    formBody(),
    formPost(showAccount, async (request, response) => {
      const input = check(administratorPasswordInput, request.body);
      const caller = { client: clientOf(request), sessionId: request.sessionID };
      const own = administratorOf(request) as Administrator;
      const position = await changeAdministratorPassword(database, own, input, caller);
      logDeed(log, request, own.name, "password changed");
      rememberPosition(request, response, config.cookieSecrets, position);
      redirectWithFlash(request, response, "/admin/account", "password-changed");
    }),
  );
}

/** Links for visitors who have lost their password: the only way where no mail is sent. */
function addResetLinks(router: Router, services: Services): void {
  const { database, config, log } = services;
  const make = async (request: Request) => {
    const { email } = check(emailInput, request.body);
    const link = await makeResetLink(database, email, config.publicUrl);
    logDeed(log, request, email, "reset link made");
    return link;
  };
  const onlyJson: RequestHandler = (request, _response, next) =>
    next(request.is("json") ? undefined : "route");
  const asJson: RequestHandler = async (request, response) => {
    response
      .status(201)
      .set("Cache-Control", "no-store")
      .json(await make(request));
  };
  router.post("/admin/reset-links", onlyJson, jsonBody(), asJson);

  const showLinks = accountPage(services, { form: "link" });
  router.post(
    "/admin/reset-links",
    formBody(),
    formPost(showLinks, async (request, response) => {
      const link = await make(request);
      // Shown at once and never kept: a redirect would have to carry it in a cookie.
      const show = accountPage(services, { form: "link", link });
      await show(request, response, {});
    }),
  );
}

/** The page that both forms are on, whichever was sent. */
function accountPage(services: Services, more: { form: string; link?: ResetLink }): ShowForm {
  const path = "/admin/account";
  return formPage(services, "admin-account", "Account", () => ({ path, ...more }));
}

function nextOf(request: Request): string {
  return ownPath(request.body?.next ?? request.query.next, "/admin");
}
