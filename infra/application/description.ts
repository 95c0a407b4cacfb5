/**
 * What an application says of itself: `hastack.yaml` in its folder. Every key, its unit and its
 * default is in this file; docs/hastack-yaml.md and the editor's schema are made from it.
 */
import { z } from "zod";
import { outsidePorts, ports, reservedNames } from "../roles.ts";
import {
  stackVariables,
  variableOf,
  variableOfOutside,
  variableOfSecret,
  variableOfShared,
} from "./names.ts";

/** In the stack's files a secret's place looks like this. */
const isPlain = (text: string) => !/@\{\w+\}/.test(text);
const mustBePlain = "must not contain @{…}, which stands for a secret in the stack's files";
const words = z
  .array(z.string().min(1, "must not be empty").refine(isPlain, mustBePlain))
  .min(1, "must be a list of words, such as [python3, server.py]");
/** Ends in a letter: members are counted behind it, `web-1`. */
const tierName = z
  .string()
  .regex(/^[a-z]([a-z0-9-]{0,18}[a-z])?$/, "must be a short name such as web or back-office");
const camelName = z
  .string()
  .regex(/^[a-z][A-Za-z0-9]{0,40}$/, "must be a name such as logLevel, letters and digits");
const seconds = (most: number) =>
  z.int().min(1, "must be 1 second or more").max(most, `must be ${most} seconds or less`);
const port = z.int().min(1024, "must be 1024 to 65535").max(65535, "must be 1024 to 65535");
/** It becomes a part of HAProxy's configuration. */
const urlPath = z
  .string()
  .regex(/^\/[\w.~/-]*$/, "must be a path such as /office, without a query or special characters");
/** Stays inside the application's folder. */
const relativePath = z
  .string()
  .min(1)
  .refine(
    (path) => !path.startsWith("/") && !path.split("/").includes(".."),
    "must be a path inside the application's folder",
  );

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

const route = z.strictObject({
  path: urlPath.describe("The path and everything below it."),
  methods: z
    .array(z.enum(methods))
    .min(1, "must name at least one method; leave it out for all")
    .optional()
    .describe("Only requests with these methods. @default all"),
});

const login = z.strictObject({
  path: urlPath.describe("Exactly this path."),
  methods: z
    .array(z.enum(methods))
    .min(1, "must name at least one method; leave it out for POST")
    .default(["POST"])
    .describe("Only requests with these methods."),
});

const health = z.strictObject({
  path: urlPath.default("/").describe("HAProxy and the gate ask for it; 200 means healthy."),
  showsRelease: z
    .boolean()
    .default(false)
    .describe("Whether the answer contains HASTACK_RELEASE; the gate then looks for it."),
  command: words
    .optional()
    .describe("For a worker: a program that ends with 0 when the worker is healthy."),
});

const tier = z.strictObject({
  name: tierName.describe("Its instances are called NAME-1, NAME-2 and so on."),
  formerly: tierName
    .optional()
    .describe(
      "The name it had before: its instances take the places of those, one by one. @default it had none",
    ),
  command: words.describe("The program of an instance, run in the release's folder."),
  port: port.optional().describe("Where it listens for HTTP. @default none: it is a worker"),
  health: health.prefault({}).describe("How its health is asked for."),
  instances: z.int().min(1).default(2).describe("How many run, where a stack does not say."),
  routes: z
    .array(route)
    .default([])
    .describe("What goes to this tier; the tier without routes gets all the rest."),
  logins: z
    .array(login)
    .default([])
    .describe(
      "Requests that try a password: one address may send a stack's perSource.loginsPerMinute of them.",
    ),
  poolSize: z
    .int()
    .min(1)
    .default(5)
    .describe("Connections of one instance to the writer, and as many to the reader."),
  drainSeconds: seconds(300)
    .default(3)
    .describe("How long an instance that stops still serves, so that HAProxy sees it leave."),
  stopGraceSeconds: seconds(600)
    .default(25)
    .describe("How long an instance that stops may take in all; then it is killed."),
  memoryMegabytes: z
    .int()
    .min(32, "must be 32 megabytes or more")
    .optional()
    .describe("Memory that an instance may use, and each of its jobs. @default no limit"),
  bodyLimitMegabytes: z
    .int()
    .min(1)
    .optional()
    .describe(
      "Requests that announce a larger body are answered 413 by HAProxy. @default no limit",
    ),
  responseSeconds: seconds(3600)
    .default(30)
    .describe("How long HAProxy waits for an answer, or between two parts of one."),
  webSocket: z.boolean().default(false).describe("Whether it speaks WebSocket."),
  serverSentEvents: z.boolean().default(false).describe("Whether it answers with endless streams."),
  mail: z.boolean().default(false).describe("Whether it gets the way to the stack's mail server."),
  environment: z
    .record(
      z.string().regex(/^[A-Z][A-Z0-9_]*$/, "must be a variable's name such as NODE_ENV"),
      z.string().refine(isPlain, mustBePlain),
    )
    .default({})
    .describe("Variables of this tier alone; no secrets."),
});

