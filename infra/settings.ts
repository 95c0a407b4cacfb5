/**
 * The configuration, validated once into one frozen object. Every setting of hastack, its unit and
 * its default is in this file; `Pulumi.<stack>.yaml` gives the values that differ.
 */
import { RunError } from "@pulumi/pulumi";
import { z } from "zod";
import { type GeneratedRole, generatedRoles, roleTable } from "./roles.ts";

const cidr = z.cidrv4("must be an IPv4 subnet such as 172.28.10.0/24");
const ipv4 = z.ipv4("must be an IPv4 address such as 172.28.10.100");
/** Links are made by writing a path behind it. */
const isOrigin = (text: string) =>
  /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
/** What a machine is reached by; the OpenSSH client must not take it for an option. */
const sshAddress = z
  .string()
  .regex(/^[A-Za-z0-9_:][\w.:%-]*$/, "must be a host's name or address, such as 192.0.2.11");
const userName = z.string().regex(/^\w[\w.@-]*$/, "must be a user's name, such as deploy");
const port = z.int().min(1, "must be a port, 1 to 65535").max(65535, "must be a port, 1 to 65535");
const seconds = z.number().positive("must be a number of seconds above 0");
const count = z.int().min(0, "must be a whole number, 0 or more");
const milliseconds = z.int().min(50, "must be 50 milliseconds or more");

/**
 * Parameters that have a setting of their own, or that would let PostgreSQL acknowledge what it may
 * lose, let others in, or hide it from Patroni.
 */
const keptParameters: ReadonlySet<string> = new Set([
  "max_connections",
  "shared_buffers",
  "fsync",
  "full_page_writes",
  "synchronous_commit",
  "synchronous_standby_names",
  "password_encryption",
  "listen_addresses",
  "port",
  "unix_socket_directories",
  "hba_file",
  "ident_file",
  "config_file",
  "data_directory",
  "include",
  "include_dir",
  "include_if_exists",
]);

/** PostgreSQL takes names in any case. */
const isFreeParameter = (name: string): boolean =>
  /^[a-z_][\w.]*$/i.test(name) && !keptParameters.has(name.toLowerCase());

const network = z.strictObject({ subnet: cidr, vip: ipv4 });

/** How a machine is reached, as far as an inventory or the configuration says it. */
export const access = z.strictObject({
  /** Where SSH reaches it: a name or an address. */
  address: sshAddress.optional(),
  port: port.optional(),
  /** Who logs in: root, or somebody who may become root by sudo without a password. */
  user: userName.optional(),
  /** Its SSH host key, as in /etc/ssh/ssh_host_ed25519_key.pub. */
  hostKey: z.string().min(1).optional(),
});

/** A machine that is there already, reached over SSH. */
const machine = access.extend({
  port: port.default(22),
  user: userName.default("root"),
  /** How the stack calls it; any name will do. */
  name: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, "must be a name such as node-1"),
  /** Its address in the frontend network; only load balancers need one. */
  frontend: ipv4.optional(),
  /** Its address in the backend network. */
  backend: ipv4,
  /** Names of roles and of the application's tiers. */
  roles: z.array(z.string()).min(1, "must name at least one role"),
});

/** Members of each role that the platform makes machines for. */
const memberCounts = Object.fromEntries(
  generatedRoles.map((role) => [role, count.default(roleTable[role].generated.members)]),
) as Record<GeneratedRole, z.ZodDefault<z.ZodInt>>;

