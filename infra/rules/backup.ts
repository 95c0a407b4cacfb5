/**
 * Backups: apart from what they are of, in some repository, and with the secrets that it takes. No
 * message shows a secret.
 */
import { blocks, keyLabel } from "../certificate.ts";
import { hostKeyTypes, parseHostKey } from "../host-key.ts";
import type { Settings } from "../settings.ts";
import type { Machine, Topology } from "../topology.ts";
import { authorityProblem } from "./authority.ts";
import type { Problem } from "./problem.ts";

type Wishes = Pick<Settings, "backup" | "backupS3Secret" | "backupSftpKey" | "stack">;

export function backupProblems(settings: Wishes, machines: readonly Machine[]): Problem[] {
  const { local, s3, sftp } = settings.backup;
  const isKept = local || s3 !== undefined || sftp !== undefined;
  const nowhere: Problem = {
    path: "backup.local",
    value: "false",
    why: "leaves backups no repository",
    fix: "set hastack:backup.s3 or hastack:backup.sftp, or leave it out",
  };
  return [
    ...machines.flatMap(togetherProblems),
    ...(isKept ? [] : [nowhere]),
    ...s3Problems(settings),
    ...sftpProblems(settings),
  ];
}

/** Whoever is root on a database machine must not reach the backups, too. */
function togetherProblems({ name, roles }: Machine): Problem[] {
  if (!roles.includes("backup") || !roles.includes("database")) return [];
  return [
    {
      path: `machines.${name}.roles`,
      value: "backup",
      why: "is beside database: whoever is root there could destroy the database and its backups",
      fix: "give the role to another machine",
    },
  ];
}

function s3Problems({ backup: { s3 }, backupS3Secret, stack }: Wishes): Problem[] {
  const authority = authorityProblem(s3?.certificateAuthority);
  return [
    ...pairProblems(
      { path: "backup.s3.keyId", value: s3?.keyId, what: "secret access key" },
      { path: "backupS3Secret", value: backupS3Secret },
      { setting: "backup.s3", give: `npx pulumi config set --stack ${stack} --secret` },
    ),
    ...(authority ? [{ path: "backup.s3.certificateAuthority", ...authority }] : []),
  ];
}

function sftpProblems({ backup: { sftp }, backupSftpKey, stack }: Wishes): Problem[] {
  const key = keyProblem(backupSftpKey);
  const isHostKey = sftp === undefined || parseHostKey(sftp.hostKey) !== undefined;
  return [
    ...pairProblems(
      { path: "backup.sftp.user", value: sftp?.user, what: "private key" },
      { path: "backupSftpKey", value: backupSftpKey },
      { setting: "backup.sftp", give: `npx pulumi config set --stack ${stack} --secret` },
    ),
    ...(key ? [{ path: "backupSftpKey", ...key }] : []),
    ...(isHostKey
      ? []
      : [
          {
            path: "backup.sftp.hostKey",
            value: JSON.stringify(sftp.hostKey),
            why: "is not an SSH host key",
            fix: `use its type (${hostKeyTypes.join(", ")}) and the key`,
          },
        ]),
  ];
}

interface Login {
  readonly path: string;
  readonly value: string | undefined;
  readonly what: string;
}

/** A login and its secret: both, or neither. */
function pairProblems(
  login: Login,
  secret: Omit<Login, "what">,
  { setting, give }: { readonly setting: string; readonly give: string },
): Problem[] {
  if (login.value !== undefined && secret.value === undefined) {
    const fix = `give it by ${give} hastack:${secret.path}, or leave ${setting} out`;
    return [{ path: login.path, value: login.value, why: `has no ${login.what}`, fix }];
  }
  if (login.value !== undefined || secret.value === undefined) return [];
  const fix = `set hastack:${setting}, or leave the secret out`;
  return [{ path: secret.path, why: "has no repository to go with", fix }];
}

/** Nobody is there to type a passphrase. */
function keyProblem(pem: string | undefined): Pick<Problem, "why" | "fix"> | undefined {
  if (pem === undefined) return undefined;
  const [key, other] = blocks(pem, keyLabel);
  if (key === undefined || other !== undefined) {
    return {
      why: "is not one private key in PEM",
      fix: "use the file that ssh-keygen has written, not the one that ends in .pub",
    };
  }
  return isEncrypted(key)
    ? { why: "has a passphrase", fix: "make a key without one (ssh-keygen -N '')" }
    : undefined;
}

/** OpenSSH's own form names the cipher behind a mark of 15 bytes and a length. */
function isEncrypted(key: string): boolean {
  if (/ENCRYPTED/.test(key)) return true;
  if (!key.startsWith("-----BEGIN OPENSSH PRIVATE KEY-----")) return false;
  const bytes = Buffer.from(key.replaceAll(/-----[A-Z ]+-----|\s/g, ""), "base64");
  const from = "openssh-key-v1\0".length;
  if (bytes.length < from + 4) return false;
  return bytes.toString("latin1", from + 4, from + 4 + bytes.readUInt32BE(from)) !== "none";
}

/** Repositories that nobody writes to. */
export function backupWarnings(
  { backup: { s3, sftp } }: Pick<Settings, "backup">,
  { members }: Pick<Topology, "members">,
): Problem[] {
  if (members.backup.length > 0) return [];
  return Object.entries({ s3, sftp })
    .filter(([, given]) => given !== undefined)
    .map(([name]) => ({
      path: `backup.${name}`,
      why: "is where backups are kept, and no machine has the role backup: none are made",
      fix: "give the role to a machine (on Docker by hastack:members.backup: 1)",
    }));
}
