/**
 * What an application is given: environment variables by the names that programs know, and its
 * secrets as files. docs/your-application.md says what each one means.
 */
import { publicUrlOf } from "../certificate.ts";
import { authorityFile } from "../certificates/domains.ts";
import { firstGeneration, isChanging } from "../generations.ts";
import { credentialsFolder, type ManagedFile } from "../platform/platform.ts";
import { filesDaysOf } from "../render/backup.ts";
import { cacheUser } from "../render/cache.ts";
import { cacheAddress, loopback } from "../render/instance-proxy.ts";
import { databaseName } from "../render/patroni.ts";
import { ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member, Topology } from "../topology.ts";
import type { Application, Tier } from "./application.ts";
import {
  jobProcessName,
  migrationsUser,
  type StackVariable,
  variableOf,
  variableOfOutside,
  variableOfSecret,
  variableOfShared,
} from "./names.ts";

/** Database role that owns the database; the migrations run as it. */
const migrationRole = "migrator";
/** Debian's client of the database, by which jobs note their runs. */
const jobPackages = ["postgresql-client"];
/** The file of the variables, beside the workload's others. */
export const environmentFile = "environment";

/** What the proxy beside an instance is, and asks it for its state. */
const proxyPackages = ["haproxy", "socat"];

/** Debian packages of every instance, and of the migrations: Docker has one image for both. */
export function applicationPackages(application: Application): readonly string[] {
  const { packages, jobs, tiers, cache } = application;
  return [
    ...packages,
    ...(jobs.length > 0 ? jobPackages : []),
    ...(cache || tiers.some(({ port }) => port !== undefined) ? proxyPackages : []),
  ];
}

/** Path of a directory that all instances share. */
export function sharedPath(name: string): string {
  return `/var/lib/hastack/${name}`;
}

/** What the variables are made of. */
export interface Given {
  readonly application: Application;
  readonly settings: Pick<
    Settings,
    "smtp" | "smtpPassword" | "publicUrl" | "certificate" | "network" | "loadBalancer" | "backup"
  >;
  readonly topology: Topology;
  /** Hash of the release. */
  readonly release: string;
}

/** Environment variables by their names; `@{…}` are secrets. */
export type Variables = Readonly<Record<string, string>>;
/** The compiler knows the stack's own names. */
const stack = (variables: Partial<Record<StackVariable, string>>): Variables => variables;

/** Variables of one instance of a tier. */
export function instanceVariables(given: Given, tier: Tier, self: Member): Variables {
  const { settings, topology, release } = given;
  const { vip } = topology.network.backend;
  const url = (port: number) => databaseUrl(tier.databaseLogin, vip, port);
  return {
    ...stack({
      ...(tier.port !== undefined && { HOST: loopback, PORT: String(tier.port) }),
      HASTACK_INSTANCE: self.name,
      HASTACK_TIER: tier.name,
      HASTACK_RELEASE: release,
      HASTACK_KEEP_FILES_DAYS: keepFilesDays(given),
      DATABASE_URL: url(ports.primary),
      DATABASE_READER_URL: url(ports.replicas),
      DATABASE_POOL_SIZE: String(tier.poolSize),
      ...libpqVariables(tier.databaseLogin, vip, ports.primary),
      PUBLIC_URL: publicUrlOf(settings),
      TRUSTED_PROXIES: loopback,
      DRAIN_SECONDS: String(tier.drainSeconds),
      STOP_GRACE_SECONDS: String(tier.stopGraceSeconds),
      ...(usesCache(given) && {
        REDIS_URL: `redis://${cacheUser}:@{cache_password}@${cacheAddress(tier.name)}:${ports.cache}/0`,
      }),
    }),
    ...(tier.mail ? mailVariables(settings, vip) : {}),
    ...ownVariables(given, tier),
    ...tier.environment,
  };
}

/** How long a file that is removed is kept in the trash. */
function keepFilesDays({ settings, topology }: Pick<Given, "settings" | "topology">): string {
  return String(topology.members.backup.length > 0 ? filesDaysOf(settings.backup) : 0);
}

/** PostgreSQL shows a certificate for the address; clients find the authority beside their files. */
const databaseAuthority = `@{folder}/${authorityFile("database")}`;

function databaseUrl(role: string, host: string, port: number): string {
  return `postgresql://${role}:@{database_password}@${host}:${port}/${databaseName}?sslmode=verify-full&sslrootcert=${databaseAuthority}`;
}

/** The same, as libpq reads it. */
function libpqVariables(role: string, host: string, port: number): Variables {
  return stack({
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: role,
    PGPASSWORD: "@{database_password}",
    PGDATABASE: databaseName,
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: databaseAuthority,
  });
}

/** Certificates that vouch for the mail server's own, beside a workload's other files. */
const mailAuthorityFile = "tls/smtp-ca.crt";

/** The file that `SMTP_CA_FILE` names, for a tier that has it. */
export function mailFiles({ smtp }: Given["settings"], { name, mail }: Tier): ManagedFile[] {
  const content = smtp?.certificateAuthority;
  if (!mail || content === undefined) return [];
  return [{ path: mailAuthorityFile, content, mode: "0444", restarts: name }];
}