const settingsSchema = z.strictObject({
  /** Where the stack runs. */
  platform: z.enum(["docker", "ssh"], "must be docker or ssh"),
  /** Whether `destroy` leaves data volumes in place; a later `up` adopts them. */
  keepData: z.boolean().default(true),
  /** The frontend is where visitors come in; the backend has no way out. Both have a virtual IP. */
  network: z.strictObject({ frontend: network, backend: network }),
  /** Members per role, where the platform makes the machines itself (docker: one each). */
  members: z.strictObject(memberCounts).prefault({}),
  /** The machines and their roles, where they are there already (ssh). */
  machines: z.array(machine).min(1, "must list the machines and their roles").optional(),
  /** How the machines are reached (ssh). */
  ssh: z
    .strictObject({
      /**
       * Untracked YAML file with what differs from place to place: each machine's address and host
       * key; see infra/inventory.ts. Its path begins at the project's folder. Made by
       * `npm run host-keys` or `npm run lab`; what it says comes before `machines`.
       */
      inventory: z.string().min(1).optional(),
      /**
       * Private key file: absolute, `~/…`, or below the project's folder.
       * @default what ssh itself finds: its agent, ~/.ssh/config, ~/.ssh/id_…
       */
      identityFile: z.string().min(1).optional(),
    })
    .prefault({}),
  /**
   * The site's certificate chain and its private key, as PEM in one text; a secret. The site then
   * answers by HTTPS, and plain HTTP leads there.
   */
  certificate: z.string().min(1).optional(),
  /** Whether the site may be served without a certificate, by plain HTTP. */
  plainHttp: z.boolean().default(false),
  loadBalancer: z
    .strictObject({
      /** Ports on 127.0.0.1, one per load balancer (docker). */
      publishedPorts: z.array(port).default([]),
      /** Ports on 127.0.0.1 for the statistics page, one per load balancer (docker). */
      publishedStatsPorts: z.array(port).default([]),
      /** HAProxy's `balance` for both application tiers. */
      balance: z.string().min(1).default("roundrobin"),
      /** Connections that one HAProxy accepts at a time. */
      maxConnections: z.int().min(10).max(100_000).default(4000),
      /** Requests that one application instance handles at a time; more wait in HAProxy's queue. */
      maxConnectionsPerInstance: z.int().min(1).default(200),
      /** Time between two health checks of a member; two failures take it out. */
      checkIntervalMilliseconds: milliseconds.default(500),
      /** The same while a member changes state or is down. */
      checkFastIntervalMilliseconds: milliseconds.default(250),
      /** Time between keepalived's adverts; the virtual IPs move after about four of them. */
      advertSeconds: seconds.default(0.2),
      /** Time between keepalived's looks at HAProxy; one that fails moves the virtual IPs. */
      trackSeconds: seconds.default(0.25),
      /** How long a stop lets requests finish. */
      drainSeconds: z.int().min(1).default(5),
      /**
       * How long connections that a reload found open may go on. The application renews its
       * connections to the database every 60 s, so none of them is cut.
       */
      reloadDrainSeconds: z.int().min(60).default(90),
    })
    .prefault({}),
  database: z
    .strictObject({
      maxConnections: z.int().min(20).default(100),
      sharedBuffersMegabytes: z.int().min(16).default(128),
      /** Any further parameter of PostgreSQL, as in postgresql.conf. */
      parameters: z
        .record(
          z.string().refine(isFreeParameter, {
            error: "is kept by hastack for safety, or has a setting of its own; leave it out",
          }),
          z.union([z.string(), z.number(), z.boolean()]),
        )
        .default({}),
      /** Life of the primary's lease in etcd. Patroni's floor is 20. */
      ttlSeconds: z.int().min(20, "must be 20 or more: Patroni refuses less").default(20),
      loopWaitSeconds: z.int().min(1).default(1),
      retryTimeoutSeconds: z.int().min(3, "must be 3 or more: Patroni refuses less").default(3),
      /** A standby further behind is not promoted. */
      maximumLagOnFailoverBytes: z.int().min(0).default(1_048_576),
    })
    .prefault({}),
  application: z
    .strictObject({
      /** Folder of the application, with its hastack.yaml, below the project's folder. */
      path: z.string().min(1).default("app"),
      /** The application's own settings; its hastack.yaml says which. */
      settings: z.record(z.string(), z.unknown()).default({}),
    })
    .prefault({}),
  /** The application's own secrets that it does not let hastack generate. */
  applicationSecrets: z.record(z.string(), z.string().min(1)).default({}),
  /** By the tiers' names; what is missing is as the application's hastack.yaml says. */
  tiers: z
    .record(
      z.string(),
      z.strictObject({
        /** Instances, where the platform makes the machines (docker). */
        instances: count.optional(),
        /** Connections of one instance to the primary, and as many to the replicas. */
        poolSize: z.int().min(1).optional(),
        /** How long an instance that stops still serves, so that HAProxy sees it leave. */
        drainSeconds: z.int().min(1).max(300).optional(),
        /** How long an instance that stops may take in all. */
        stopGraceSeconds: z.int().min(5).max(600).optional(),
        /** Memory of one instance. @default no limit, unless the application says one */
        memoryMegabytes: z.int().min(16).optional(),
      }),
    )
    .default({}),
  cache: z
    .strictObject({
      /** Memory for what is kept; what is nearest to its end makes room. */
      megabytes: z.int().min(8, "must be 8 megabytes or more").default(64),
    })
    .prefault({}),
  /**
   * What links in mails begin with. @default https:// (or http://, without a certificate) and the
   * virtual IP of the frontend
   */
  publicUrl: z
    .string()
    .refine(isOrigin, "must be an address such as https://travel.example, with nothing behind it")
    .optional(),
  /** The mail server for reset links. @default no mail is sent; `npm run reset-link` makes links */
  smtp: z
    .strictObject({
      host: z.hostname("must be a host's name or address, such as mail.example"),
      port: port.default(587),
      /** TLS from the start (port 465); otherwise STARTTLS where the server has it. */
      secure: z.boolean().default(false),
      /** Needs `smtpPassword` besides. @default no login */
      user: z.string().min(1).optional(),
      /** The address that mails come from. */
      from: z.email("must be a mail address such as travel@example.org"),
    })
    .optional(),
  /** Its password: `npx pulumi config set --secret hastack:smtpPassword`. */
  smtpPassword: z.string().min(1).optional(),
  /** How long a member may take to get healthy before `up` fails. */
  gateTimeoutSeconds: z.int().min(5).default(120),
});

