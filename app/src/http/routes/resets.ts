import { type Request, type RequestHandler, type Response, Router } from "express";
import { emailInput } from "../../domain/accounts.ts";
import {
  type ResetLink,
  requestReset,
  resetInput,
  resetMinutes,
  resetPassword,
  tokenText,
} from "../../domain/resets.ts";
import { check } from "../../domain/validation.ts";
import { HttpError } from "../../lib/errors.ts";
import { formBody, jsonBody } from "../body.ts";
import { clearCookie, cookieValue, setCookie } from "../cookies.ts";
import { formPost } from "../forms.ts";
import { formPage, redirectWithFlash } from "../page.ts";
import type { Services } from "../services.ts";
import { clientOf } from "./accounts.ts";

/** Holds the token of a link that was opened, so that the page's own address does not. */
const tokenCookie = { name: "hastack-reset", path: "/reset" };

/** Asking for a link by mail, and setting a password by one. */
export function resetRoutes(services: Services): RequestHandler {
  const router = Router();
  const { database } = services;

  const showForgot = formPage(services, "forgot", "Forgot your password?", () => ({
    sendsMail: services.mail !== undefined,
  }));
  router.get("/forgot", (request, response) => showForgot(request, response, {}));
  router.post(
    "/forgot",
    formBody(),
    formPost(showForgot, async (request, response) => {
      await sendLink(services, request);
      redirectWithFlash(request, response, "/login", "reset-mailed");
    }),
  );

  const showReset = formPage(services, "reset", "Set a new password", (request) => ({
    token: cookieValue(request, tokenCookie),
  }));
  router.get("/reset", (request, response) => {
    const { success, data: token } = tokenText.safeParse(request.query.token);
    if (!success) return showReset(request, response, {});
    // Out of the address bar, the history and the Referer at once.
    setCookie(request, response, tokenCookie, token, resetMinutes * 60);
    response.set("Cache-Control", "no-store").redirect(303, "/reset");
  });
  router.post(
    "/reset",
    formBody(),
    formPost(showReset, async (request, response) => {
      const token = cookieValue(request, tokenCookie);
      const input = check(resetInput, { ...request.body, token });
      await resetPassword(database, input, clientOf(request));
      clearCookie(request, response, tokenCookie);
      redirectWithFlash(request, response, "/login", "password-reset");
    }),
  );

  router.post("/api/password-reset", jsonBody(), async (request: Request, response: Response) => {
    await sendLink(services, request);
    response.status(202).set("Cache-Control", "no-store").end();
  });
  router.put("/api/password-reset", jsonBody(), async (request: Request, response: Response) => {
    await resetPassword(database, check(resetInput, request.body), clientOf(request));
    response.status(204).end();
  });
  return router;
}

/** Answers the same, and as fast, whether anybody has the address or not. */
async function sendLink({ database, config, mail }: Services, request: Request): Promise<void> {
  if (!mail) {
    throw new HttpError(409, "no-mail", "This site sends no mail. Ask its operator for a link.");
  }
  const { email } = check(emailInput, request.body);
  const { publicUrl } = config;
  const link = await requestReset(database, email, { client: clientOf(request), publicUrl });
  if (link) mail.send({ to: email, subject: "Set a new password", text: mailText(link) });
}

const mailText = ({ url }: ResetLink) => `Hello,

somebody (you, we hope) asked to set a new password for your account at Lodestar Travel.
This link does it, once, within the next ${resetMinutes} minutes:

${url}

If it was not you, do nothing: your password stays as it is.
`;