const job = z.strictObject({
  name: tierName.describe("Its name in logs."),
  tier: z.string().describe("The tier whose environment, database role and machines it has."),
  command: words.describe("The program, run in the release's folder, once for each due time."),
  everySeconds: z
    .int()
    .min(10, "must be 10 seconds or more")
    .max(604_800, "must be 604800 seconds (a week) or less")
    .optional()
    .describe("It starts at each multiple of this time since 1970, UTC."),
  dailyAt: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day in UTC such as 03:15")
    .optional()
    .describe("It starts at this time of each day, UTC."),
  limitSeconds: seconds(86_400)
    .optional()
    .describe(
      "How long after its time a run is ended. @default 3600, or everySeconds where that is less",
    ),
});

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const ownSetting = z.strictObject({
  type: z.enum(["string", "integer", "number", "boolean"]).describe("What it must be."),
  values: z.array(scalar).min(1).optional().describe("The only values allowed. @default any"),
  default: scalar
    .optional()
    .describe("What it is where a stack says nothing. @default none: a stack must give it"),
  description: z.string().min(1).describe("One sentence, for whoever sets it."),
});

const ownSecret = z.strictObject({
  generated: z
    .boolean()
    .default(false)
    .describe("Whether the stack makes it: 32 letters and digits. Else the operator gives it."),
  perTier: z
    .boolean()
    .default(false)
    .describe(
      "Whether each tier that sees it gets another one, under this name; it must be generated. The migrations get none.",
    ),
  several: z
    .boolean()
    .default(false)
    .describe(
      "Whether its file may have two lines: the first one is for what is made now, both are for what is read. It is then replaced by `npm run rotate` with the stack's own; it must be generated.",
    ),
  optional: z.boolean().default(false).describe("Whether a stack may go without it."),
  formerly: z
    .string()
    .optional()
    .describe("The name it was generated under before, so that it stays the same."),
  description: z.string().optional().describe("One sentence, for whoever gives it."),
  tiers: z
    .array(z.string())
    .optional()
    .describe(
      "Tiers that get to see it; the migrations always do, unless it is per tier. @default all tiers",
    ),
});

const outsideHost = z.strictObject({
  host: z
    .hostname("must be a host's name or address, such as api.example")
    .describe("Its name or address."),
  port: z.int().min(1).max(65535).describe("TCP port."),
});

const output = z
  .strictObject({
    path: urlPath.optional().describe("An address of the site."),
    secret: z.string().optional().describe("One of the application's secrets."),
  })
  .refine(
    ({ path, secret }) => (path === undefined) !== (secret === undefined),
    "must have either a path or a secret",
  );

/** Names of the stack's members, programs, passwords and HAProxy sections: no tier has one. */
const taken: ReadonlySet<string> = new Set([
  ...reservedNames,
  ...["haproxy", "keepalived", "patroni", "standby-care", "valkey", "hastack"],
  ...["keeper", "receive"],
  ...["postgres", "replicator", "rewinder", "migrator", "statistics"],
  ...["primary", "standby", "mail", "migrations"],
]);

/** Whether a job or an instance's proxy could be called that. */
const isProcess = (name: string) => name.startsWith("job-") || name.endsWith("-proxy");