/** Settings whose value no message may show. */
const secretSettings: ReadonlySet<string> = new Set([
  "smtpPassword",
  "certificate",
  "applicationSecrets",
]);

/** Of these, the ones that are one text: JSON in it means nothing. */
const secretTexts: ReadonlySet<string> = new Set(["smtpPassword", "certificate"]);

export type Settings = Readonly<z.output<typeof settingsSchema>> & { readonly stack: string };

/** A setting, or a set of them, that cannot stand: all problems at once, told without a stack trace. */
export class SettingsError extends RunError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration cannot stand:\n${problems.map((p) => `  ${p}`).join("\n")}`);
    this.name = "SettingsError";
    this.problems = problems;
  }
}

/**
 * Reads the configuration of a stack.
 * @param stack the stack's name
 * @param configuration Pulumi's configuration: full key (`hastack:platform`) to raw text
 * @throws SettingsError with every problem as setting, problem, value
 */
export function readSettings(
  stack: string,
  configuration: Readonly<Record<string, string>>,
): Settings {
  const values: Record<string, unknown> = {};
  for (const [key, raw] of Object.entries(configuration)) {
    if (!key.startsWith("hastack:")) continue;
    const name = key.slice("hastack:".length);
    values[name] = secretTexts.has(name) ? raw : parseValue(raw);
  }
  const parsed = settingsSchema.safeParse(values);
  if (!parsed.success)
    throw new SettingsError(describeIssues(parsed.error, values, configurationSource));
  const problems = platformProblems(values);
  if (problems.length > 0) throw new SettingsError(problems);
  return deepFreeze({ ...parsed.data, stack });
}

/** Pulumi hands objects, arrays, booleans and numbers over as JSON, and strings bare. */
function parseValue(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return raw;
  }
}

/** Settings that mean something on one platform alone, and what the other one has instead. */
const onlyOn: readonly {
  readonly path: string;
  readonly platform: string;
  readonly fix: string;
}[] = [
  { path: "machines", platform: "ssh", fix: "leave it out; hastack:members says how many to make" },
  { path: "ssh", platform: "ssh", fix: "leave it out" },
  {
    path: "members",
    platform: "docker",
    fix: "leave it out; hastack:machines says who has a role",
  },
  ...["publishedPorts", "publishedStatsPorts"].map((name) => ({
    path: `loadBalancer.${name}`,
    platform: "docker",
    fix: "leave it out; the load balancers are reached by their own addresses",
  })),
];

/** What the platform has no use for, or cannot do without. */
function platformProblems(values: Readonly<Record<string, unknown>>): string[] {
  const { platform } = values;
  const misplaced = onlyOn
    .filter(
      (one) => one.platform !== platform && valueAt(values, one.path.split(".")) !== undefined,
    )
    .map(
      (one) =>
        `hastack:${one.path}: is for the platform ${one.platform}, and this is ${platform}; ${one.fix}`,
    );
  return platform === "ssh" && values.machines === undefined
    ? [
        ...misplaced,
        "hastack:machines: is missing; on the platform ssh it lists the machines and their roles",
      ]
    : misplaced;
}

function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key],
    values,
  );
}

/** Where values come from. */
export interface Source {
  /** How each problem begins. */
  readonly prefix: string;
  /** The file that says which values there are. */
  readonly definedIn: string;
}

const configurationSource: Source = { prefix: "hastack:", definedIn: "infra/settings.ts" };

/** What is wrong with values, by setting, problem and value. */
export function describeIssues(error: z.ZodError, values: unknown, source: Source): string[] {
  return error.issues.flatMap((issue) => describe(issue, values, source));
}

function describe(
  issue: z.core.$ZodIssue,
  values: unknown,
  { prefix, definedIn }: Source,
): string[] {
  const path = issue.path.map(String);
  const named = (names: readonly string[]) =>
    names.length === 0 ? prefix.replace(/:\s*$/, "") : `${prefix}${namedPath(names, values)}`;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${named([...path, key])}: is no setting; see ${definedIn}`);
  }
  if (issue.code === "invalid_key") {
    return issue.issues.map(({ message }) => `${named(path)}: ${message}`);
  }
  const value = valueAt(values, path);
  const shown = secretSettings.has(path[0] ?? "") ? "a secret" : JSON.stringify(value);
  const seen = value === undefined ? "it is missing" : `it is ${shown}`;
  return [`${named(path)}: ${issue.message}; ${seen}`];
}

/** A path as people read it: things in a list go by their name, where they have one. */
function namedPath(path: readonly string[], values: unknown): string {
  return path
    .map((key, index) => {
      const name = valueAt(values, [...path.slice(0, index + 1), "name"]);
      return /^\d+$/.test(key) && typeof name === "string" ? name : key;
    })
    .join(".");
}

/** Nothing can change it later, however deep it lies. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
