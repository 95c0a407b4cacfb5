import type { Request, Response } from "express";
import { administratorOf } from "./administrator.ts";
import { clearCookie, cookieValue, setCookie } from "./cookies.ts";
import type { ShowForm } from "./forms.ts";
import type { Services } from "./services.ts";
import type { PageFrame } from "./views.ts";
import { visitorOf } from "./visitor.ts";

const flashCookie = { name: "hastack-flash", path: "/" };

/** What a form post did, told on the page that follows it. Each subject adds its own words. */
const flashes: Record<string, string> = {
  registered: "Welcome! Your account is made, and you are logged in.",
  "logged-out": "You are logged out.",
  "name-changed": "Your name was changed.",
  "password-changed": "Your password was changed, and you are logged out everywhere else.",
  "reset-mailed":
    "If there is an account with this address, a link that sets a new password is on its way.",
  "password-reset": "Your password was changed. Log in with the new one.",
  "account-deleted": "Your account was deleted.",
  "content-added": "The destination was added.",
  "content-removed": "The destination was removed.",
  "content-gone": "That destination had been removed already.",
  "offer-added": "The offer was added.",
  "offer-updated": "The offer was updated.",
  "offer-removed": "The offer was removed.",
  "offer-gone": "That offer had been removed already.",
  "offer-booked": "That offer has bookings and stays. Set its quantity to 0 to sell no more of it.",
  booked: "It is booked. Have a good trip!",
  "booking-cancelled": "The booking was cancelled.",
  "item-added": "It is on the list.",
  "item-removed": "It was removed from the list.",
  "item-gone": "That had been removed from the list already.",
};

/** Whether the answer is JSON whatever the client would like. */
export function isApi(request: Request): boolean {
  return /^\/api\//i.test(request.path);
}

/** Whether a person sees the answer, rather than a program. */
export function wantsPage(request: Request): boolean {
  if (request.is("json")) return false;
  return request.accepts(isApi(request) ? ["json", "html"] : ["html", "json"]) === "html";
}

/** What the layout needs, the same for every page. */
export function plainFrame({ config }: Services, request: Request, title: string): PageFrame {
  const { instance, tier } = config;
  return {
    instance,
    tier,
    title: title === "" ? "Lodestar Travel" : `${title} – Lodestar Travel`,
    path: request.path,
    visitor: visitorOf(request),
    administrator: administratorOf(request)?.name,
  };
}

/** As `plainFrame`, with the message of the last form, which it takes: it is shown once. */
export function pageFrame(
  services: Services,
  request: Request,
  response: Response,
  title: string,
): PageFrame {
  const name = cookieValue(request, flashCookie) ?? "";
  const flash = Object.hasOwn(flashes, name) ? flashes[name] : undefined;
  if (flash) clearCookie(request, response, flashCookie);
  return { ...plainFrame(services, request, title), flash };
}

/**
 * A page with a form, for `formPost`; it is kept nowhere.
 * @param more what its view needs beside the form's notes, and may replace of those
 */
export function formPage(
  services: Services,
  view: string,
  title: string,
  more: (request: Request) => Record<string, unknown> = () => ({}),
): ShowForm {
  return (request, response, notes) => {
    const frame = pageFrame(services, request, response, title);
    const form = { typed: {}, errors: {}, problem: undefined, ...notes, ...more(request) };
    response.set("Cache-Control", "no-store").type("html");
    response.send(services.render(view, { ...frame, ...form }));
  };
}

/** Answers a form post: go to `path`, which will say what was done. */
export function redirectWithFlash(
  request: Request,
  response: Response,
  path: string,
  flash: keyof typeof flashes,
): void {
  setCookie(request, response, flashCookie, flash, 60);
  response.redirect(303, path);
}