/** What a shared directory must not be called, besides: others' names on a machine. */
const takenOnMachines: ReadonlySet<string> = new Set([
  ...taken,
  ...["base", "bricks", "packages", "programs", "release"],
]);

/** Database roles of the stack's own. */
const ownRole = /^(postgres|replicator|rewinder|migrator|keeper|patroni|app_.*|pg_.*)$/;

/** Outputs that every stack has. */
const stackOutputs = [
  ...["url", "localUrls", "statsUrls", "statsPassword", "machines", "release"],
  "backupRepositoryKey",
];

const plainSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,40}$/, "must be a name such as web-shop")
    .describe("What the application is called in images and messages."),
  release: z
    .strictObject({
      files: z
        .array(relativePath)
        .min(1)
        .optional()
        .describe(
          "Files and folders that a release consists of. @default all, without dot files, node_modules and Python's bytecode folders",
        ),
      build: z
        .string()
        .min(1)
        .optional()
        .describe(
          "Shell text run in a copy of the files, on the operator's machine; RELEASE_ARCHITECTURE is x64 or arm64. @default nothing is built",
        ),
    })
    .prefault({})
    .describe("What a release is made of, and how."),
  packages: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, "must be a Debian package's name"))
    .default([])
    .describe("Debian packages of every instance."),
  tiers: z
    .array(tier)
    .min(1, "must describe at least one tier")
    .describe("The programs that run, each as several instances."),
  jobs: z.array(job).default([]).describe("Programs that run at set times."),
  migrations: z
    .strictObject({
      command: words.describe("Brings the database up to date; it must be safe to run again."),
    })
    .optional()
    .describe("Run once for each release, before its first instance. @default none"),
  database: z
    .strictObject({
      extensions: z
        .array(z.string().regex(/^[a-z_][\w-]*$/, "must be an extension's name, such as pg_trgm"))
        .default([])
        .describe("Extensions of PostgreSQL, made before the migrations."),
      formerRoles: z
        .array(z.string().regex(/^[a-z_][a-z0-9_]*$/, "must be a role's name"))
        .default([])
        .describe("Database roles of earlier releases that lose their login."),
    })
    .prefault({})
    .describe("What it wants of the database besides a role for each tier."),
  shared: z
    .array(
      z
        .string()
        .max(31)
        // Not web-1: the volumes of members are called that way
        .regex(/^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$/, "must be a directory's name such as pictures"),
    )
    .default([])
    .describe("Directories that all instances share, each at /var/lib/hastack/NAME."),
  backup: z
    .strictObject({
      files: z
        .record(
          z.string(),
          z
            .string()
            .min(1)
            .max(2000)
            .refine(
              (text) => /^\s*(select|with|table|values)\b/i.test(text) && !text.includes(";"),
              "must be one SELECT, without a semicolon",
            ),
        )
        .default({})
        .describe(
          "By the names of shared directories: a query with one column of text, the path below the directory of each file that a row names.",
        ),
    })
    .prefault({})
    .describe("What a backup has to know of it."),
  cache: z.boolean().default(false).describe("Whether it uses the stack's cache."),
  apiPaths: z
    .array(urlPath)
    .default([])
    .describe(
      "Paths, with everything below them, where the load balancers' own errors are JSON; elsewhere they are pages, but for clients whose Accept begins with application/json.",
    ),
  settings: z
    .record(camelName, ownSetting)
    .default({})
    .describe("Its own settings; a stack gives them by hastack:application.settings."),
  secrets: z.record(camelName, ownSecret).default({}).describe("Its own secrets."),
  outside: z
    .record(camelName, outsideHost)
    .default({})
    .describe("Hosts elsewhere that it talks to; it reaches them by the load balancers."),
  outputs: z.record(camelName, output).default({}).describe("What it adds to the stack's outputs."),
});

export type ApplicationDescription = z.output<typeof plainSchema>;
export type TierDescription = ApplicationDescription["tiers"][number];
export type JobDescription = ApplicationDescription["jobs"][number];

/** What an application says of itself. */
export const descriptionSchema = plainSchema.superRefine((application, context) => {
  const refuse: Refuse = (path, message) =>
    context.addIssue({ code: "custom", path, message, input: application });
  for (const check of [checkTiers, checkRoutes, checkJobs, checkValues, checkVariables]) {
    check(application, refuse);
  }
});

