/**
 * What the machine of backups is told: its plain settings, pgBackRest's configuration for the database,
 * restic's repositories for files. The programs that work by them are in `backup/`.
 */
import { readdirSync } from "node:fs";
import { inRoot, readProjectFile } from "../../lib/paths.ts";
import { authorityFile, leafFile } from "../certificates/domains.ts";
import { hostKeyText, parseHostKey } from "../host-key.ts";
import { backupDirectory, ports } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { Member, Topology } from "../topology.ts";
import { databaseName } from "./patroni.ts";

/** Where a restored database has its socket. */
export const restoredSocketDirectory = `${backupDirectory}/restored/socket`;

type BackupSettings = Settings["backup"];

/**
 * For how many days copies of files are kept, and files that the application has removed. Of the database the full
 * backup before the limit stays, so that rows reach back further than `retentionDays`; their files must, too.
 */
export const filesDaysOf = ({
  retentionDays,
  fullEveryDays,
}: Pick<BackupSettings, "retentionDays" | "fullEveryDays">): number =>
  retentionDays + fullEveryDays + 1;

/** A file of the machine, with the processes that start anew with another one. */
export interface BackupFile {
  readonly path: string;
  /** `@{…}` are secrets. */
  readonly content: string;
  /** @default root */
  readonly owner?: string;
  /** Octal. @default 0644 */
  readonly mode?: string;
  readonly restarts: readonly string[];
}

/** The repositories that there are, in the order of pgBackRest's numbers. */
export function repositoriesOf({ local, s3, sftp }: BackupSettings): string[] {
  return [
    ...(local ? ["local"] : []),
    ...(s3 === undefined ? [] : ["s3"]),
    ...(sftp === undefined ? [] : ["sftp"]),
  ];
}

/** What the plain settings are made of. */
export interface BackupWishes {
  readonly backup: BackupSettings;
  readonly topology: Topology;
  readonly self: Member;
  /** Paths of the application's shared directories, by their names. */
  readonly shared: Readonly<Record<string, string>>;
  /** Queries for the files that rows name, by shared directory. */
  readonly filesOfRows: Readonly<Record<string, string>>;
  /** Days between two drills; 0 is none. */
  readonly drillEveryDays: number;
}

/** Settings without a secret, as JSON. */
export function renderBackup(wishes: BackupWishes): string {
  const { backup, topology, self, shared, filesOfRows, drillEveryDays } = wishes;
  const { vip } = topology.network.backend;
  const { retentionDays, fullEveryDays, differentialEveryHours, backupAt } = backup;
  const { archiveTimeoutSeconds, filesEverySeconds, spoolMegabytes } = backup;
  const all = {
    primary: `${vip}:${ports.primary}`,
    replicas: `${vip}:${ports.replicas}`,
    database: databaseName,
    connection: {
      sslmode: "verify-full",
      sslrootcert: `@{folder}/${authorityFile("database")}`,
      sslcert: `@{folder}/${leafFile("keeper")}`,
      sslkey: `@{folder}/${leafFile("keeper")}`,
    },
    member: self.name,
    address: self.backend,
    databaseMembers: topology.members.database.map(({ name, backend }) => ({
      name,
      address: backend,
    })),
    restoredPort: ports.restored,
    retentionDays,
    filesDays: filesDaysOf(backup),
    fullEveryDays,
    differentialEveryHours,
    backupAt,
    archiveTimeoutSeconds,
    filesEverySeconds,
    spoolMegabytes,
    repositories: repositoriesOf(backup),
    shared,
    filesOfRows,
    drill: { everyDays: drillEveryDays },
  };
  return `${JSON.stringify(all, null, 2)}\n`;
}

/** Secrets of the machine's files. */
export const backupSecrets = {
  key: "backup_repository_key",
  s3: "backup_s3_secret",
  sftp: "backup_sftp_key",
} as const;

const authorityOfS3 = "tls/s3-ca.crt";
const sftpKey = "sftp/key";
const knownHosts = "sftp/known_hosts";
const inFolder = (path: string) => `@{folder}/${path}`;

/** Each repository of the database has its own number, and the same passphrase and rules. */
export function renderPgbackrest(backup: BackupSettings): string {
  const repositories = [
    ...(backup.local ? [localRepository] : []),
    ...(backup.s3 ? [s3Repository(backup.s3)] : []),
    ...(backup.sftp ? [sftpRepository(backup.sftp)] : []),
  ];
  const rules = {
    "cipher-type": "aes-256-cbc",
    "cipher-pass": `@{${backupSecrets.key}}`,
    "retention-full-type": "time",
    "retention-full": backup.retentionDays,
    // Many small files in one, and of large ones the parts that have changed
    bundle: "y",
    block: "y",
  };
  return [
    "[global]",
    "compress-type=zst",
    "log-level-file=off",
    ...repositories.flatMap((one, index) =>
      Object.entries({ ...one, ...rules }).map(
        ([key, value]) => `repo${index + 1}-${key}=${value}`,
      ),
    ),
    "",
  ].join("\n");
}

type Options = Readonly<Record<string, string | number>>;

const localRepository: Options = { type: "posix", path: `${backupDirectory}/repository` };

function s3Repository(s3: NonNullable<BackupSettings["s3"]>): Options {
  const { host, port } = endpointOf(s3);
  return {
    type: "s3",
    path: `${s3.prefix}/database`,
    "s3-bucket": s3.bucket,
    "s3-endpoint": host,
    "s3-region": s3.region,
    "s3-uri-style": s3.pathStyle ? "path" : "host",
    "s3-key": s3.keyId,
    "s3-key-secret": `@{${backupSecrets.s3}}`,
    ...(port !== undefined && { "storage-port": port }),
    ...(s3.certificateAuthority !== undefined && { "storage-ca-file": inFolder(authorityOfS3) }),
  };
}

