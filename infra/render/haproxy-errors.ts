/**
 * What the load balancers answer themselves: a page, or JSON to programs, with the request's id in it.
 * The texts are in a map, which HAProxy reads once, so that no request has to carry one along.
 */
import type { Application } from "../application/application.ts";

/** The map, beside haproxy.cfg. */
export const errorTextsFile = "errors.map";

interface OwnError {
  /** What programs know it by. */
  readonly code: string;
  readonly title: string;
  readonly text: string;
  readonly retryAfterSeconds?: number;
}

const errors: Readonly<Record<number, OwnError>> = {
  400: {
    code: "bad-request",
    title: "The request cannot be understood",
    text: "Please check the address.",
  },
  404: {
    code: "not-found",
    title: "Nothing here",
    text: "There is nothing at this address.",
  },
  408: {
    code: "too-slow",
    title: "The request took too long",
    text: "Your browser did not finish its request in time. Please try again.",
    retryAfterSeconds: 3,
  },
  413: {
    code: "too-large",
    title: "The request is too large",
    text: "What your browser sent is larger than this site accepts. Please choose a smaller file.",
  },
  429: {
    code: "too-many-requests",
    title: "Too many requests",
    text: "Your address has sent too many requests at a time. Please try again in a moment.",
    retryAfterSeconds: 10,
  },
  431: {
    code: "headers-too-large",
    title: "The request's headers are too large",
    text: "Your browser sent too much beside the request. Please delete this site's cookies, then try again.",
  },
  502: {
    code: "bad-gateway",
    title: "That did not work",
    text: "The page could not be fetched. Please try again in a moment.",
    retryAfterSeconds: 3,
  },
  503: {
    code: "unavailable",
    title: "We will be right back",
    text: "The site is busy at the moment. Please try again in a few seconds.",
    retryAfterSeconds: 3,
  },
  504: {
    code: "too-late",
    title: "That took too long",
    text: "The page did not answer in time. Please try again in a moment.",
    retryAfterSeconds: 3,
  },
};

/** A status that `deny` and HAProxy itself do not know: it is returned, never denied. */
const onlyReturned = 431;

/**
 * Each text as one line: what comes before the request's id by the status, what comes after by `end`,
 * for programs with `json` behind.
 * @param page with `{title}`, `{text}`, `{status}` and, once, `{id}`
 */
export function renderErrorTexts(page: string): string {
  // HAProxy takes the spaces off the end of a line
  const [before = "", after = ""] = page.replaceAll("\n", "").split("{id}");
  const lines = Object.entries(errors).flatMap(([status, { code, title, text }]) => {
    const html = before
      .replaceAll("{title}", title)
      .replaceAll("{text}", text)
      .replaceAll("{status}", status);
    const json = JSON.stringify({ error: code, message: text, requestId: "" });
    return [`${status}- ${html}`, `${status}-json ${json.slice(0, -2)}`];
  });
  return `${[...lines, `end- ${after}`, 'end-json "}'].join("\n")}\n`;
}

/** What HAProxy answers of its own accord, and by `deny`. */
export const ownErrors = Object.keys(errors)
  .map(Number)
  .filter((status) => status !== onlyReturned)
  .map((status) => `  http-error ${answer(status)}`)
  .join("\n");

/** The rest of an answer with this status: `status 503 content-type …`. */
export function answer(status: number): string {
  const retry = errors[status]?.retryAfterSeconds;
  const headers = [
    "hdr Cache-Control no-store",
    ...(retry === undefined ? [] : [`hdr Retry-After ${retry}`]),
    "hdr Connection close",
  ].join(" ");
  const text = (key: string | number) => `%[str(${key}),concat(-,txn.as),map(${errorTextsFile})]`;
  const page = `${text(status)}%[unique-id]${text("end")}`;
  return `status ${status} content-type "text/html; charset=utf-8" lf-string "${page}" ${headers}`;
}

/** Notes who gets JSON. Answers of the application stay as they are. */
export function whoGetsJson({ apiPaths }: Pick<Application, "apiPaths">): string {
  const note = "http-request set-var(txn.as) str(json) if";
  const paths = apiPaths.map((path) => `  ${note} ${isAtOrBelow(path)}`);
  return [
    ...paths,
    `  ${note} { req.hdr(accept) -m beg application/json }`,
    "  http-response unset-var(txn.as)",
    "  http-after-response set-header Content-Type application/json if { var(txn.as) -m found }",
  ].join("\n");
}

/**
 * Whether a request is for this path or below. Paths are compared decoded, as most programs read them:
 * `/%6Fffice` leads where `/office` does.
 * @param rest a further condition @default none
 */
export function isAtOrBelow(path: string, rest = ""): string {
  const below = path.endsWith("/") ? path : `${path}/`;
  return [`{ path,url_dec ${path} }`, `{ path,url_dec -m beg ${below} }`]
    .map((one) => (rest ? `${one} ${rest}` : one))
    .join(" || ");
}