type Path = (string | number)[];
/** What no single key can say. */
type Refuse = (path: Path, message: string) => void;

function checkTiers({ tiers }: ApplicationDescription, refuse: Refuse): void {
  const { firstOutside } = ports;
  const lastOutside = firstOutside + outsidePorts - 1;
  const isFirst = (key: "name" | "port" | "formerly", index: number) =>
    tiers.findIndex((other) => other[key] === tiers[index]?.[key]) === index;
  for (const [index, one] of tiers.entries()) {
    const { name, formerly, port, routes, health: asked, drainSeconds, stopGraceSeconds } = one;
    const at = ["tiers", index];
    if (!isFirst("name", index)) refuse([...at, "name"], "is a duplicate, use another");
    if (taken.has(name) || isProcess(name)) {
      refuse([...at, "name"], "is reserved for the stack, use another");
    }
    // Two tiers cannot take the places of the same instances, nor of instances that stay
    if (formerly !== undefined && tiers.some((other) => other.name === formerly)) {
      refuse([...at, "formerly"], "is the name of a tier that there is, leave it out");
    } else if (formerly !== undefined && !isFirst("formerly", index)) {
      const fix = "leave it out in one of them";
      refuse([...at, "formerly"], `is another tier's former name, ${fix}`);
    }
    if (drainSeconds >= stopGraceSeconds) {
      refuse([...at, "drainSeconds"], "must be less than stopGraceSeconds");
    }
    if (port === undefined) {
      if (routes.length === 0) continue;
      refuse([...at, "routes"], "need a port that HAProxy can send requests to, give one");
      continue;
    }
    if (asked.command) {
      refuse([...at, "health", "command"], "is for workers; a tier with a port has a path");
    }
    if (!isFirst("port", index)) {
      refuse([...at, "port"], "is another tier's port, use another");
    }
    if (port >= firstOutside && port <= lastOutside) {
      const range = `${firstOutside} to ${lastOutside}`;
      refuse([...at, "port"], `must not be ${range}, which HAProxy uses for hosts outside`);
    }
  }
  const served = tiers.filter((one) => one.port !== undefined);
  const rest = served.filter((one) => one.routes.length === 0).map(({ name }) => name);
  if (served.length > 0 && rest.length !== 1) {
    const who = rest.length === 0 ? "there is none" : rest.join(" and ");
    refuse(
      ["tiers"],
      `must have exactly one with a port and without routes, for all other requests (now: ${who})`,
    );
  }
}

/** Requests that two tiers want. */
function checkRoutes({ tiers }: ApplicationDescription, refuse: Refuse): void {
  const owners = new Map<string, string>();
  for (const [index, one] of tiers.entries()) {
    for (const [at, route] of one.routes.entries()) {
      const wanted = (route.methods ?? methods).map((method) => `${method} ${route.path}`);
      const other = wanted.map((key) => owners.get(key)).find((owner) => owner !== undefined);
      if (other) refuse(["tiers", index, "routes", at], `is a route of ${other} already`);
      for (const key of wanted) owners.set(key, one.name);
    }
  }
}

function checkJobs({ tiers, jobs }: ApplicationDescription, refuse: Refuse): void {
  const names = tiers.map(({ name }) => name);
  for (const [index, one] of jobs.entries()) {
    const at = ["jobs", index];
    if (!names.includes(one.tier)) {
      refuse([...at, "tier"], `must be one of the tiers (${names.join(", ")})`);
    }
    if (jobs.findIndex(({ name }) => name === one.name) !== index) {
      refuse([...at, "name"], "is a duplicate, use another");
    }
    if ((one.everySeconds === undefined) === (one.dailyAt === undefined)) {
      refuse(at, "must have either everySeconds or dailyAt");
    }
    if ((one.limitSeconds ?? 0) > (one.everySeconds ?? Number.POSITIVE_INFINITY)) {
      refuse([...at, "limitSeconds"], "must be everySeconds or less, or two runs would overlap");
    }
  }
}