/** Whether there is a cache, and the application uses it. */
export function usesCache({ application, topology }: Pick<Given, "application" | "topology">) {
  return application.cache && topology.members.cache.length > 0;
}

/** The way to the stack's mail server, where there is one: by the load balancers. */
function mailVariables({ smtp, smtpPassword }: Given["settings"], vip: string): Variables {
  if (smtp === undefined) return {};
  const password = smtpPassword === undefined ? "" : ":@{smtp_password}";
  const login = smtp.user === undefined ? "" : `${encodeURIComponent(smtp.user)}${password}@`;
  return stack({
    SMTP_URL: `${smtp.secure ? "smtps" : "smtp"}://${login}${vip}:${ports.mail}`,
    SMTP_SERVERNAME: smtp.host,
    ...(smtp.certificateAuthority !== undefined && {
      SMTP_CA_FILE: `@{folder}/${mailAuthorityFile}`,
    }),
    MAIL_FROM: smtp.from,
  });
}

/**
 * Variables of the migrations. `$PRIMARY` is where their script has found the primary: they run
 * before there is a load balancer.
 */
export function migrationVariables(given: Given): Variables {
  return {
    ...stack({
      HASTACK_RELEASE: given.release,
      HASTACK_KEEP_FILES_DAYS: keepFilesDays(given),
      DATABASE_URL: databaseUrl(migrationRole, "$PRIMARY", ports.postgres),
      ...libpqVariables(migrationRole, "$PRIMARY", ports.postgres),
      PUBLIC_URL: publicUrlOf(given.settings),
    }),
    ...ownVariables(given),
  };
}

/**
 * The application's own: settings, secrets, shared directories, hosts outside.
 * @param tier that gets them @default the migrations
 */
function ownVariables({ application, topology }: Given, tier?: Tier): Variables {
  const { values, shared, outside } = application;
  const entries = [
    ...Object.entries(values).map(([name, value]) => [variableOf(name), String(value)]),
    ...secretNames(application, tier).map((name) => [
      variableOfSecret(name),
      tier ? `@{credentials}/${name}` : `@{folder}/${secretFile(name)}`,
    ]),
    ...shared.map((name) => [variableOfShared(name), sharedPath(name)]),
    ...Object.keys(outside).map((name, index) => [
      variableOfOutside(name),
      `${topology.network.backend.vip}:${ports.firstOutside + index}`,
    ]),
  ];
  return Object.fromEntries(entries);
}

/**
 * The application's own secrets that there are in this stack, and that a tier gets to see.
 * @param tier whose they are @default the migrations, which get all that are not one tier's
 */
export function secretNames({ secrets, givenSecrets }: Application, tier?: Tier): string[] {
  return Object.entries(secrets)
    .filter(([name, { generated }]) => generated || givenSecrets[name] !== undefined)
    .filter(([, { tiers, perTier }]) => (tier ? (tiers?.includes(tier.name) ?? true) : !perTier))
    .map(([name]) => name);
}

const secretFile = (name: string) => `${credentialsFolder}/${name}`;

/** How the application's own secrets are called among a workload's secrets. */
export const secretKey = (name: string): string => `own_${name}`;
/** The one of another generation that is taken, too. */
export const otherSecretKey = (name: string): string => `other_${name}`;

/** Whether whoever has a secret is given another one, too, which takes its place or did it take. */
export function hasOther({ secrets, generations }: Application, name: string): boolean {
  return secrets[name]?.several === true && isChanging(generations[name] ?? firstGeneration);
}

/**
 * The files that carry the variables and the application's own secrets.
 * @param tier whose they are @default the migrations
 */
export function givenFiles(
  application: Application,
  variables: Variables,
  tier?: Tier,
): ManagedFile[] {
  const file = (path: string, content: string, readBy: Partial<ManagedFile>): ManagedFile => ({
    path,
    content,
    mode: "0400",
    ...readBy,
  });
  const own = { owner: migrationsUser };
  const processes = tier && [tier.name, ...tier.jobs.map(({ name }) => jobProcessName(name))];
  return [
    // Of an instance it is read by root, who hands the variables on
    file(environmentFile, renderEnvironment(variables), tier ? { restarts: tier.name } : own),
    ...secretNames(application, tier).map((name) =>
      file(
        secretFile(name),
        tier && hasOther(application, name)
          ? `@{${secretKey(name)}}\n@{${otherSecretKey(name)}}`
          : `@{${secretKey(name)}}`,
        processes ? { credentialOf: processes } : own,
      ),
    ),
  ];
}

/** In these alone `$PRIMARY` is no text. */
const withPrimary: ReadonlySet<string> = new Set<StackVariable>(["DATABASE_URL", "PGHOST"]);

/** Lines that a shell and systemd read alike. */
export function renderEnvironment(variables: Variables): string {
  return Object.entries(variables)
    .map(([name, value]) => {
      const special = withPrimary.has(name) ? /["\\`]|\$(?!PRIMARY)/g : /["\\`$]/g;
      return `${name}="${value.replaceAll(special, "\\$&")}"\n`;
    })
    .join("");
}
