import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { backupProblems, backupWarnings } from "../../../../infra/rules/backup.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { givenMachines } from "../../../../infra/topology.ts";
import { makeCertificate } from "../../../support/certificates.ts";
import {
  type Cases,
  hostKeyOf,
  machineSettings,
  planWith,
  refusal,
  settingsWith,
} from "../../../support/unit/fixtures.ts";

const s3 = { endpoint: "s3.example", bucket: "backups", keyId: "key" };
const sftp = {
  host: "files.example",
  user: "backup",
  path: "/srv/hastack",
  hostKey: hostKeyOf("files"),
};
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const withPassphrase = privateKey
  .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" })
  .toString();

/** As ssh-keygen writes a key: what is behind the cipher's name does not matter here. */
function ofOpenssh(cipher: string): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(cipher.length);
  const bytes = [Buffer.from("openssh-key-v1\0"), length, Buffer.from(`${cipher} and more`)];
  const text = Buffer.concat(bytes).toString("base64");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${text}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

const problemsOf = (changes: Readonly<Record<string, unknown>>) =>
  backupProblems(settingsWith(changes), []).map(formatProblem);

describe("rules on backups", () => {
  const refused: Cases = [
    [
      "no repository at all",
      { backup: { local: false } },
      [
        "hastack:backup.local: false leaves backups no repository, set hastack:backup.s3 or hastack:backup.sftp, or leave it out",
      ],
    ],
    [
      "an S3 server without its secret",
      { backup: { s3 } },
      [
        "hastack:backup.s3.keyId: key has no secret access key, give it by npx pulumi config set --stack test --secret hastack:backupS3Secret, or leave backup.s3 out",
      ],
    ],
    [
      "the secret of an S3 server that there is not",
      { backupS3Secret: "secret" },
      [
        "hastack:backupS3Secret: has no repository to go with, set hastack:backup.s3, or leave the secret out",
      ],
    ],
    [
      "an SFTP server without its key",
      { backup: { sftp } },
      [
        "hastack:backup.sftp.user: backup has no private key, give it by npx pulumi config set --stack test --secret hastack:backupSftpKey, or leave backup.sftp out",
      ],
    ],
    [
      "the key of an SFTP server that there is not",
      { backupSftpKey: key },
      [
        "hastack:backupSftpKey: has no repository to go with, set hastack:backup.sftp, or leave the secret out",
      ],
    ],
    [
      "a host key that is none",
      { backup: { sftp: { ...sftp, hostKey: "ssh-ed25519 AAAA" } }, backupSftpKey: key },
      [
        'hastack:backup.sftp.hostKey: "ssh-ed25519 AAAA" is not an SSH host key, use its type (ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa) and the key',
      ],
    ],
    ...[withPassphrase, ofOpenssh("aes256-ctr")].map((one, index): Cases[number] => [
      `a key with a passphrase, of form ${index + 1}`,
      { backup: { sftp }, backupSftpKey: one },
      ["hastack:backupSftpKey: has a passphrase, make a key without one (ssh-keygen -N '')"],
    ]),
    [
      "a public key",
      { backup: { sftp }, backupSftpKey: hostKeyOf("mine") },
      [
        "hastack:backupSftpKey: is not one private key in PEM, use the file that ssh-keygen has written, not the one that ends in .pub",
      ],
    ],
  ];
  for (const [what, changes, lines] of refused) {
    it(`O3, W5: refuse ${what}`, () => assert.deepEqual(problemsOf(changes), lines));
  }

  it("O3: take repositories with all that they need, and none of these at all", () => {
    for (const own of [key, ofOpenssh("none")]) {
      const all = { backup: { local: false, s3, sftp }, backupS3Secret: "s", backupSftpKey: own };
      assert.deepEqual(problemsOf(all), []);
    }
    assert.deepEqual(problemsOf({}), []);
  });

  it("O3, W5: refuse an authority of the S3 server that vouches for nothing, and show none of it", async () => {
    const { key: own } = await makeCertificate({ authority: true });
    const backup = { s3: { ...s3, certificateAuthority: own } };
    assert.deepEqual(problemsOf({ backup, backupS3Secret: "s" }), [
      "hastack:backup.s3.certificateAuthority: holds a private key, which nobody needs to check a certificate, use the authority's certificate, or several, as PEM",
    ]);
  });

  it("O3, W5: refuse a machine that has the database, too: its root could destroy both", () => {
    const settings = machineSettings();
    const [machine] = givenMachines(settings).filter(({ roles }) => roles.includes("database"));
    assert.ok(machine);
    const both = [{ ...machine, roles: [...machine.roles, "backup"] }];
    assert.deepEqual(backupProblems(settings, both).map(formatProblem), [
      "hastack:machines.db-1.roles: backup is beside database: whoever is root there could destroy the database and its backups, give the role to another machine",
    ]);
    assert.deepEqual(backupProblems(settings, givenMachines(settings)), []);
  });

  it("O3, W5: refuse a second machine", () => {
    assert.deepEqual(
      refusal(() => planWith({ members: { backup: 2 } })),
      [
        "hastack:members.backup: 2 machines would each have to fetch all of it, use 1 (or 0 to go without)",
      ],
    );
  });

  it("O3: warn of repositories that nobody writes to", () => {
    const outside = { backup: { s3 }, backupS3Secret: "secret" };
    const warned = (members: Readonly<Record<string, number>>) => {
      const { settings, topology } = planWith({ ...outside, members });
      return backupWarnings(settings, topology).map(formatProblem);
    };
    assert.deepEqual(warned({ backup: 0 }), [
      "hastack:backup.s3: is where backups are kept, and no machine has the role backup: none are made, give the role to a machine (on Docker by hastack:members.backup: 1)",
    ]);
    assert.deepEqual(warned({ backup: 1 }), []);
  });
});