function endpointOf({ endpoint }: NonNullable<BackupSettings["s3"]>) {
  const [host = "", port] = endpoint.split(":");
  return { host, ...(port !== undefined && { port }) };
}

function sftpRepository({ host, port, user, path }: NonNullable<BackupSettings["sftp"]>): Options {
  return {
    type: "sftp",
    path: `${path}/database`,
    "sftp-host": host,
    "sftp-host-port": port,
    "sftp-host-user": user,
    "sftp-private-key-file": inFolder(sftpKey),
    "sftp-known-host": inFolder(knownHosts),
    "sftp-host-key-hash-type": "sha256",
  };
}

/** A repository of files, as restic is called for it. */
interface ResticRepository {
  readonly name: string;
  readonly repository: string;
  /** Variables of its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Words of its command line. */
  readonly options: readonly string[];
  readonly password: string;
}

/** restic's repositories, as JSON. */
export function renderRepositories(backup: BackupSettings): string {
  const all: readonly Omit<ResticRepository, "password">[] = [
    ...(backup.local ? [localFiles] : []),
    ...(backup.s3 ? [s3Files(backup.s3)] : []),
    ...(backup.sftp ? [sftpFiles(backup.sftp)] : []),
  ];
  const password = `@{${backupSecrets.key}}`;
  return `${JSON.stringify(
    all.map((one): ResticRepository => ({ ...one, password })),
    null,
    2,
  )}\n`;
}

const localFiles = {
  name: "local",
  repository: `${backupDirectory}/files-repository`,
  environment: {},
  options: [],
};

function s3Files(s3: NonNullable<BackupSettings["s3"]>) {
  const { endpoint, region, bucket, prefix, pathStyle, keyId, certificateAuthority } = s3;
  return {
    name: "s3",
    repository: `s3:https://${endpoint}/${bucket}${prefix}/files`,
    environment: {
      AWS_ACCESS_KEY_ID: keyId,
      AWS_SECRET_ACCESS_KEY: `@{${backupSecrets.s3}}`,
      AWS_DEFAULT_REGION: region,
    },
    options: [
      "-o",
      `s3.bucket-lookup=${pathStyle ? "path" : "dns"}`,
      ...(certificateAuthority === undefined ? [] : ["--cacert", inFolder(authorityOfS3)]),
    ],
  };
}

function sftpFiles({ host, port, user, path }: NonNullable<BackupSettings["sftp"]>) {
  const ssh = [
    `-i ${inFolder(sftpKey)}`,
    `-o UserKnownHostsFile=${inFolder(knownHosts)}`,
    "-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10",
    "-o ServerAliveInterval=15 -o ServerAliveCountMax=4",
  ];
  return {
    name: "sftp",
    repository: `sftp://${user}@${host}:${port}/${path}/files`,
    environment: {},
    options: ["-o", `sftp.args=${ssh.join(" ")}`],
  };
}

/** The processes, which read their files as they start. */
export const programs = ["keeper", "receive"] as const;
/** Whoever stores the database is PostgreSQL's user; root may read it, too. */
const ofPostgres = { owner: "postgres", mode: "0600", restarts: programs };

/** Files of the repositories, with the places of their secrets. */
export function repositoryFiles(backup: BackupSettings): BackupFile[] {
  const { s3, sftp } = backup;
  return [
    { path: "pgbackrest.conf", content: renderPgbackrest(backup), ...ofPostgres },
    {
      path: "repositories.json",
      content: renderRepositories(backup),
      mode: "0400",
      restarts: programs,
    },
    ...(s3?.certificateAuthority === undefined
      ? []
      : [{ path: authorityOfS3, content: s3.certificateAuthority, restarts: programs }]),
    ...(sftp === undefined
      ? []
      : [
          { path: sftpKey, content: `@{${backupSecrets.sftp}}`, ...ofPostgres },
          { path: knownHosts, content: renderKnownHosts(sftp), restarts: programs },
        ]),
  ];
}

function renderKnownHosts({ host, port, hostKey }: NonNullable<BackupSettings["sftp"]>): string {
  const key = parseHostKey(hostKey);
  const name = port === 22 ? host : `[${host}]:${port}`;
  return `${name} ${key === undefined ? hostKey : hostKeyText(key)}\n`;
}

const folderHere = "infra/render/backup";

/** The programs, each as it lies in their folder here. */
export function programFiles(): BackupFile[] {
  return readdirSync(inRoot(folderHere))
    .filter((name) => name.endsWith(".py"))
    .sort()
    .map((name) => ({
      path: `keeper/${name}`,
      content: readProjectFile(`${folderHere}/${name}`),
      restarts: programs,
    }));
}

/** Seconds after which what is said of the connection counts for nothing. */
const staleSeconds = 30;

/** Command that succeeds while the database's log arrives, and says else why it does not. */
export const backupHealth = `python3 -c '
import datetime, json, sys
try:
    state = json.load(open("${backupDirectory}/state/receive.json"))
except (OSError, ValueError):
    sys.exit("it has not begun to receive the log of the database")
age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(state["at"])
if age.total_seconds() > ${staleSeconds}:
    sys.exit("it has said nothing of the log of the database since " + state["at"])
if not state["connected"]:
    sys.exit("the log of the database does not arrive: " + str(state.get("why") or "it is not connected"))'`;
