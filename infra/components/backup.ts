import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Certificates } from "../certificates/certificates.ts";
import type { Platform, Process, SharedDirectory, Workload } from "../platform/platform.ts";
import {
  backupHealth,
  backupSecrets,
  programFiles,
  programs,
  renderBackup,
  repositoriesOf,
  repositoryFiles,
} from "../render/backup.ts";
import { backupDirectory } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { OutsideMember, Topology } from "../topology.ts";
import type { RestoreDrill } from "./restore-drill.ts";

export interface BackupArgs {
  readonly platform: Platform;
  readonly topology: Topology;
  readonly certificates: Certificates;
  /** How long backups are kept, how often they are made and where, with the secrets for that. */
  readonly settings: Pick<
    Settings,
    "backup" | "backupS3Secret" | "backupSftpKey" | "backupRepositoryKey"
  >;
  /** The directories that the application's instances share. */
  readonly shared: readonly SharedDirectory[];
  /** Queries for the files that rows name, by shared directory. */
  readonly filesOfRows: Readonly<Record<string, string>>;
  /** What tries the backups. @default nothing does */
  readonly drill?: RestoreDrill;
}

/**
 * Backups of the database and of the shared files, fetched by a machine of their own: nobody who has
 * another machine of the stack can reach them.
 */
export class Backup extends pulumi.ComponentResource {
  /** Names of the repositories. */
  readonly repositories: readonly string[];
  /** Days back to which can be restored. */
  readonly retentionDays: number;
  /** Passphrase of all repositories; a secret. */
  readonly repositoryKey: pulumi.Output<string>;

  constructor(name: string, args: BackupArgs, options?: pulumi.ComponentResourceOptions) {
    super("hastack:index:Backup", name, {}, options);
    const { backup, backupRepositoryKey: given } = args.settings;
    this.repositories = repositoriesOf(backup);
    this.retentionDays = backup.retentionDays;
    const made = this.#makeKey();
    this.repositoryKey = given === undefined ? made : pulumi.secret(given);
    for (const member of args.topology.members.backup) {
      const workload = keeper(args, member, this.repositoryKey);
      args.platform.place(workload, { parent: this, dependsOn: [] });
    }
    this.registerOutputs({ repositories: this.repositories, retentionDays: this.retentionDays });
  }

  /**
   * Made once, and with each stack: repositories outlive their machine, and whoever gives the role back to
   * one finds them as they were.
   */
  #makeKey(): pulumi.Output<string> {
    const { result } = new random.RandomPassword(
      "backup-repository-key",
      { length: 32, special: false },
      { parent: this, ignoreChanges: ["*"] },
    );
    return pulumi.secret(result);
  }
}

const packages = ["postgresql-17", "pgbackrest", "restic", "python3", "openssh-client"] as const;

/** Python would keep what it has compiled beside the files, where that was changed by hand. */
const environment = { PYTHONDONTWRITEBYTECODE: "1" };

/** It reads what the tiers' users have made, and runs PostgreSQL's programs as PostgreSQL's user. */
const keeperProcess: Process = {
  name: "keeper",
  command: ["python3", "keeper/keeper.py"],
  environment,
  directories: [{ path: backupDirectory, mode: "0755" }],
  stopGraceSeconds: 30,
};

/** It goes on while shared files cannot be reached. */
const receiveProcess: Process = {
  name: "receive",
  command: ["python3", "keeper/receive.py"],
  user: "postgres",
  environment,
  stopGraceSeconds: 20,
  sharesNothing: true,
};

function keeper(
  args: BackupArgs,
  self: OutsideMember,
  repositoryKey: pulumi.Output<string>,
): Workload {
  const { settings, topology, shared, filesOfRows, drill } = args;
  const { backup, backupS3Secret, backupSftpKey } = settings;
  // Each connection reads them anew
  const own = args.certificates.of(
    self.name,
    { leaves: ["keeper", "restored"] },
    { owner: "postgres" },
  );
  const plain = renderBackup({
    backup,
    topology,
    self,
    shared: Object.fromEntries(shared.map(({ name, path }) => [name, path])),
    filesOfRows,
    drillEveryDays: drill?.everyDays ?? 0,
  });
  return {
    host: self,
    component: "Backup",
    packages,
    processes: [keeperProcess, receiveProcess],
    files: [
      ...own.files,
      { path: "backup.json", content: plain, restarts: programs },
      ...repositoryFiles(backup),
      ...programFiles(),
    ],
    secrets: {
      ...own.secrets,
      [backupSecrets.key]: repositoryKey,
      ...(backupS3Secret !== undefined && { [backupSecrets.s3]: pulumi.secret(backupS3Secret) }),
      ...(backupSftpKey !== undefined && {
        [backupSecrets.sftp]: pulumi.secret(`${backupSftpKey.trim()}\n`),
      }),
    },
    data: [{ name: "data", path: backupDirectory, own: backupDirectory, keep: true }],
    shared,
    health: { command: backupHealth, meaning: "the log of the database arrives" },
  };
}
