import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponsesObject,
} from "zod-openapi";
import { visitorSession } from "../domain/sessions.ts";

/** The body of every answer that is no success. */
export const errorSchema = z
  .object({
    error: z
      .string()
      .regex(/^[a-z0-9-]+$/)
      .meta({ description: "A stable word for programs." }),
    message: z.string().meta({ description: "A sentence for people." }),
    requestId: z.string().meta({ description: "Names the request in the logs." }),
    fields: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: "With 422: what is wrong with each field." }),
  })
  .meta({ id: "Error" });

const descriptions: Readonly<Record<number, string>> = {
  400: "The request cannot be understood: its path, its JSON or its form is broken.",
  401: "`login-needed`, or `login-failed` where a name or a password is wrong.",
  403: "`cross-site`: another site asked for it, or a session's cookie came without `Origin`.",
  404: "`not-found`",
  409: "It does not go with what is there: `sold-out`, `email-taken`, `offer-booked`, `list-full`, `pictures-full`, `no-mail`.",
  410: "It is too late for that: `offer-started`, `trip-started`, `link-gone`.",
  413: "`too-large` or `image-too-large`",
  415: "`unsupported-media-type`, or `not-an-image`",
  422: "A field is not valid: `<field>-invalid`; or an Idempotency-Key was used for something else.",
  429: "`too-many-attempts`",
  500: "A mistake of ours; or `outcome-unknown`: the change may have been made, or not.",
  503: "Nothing was changed, try again: `unavailable`; `storage-unavailable` for pictures; `database-full`: no change can be saved.",
  507: "No room for pictures, nothing was stored: `account-uploads-full` where the account's own have none left, `uploads-full` where all together have none, `storage-full` where the disk has none.",
};

const retryAfter = {
  "Retry-After": z.string().regex(/^\d+$/).meta({ description: "Seconds to wait." }),
};

const everywhere = {
  "X-Served-By": z.string().meta({ description: "The instance that answered." }),
  "X-Request-Id": z.string().meta({ description: "Names the request in the logs." }),
};

/** Header of the answers that may come out of the cache. */
export const cacheHeader = {
  "X-Cache": z
    .enum(["hit", "miss", "bypass"])
    .meta({ description: "Whether the answer came out of the cache." }),
};

/** Header of an answer that made something. */
export const locationHeader = {
  Location: z.string().meta({ description: "Path of what was made." }),
};

/** An answer with a JSON body. */
export function json(description: string, schema: z.ZodType, headers: z.ZodRawShape = {}) {
  const content = { "application/json": { schema } };
  return { description, content, headers: z.object({ ...everywhere, ...headers }) };
}

/** An answer without a body. */
export function empty(description: string) {
  return { description, headers: z.object(everywhere) };
}

const refusalOf = Object.fromEntries(
  Object.entries(descriptions).map(([status, description]) => {
    const headers = status === "429" || status === "503" ? retryAfter : {};
    return [status, { id: `Refusal${status}`, ...json(description, errorSchema, headers) }];
  }),
);

/** Refusals by their status, and what any request may get. */
export function refusals(...statuses: number[]): ZodOpenApiResponsesObject {
  return Object.fromEntries(
    [400, ...statuses, 500, 503].map((status) => {
      const refusal = refusalOf[status];
      if (!refusal) throw new Error(`openapi.ts: say what ${status} means`);
      return [String(status), refusal];
    }),
  );
}

/** As `refusals`, where a browser's form is answered at the same path: with a page. */
export function refusalsOrPages(...statuses: number[]): ZodOpenApiResponsesObject {
  const page = { "text/html": { schema: z.string() } };
  return Object.fromEntries(
    [400, ...statuses, 500, 503].map((status) => {
      const { id: _shared, ...refusal } = refusalOf[status] ?? { id: "", content: {} };
      return [String(status), { ...refusal, content: { ...refusal.content, ...page } }];
    }),
  ) as ZodOpenApiResponsesObject;
}

/** Who may ask. */
export const byVisitor = { security: [{ visitor: [] }] };
export const byAdministrator = { security: [{ basic: [] }] };
export const byAnybody = { security: [] };

/** Makes repeating a change safe. */
export const idempotencyKey = z.object({
  "Idempotency-Key": z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/)
    .optional()
    .meta({ description: "The client's name for this change; a repeat gets the first answer." }),
});

/** A body of JSON. */
export function jsonContent(schema: z.ZodType) {
  return { required: true, content: { "application/json": { schema } } };
}

/** Operations by path, then by method in lower case. */
export type Operations = Readonly<
  Record<
    string,
    Readonly<
      Partial<Record<"get" | "post" | "put" | "patch" | "delete", ZodOpenApiOperationObject>>
    >
  >
>;

const about = `The storefront's and the administrators' API of a travel agency.

Changes with a session's cookie need the header \`Origin\` with the site's own address. Amounts are
whole cents of a euro; dates are \`YYYY-MM-DD\`; moments are ISO 8601 in UTC. What is no HTTP, has
too many headers or is too slow is answered without a body: 400, 408, 431. The load balancer's own
answers (502, 503, 504: no instance can be reached) are no JSON either.`;

/** The whole document. @param url of the site, without a slash at its end */
export function describeApi(url: string, paths: Operations): object {
  const cookie = (name: string) => ({ type: "apiKey", in: "cookie", name }) as const;
  return createDocument({
    openapi: "3.1.1",
    info: {
      title: "Lodestar Travel",
      version: "1",
      description: about,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url }],
    paths,
    components: {
      securitySchemes: {
        visitor: {
          ...cookie(visitorSession.cookie.name),
          description: "From POST /api/session; by HTTPS its name begins with `__Host-`.",
        },
        basic: {
          type: "http",
          scheme: "basic",
          description: "An administrator's name and password.",
        },
      },
    },
  });
}
