/** Names that follow from those in an application's description. */

/** A tier's role in the database: the prefix keeps it apart from the stack's own. */
export function databaseRoleOf(tier: string): string {
  return `app_${tier.replaceAll("-", "_")}`;
}

/** Unix user of a tier's programs; with the longest name it is 28 characters, and Linux takes 32. */
export const userOf = (tier: string): string => `hastack-${tier}`;
export const migrationsUser = userOf("migrations");
/** All of an application's. */
export const usersOf = ({ tiers }: { readonly tiers: readonly { readonly name: string }[] }) => [
  migrationsUser,
  ...tiers.map(({ name }) => userOf(name)),
];
/** The process beside a tier's instances that runs a job. */
export const jobProcessName = (job: string): string => `job-${job}`;
/** Group of all of them, by which they share directories. */
export const sharingGroup = "hastack";
/** What is made in such a directory is the group's as much as its maker's, and nobody else's. */
export const sharingUmask = "0007";

/** The environment variable for a name such as `logLevel` or `user-files`: `LOG_LEVEL`, `USER_FILES`. */
export function variableOf(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll("-", "_")
    .toUpperCase();
}

export const variableOfSecret = (name: string): string => `${variableOf(name)}_FILE`;
export const variableOfShared = (name: string): string => `${variableOf(name)}_DIRECTORY`;
export const variableOfOutside = (name: string): string => `${variableOf(name)}_ADDRESS`;

/** Variables that the stack gives; an application's own must have other names. */
export const stackVariables = [
  "PATH",
  "LANG",
  "HOST",
  "PORT",
  "HASTACK_INSTANCE",
  "HASTACK_TIER",
  "HASTACK_RELEASE",
  "HASTACK_KEEP_FILES_DAYS",
  "DATABASE_URL",
  "DATABASE_READER_URL",
  "DATABASE_POOL_SIZE",
  "PGHOST",
  "PGPORT",
  "PGUSER",
  "PGPASSWORD",
  "PGDATABASE",
  "PGSSLMODE",
  "PGSSLROOTCERT",
  "REDIS_URL",
  "SMTP_URL",
  "SMTP_SERVERNAME",
  "SMTP_CA_FILE",
  "MAIL_FROM",
  "PUBLIC_URL",
  "TRUSTED_PROXIES",
  "DRAIN_SECONDS",
  "STOP_GRACE_SECONDS",
] as const;
export type StackVariable = (typeof stackVariables)[number];