function checkValues(application: ApplicationDescription, refuse: Refuse): void {
  const { tiers, settings, secrets, shared, outside, outputs, database, backup } = application;
  const names = tiers.map(({ name }) => name);
  for (const [index, name] of shared.entries()) {
    const at = ["shared", index];
    if (takenOnMachines.has(name) || isProcess(name)) {
      refuse(at, "is reserved for the stack, use another");
    }
    if (names.includes(name)) refuse(at, "is a tier's name, use another");
  }
  for (const name of Object.keys(backup.files)) {
    if (shared.includes(name)) continue;
    const all = shared.join(", ") || "there are none";
    refuse(["backup", "files", name], `must be one of the shared directories (${all})`);
  }
  if (Object.keys(outside).length > outsidePorts) {
    refuse(["outside"], `has more hosts than the ${outsidePorts} ports for them, use fewer`);
  }
  for (const [index, role] of database.formerRoles.entries()) {
    if (ownRole.test(role)) refuse(["database", "formerRoles", index], "is a role of the stack's");
  }
  for (const [name, one] of Object.entries(settings)) {
    const message = one.default === undefined ? undefined : valueProblem(one, one.default);
    if (message !== undefined) refuse(["settings", name, "default"], message);
  }
  for (const [name, one] of Object.entries(secrets)) {
    if (one.tiers?.some((tier) => !names.includes(tier))) {
      refuse(["secrets", name, "tiers"], `must be among the tiers (${names.join(", ")})`);
    }
    if (one.perTier && !one.generated) {
      refuse(["secrets", name, "perTier"], "is for secrets that are generated");
    }
    // Two secrets cannot both be the one that was generated
    if (one.formerly !== undefined && secrets[one.formerly]) {
      refuse(["secrets", name, "formerly"], "is the name of a secret that there is, leave it out");
    }
  }
  for (const [name, one] of Object.entries(outputs)) {
    if (stackOutputs.includes(name)) {
      refuse(["outputs", name], "is an output that every stack has, use another name");
    }
    if (one.secret !== undefined && secrets[one.secret] === undefined) {
      refuse(["outputs", name, "secret"], "must be one of the application's secrets");
    } else if (one.secret !== undefined && secrets[one.secret]?.perTier) {
      refuse(["outputs", name, "secret"], "is another one in each tier, use one that all share");
    }
  }
}

/** Environment variables that would have two meanings. */
function checkVariables(application: ApplicationDescription, refuse: Refuse): void {
  const { tiers, settings, secrets, shared, outside } = application;
  const owners = new Map<string, string>(
    stackVariables.map((name) => [name, "a variable that the stack gives"]),
  );
  const claim = (variable: string, path: Path) => {
    const owner = owners.get(variable);
    owners.set(variable, path.join("."));
    if (owner) refuse(path, `becomes ${variable}, as does ${owner}; use another name`);
  };
  for (const name of Object.keys(settings)) claim(variableOf(name), ["settings", name]);
  for (const name of Object.keys(secrets)) claim(variableOfSecret(name), ["secrets", name]);
  for (const [index, name] of shared.entries()) claim(variableOfShared(name), ["shared", index]);
  for (const name of Object.keys(outside)) claim(variableOfOutside(name), ["outside", name]);
  for (const [index, { environment }] of tiers.entries()) {
    for (const variable of Object.keys(environment)) {
      const owner = owners.get(variable);
      const path = ["tiers", index, "environment", variable];
      if (owner) refuse(path, `is ${owner} already, use another name`);
    }
  }
}

/** Why a value does not fit to one of the application's own settings; nothing when it does. */
export function valueProblem(
  { type, values }: z.output<typeof ownSetting>,
  value: unknown,
): string | undefined {
  if (value === "") return "must not be empty";
  const fits = type === "integer" ? Number.isSafeInteger(value) : typeof value === type;
  if (!fits) return `must be ${type === "integer" ? "an integer" : `a ${type}`}`;
  // It becomes one line of a file
  if (typeof value === "string" && /[\0\r\n]/.test(value)) return "must be one line";
  if (typeof value === "string" && !isPlain(value)) return mustBePlain;
  return values && !values.includes(value as string)
    ? `must be one of ${values.join(", ")}`
    : undefined;
}
