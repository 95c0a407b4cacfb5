import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import {
  backupHealth,
  renderBackup,
  renderPgbackrest,
  renderRepositories,
  repositoriesOf,
  repositoryFiles,
} from "../../../../infra/render/backup.ts";
import { makeCertificate } from "../../../support/certificates.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, hostKeyOf, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { describeStack, workloadOf } from "../../../support/unit/stack.ts";

const s3 = {
  endpoint: "s3.invalid:9000",
  region: "eu-1",
  bucket: "backups",
  prefix: "/shop",
  pathStyle: true,
  keyId: "key",
};
const sftp = {
  host: "files.invalid",
  port: 2222,
  user: "backup",
  path: "/srv/hastack",
  hostKey: `${hostKeyOf("files")} root@files`,
};
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const everywhere = {
  members: { backup: 1 },
  backup: { retentionDays: 30, s3, sftp },
  backupS3Secret: "secret",
  backupSftpKey: key,
};
const plan = planWith(everywhere);
const { backup } = plan.settings;

describe("what the machine of backups is told", () => {
  it("O3: is this, in plain settings", () => {
    const { settings, topology } = planWith({ members: { backup: 1 } });
    const text = renderBackup({
      backup: settings.backup,
      topology,
      self: first(topology.members.backup),
      shared: { uploads: "/var/lib/hastack/uploads" },
      filesOfRows: { uploads: "SELECT path FROM picture" },
      drillEveryDays: 7,
    });
    assert.deepEqual(JSON.parse(text), {
      primary: "10.2.0.100:5000",
      replicas: "10.2.0.100:5001",
      database: "hastack",
      member: "backup-1",
      address: "10.2.0.121",
      databaseMembers: [
        { name: "db-1", address: "10.2.0.31" },
        { name: "db-2", address: "10.2.0.32" },
      ],
      connection: {
        sslmode: "verify-full",
        sslrootcert: "@{folder}/tls/database-ca.crt",
        sslcert: "@{folder}/tls/keeper.pem",
        sslkey: "@{folder}/tls/keeper.pem",
      },
      restoredPort: 5440,
      retentionDays: 14,
      filesDays: 22,
      fullEveryDays: 7,
      differentialEveryHours: 24,
      backupAt: "02:30",
      archiveTimeoutSeconds: 60,
      filesEverySeconds: 300,
      spoolMegabytes: 2048,
      repositories: ["local"],
      shared: { uploads: "/var/lib/hastack/uploads" },
      filesOfRows: { uploads: "SELECT path FROM picture" },
      drill: { everyDays: 7 },
    });
  });

  it("O3: numbers the database's repositories in the order of their names", () => {
    assert.deepEqual(repositoriesOf(backup), ["local", "s3", "sftp"]);
    assert.equal(renderPgbackrest(backup), pgbackrest);
    const without = { ...backup, local: false };
    assert.deepEqual(repositoriesOf(without), ["s3", "sftp"]);
    assert.match(renderPgbackrest(without), /^repo1-type=s3$[\s\S]*^repo2-type=sftp$/m);
  });

  it("O3: keeps files at the same places, beside the database", () => {
    const all = JSON.parse(renderRepositories(backup));
    assert.deepEqual(
      all.map(({ name, repository }: Record<string, string>) => [name, repository]),
      [
        ["local", "/var/lib/hastack-backup/files-repository"],
        ["s3", "s3:https://s3.invalid:9000/backups/shop/files"],
        ["sftp", "sftp://backup@files.invalid:2222//srv/hastack/files"],
      ],
    );
    assert.deepEqual(all[1].options, ["-o", "s3.bucket-lookup=path"]);
    for (const { password } of all) assert.equal(password, "@{backup_repository_key}");
  });

  it("O3, N5: knows an SFTP server by its host key, and an S3 server by its own authority", async () => {
    const { certificate } = await makeCertificate({ authority: true });
    const own = planWith({
      ...everywhere,
      backup: { s3: { ...s3, certificateAuthority: certificate }, sftp },
    }).settings.backup;
    const files = new Map(repositoryFiles(own).map(({ path, content }) => [path, content]));
    assert.equal(files.get("sftp/known_hosts"), `[files.invalid]:2222 ${hostKeyOf("files")}\n`);
    assert.equal(files.get("tls/s3-ca.crt"), certificate);
    assert.match(renderPgbackrest(own), /^repo2-storage-ca-file=@\{folder\}\/tls\/s3-ca\.crt$/m);
    assert.match(renderRepositories(own), /"--cacert",\s+"@\{folder\}\/tls\/s3-ca.crt"/);
    assert.match(renderRepositories(own), /StrictHostKeyChecking=yes/);
  });
});

describe("the machine of backups", function () {
  this.timeout(60_000);
  let machine: Container;

  before(async function () {
    this.timeout(900_000);
    const stack = await describeStack({ members: { backup: 1 } });
    machine = await start(await imageFor(workloadOf(stack, "backup-1")), "backup-files");
    const secrets: Record<string, string> = {
      folder: "/etc/hastack",
      backup_repository_key: "k".repeat(32),
      backup_s3_secret: "secret",
      backup_sftp_key: key,
    };
    for (const { path, content, owner = "root", mode = "0644" } of repositoryFiles(backup)) {
      const text = content.replaceAll(/@\{(\w+)\}/g, (_, name) => secrets[name] ?? "");
      await machine.run(
        `install -d "$(dirname /etc/hastack/${path})" && cat > /etc/hastack/${path} && chmod ${mode} /etc/hastack/${path} && chown ${owner} /etc/hastack/${path}`,
        text,
      );
    }
    await machine.run("install -d -o postgres -m 0700 /var/lib/hastack-backup/repository");
  });
  after(() => machine?.remove());

  const pgbackrestAt = (repository: number) =>
    machine.attempt(
      `timeout 40 runuser -u postgres -- pgbackrest --config=/etc/hastack/pgbackrest.conf --log-level-console=off --log-level-stderr=info --io-timeout=5 --repo=${repository} repo-ls`,
    );

  it("O3: has a configuration that pgBackRest takes without a word, and finds each repository by it", async () => {
    const [local, ofS3, ofSftp] = [
      await pgbackrestAt(1),
      await pgbackrestAt(2),
      await pgbackrestAt(3),
    ];
    assert.equal(local.code, 0, local.stderr);
    for (const { stderr } of [local, ofS3, ofSftp]) assert.doesNotMatch(stderr, /WARN|option/);
    assert.match(ofS3.stderr, /s3\.invalid/);
    assert.match(ofSftp.stderr, /files\.invalid/);
  });

  it("O3: has repositories that restic takes", async () => {
    const all = JSON.parse(await machine.run("cat /etc/hastack/repositories.json"));
    const outcome = (index: number, command: string) => {
      const { repository, options, environment, password } = all[index];
      const given = Object.entries({ ...environment, RESTIC_PASSWORD: password })
        .map(([name, value]) => `${name}='${value}'`)
        .join(" ");
      const words = [...options, "--repo", repository].map((one: string) => `'${one}'`).join(" ");
      return machine.attempt(`${given} timeout 20 restic --retry-lock=1s ${words} ${command}`);
    };
    const made = await outcome(0, "init");
    assert.equal(made.code, 0, made.stderr);
    assert.equal((await outcome(0, "snapshots")).code, 0);
    for (const [index, host] of [
      [1, "s3.invalid"],
      [2, "files.invalid"],
    ] as const) {
      const { code, stderr, stdout } = await outcome(index, "cat config");
      assert.notEqual(code, 0);
      if (code !== 124) assert.match(stderr + stdout, new RegExp(host));
      assert.doesNotMatch(stderr, /unknown|invalid option/i);
    }
  });

  it("O3: is healthy only while the log arrives, and says else why it does not", async () => {
    const state = "/var/lib/hastack-backup/state";
    await machine.run(`install -d ${state}; rm -f ${state}/receive.json`);
    const health = async (value?: object) => {
      if (value) await machine.run(`cat > ${state}/receive.json`, JSON.stringify(value));
      const { code, stderr } = await machine.attempt(backupHealth);
      return [code === 0, stderr.trim()];
    };
    const at = (secondsAgo: number) => new Date(Date.now() - secondsAgo * 1000).toISOString();
    assert.deepEqual(await health(), [
      false,
      "it has not begun to receive the log of the database",
    ]);
    assert.deepEqual(await health({ at: at(1), connected: false, why: "no slot" }), [
      false,
      "the log of the database does not arrive: no slot",
    ]);
    const [old, said] = await health({ at: at(300), connected: true });
    assert.equal(old, false);
    assert.match(String(said), /has said nothing of the log of the database since/);
    assert.deepEqual(await health({ at: at(1), connected: true }), [true, ""]);
  });
});

const rules = (number: number) => `repo${number}-cipher-type=aes-256-cbc
repo${number}-cipher-pass=@{backup_repository_key}
repo${number}-retention-full-type=time
repo${number}-retention-full=30
repo${number}-bundle=y
repo${number}-block=y
`;

const pgbackrest = `[global]
compress-type=zst
log-level-file=off
repo1-type=posix
repo1-path=/var/lib/hastack-backup/repository
${rules(1)}repo2-type=s3
repo2-path=/shop/database
repo2-s3-bucket=backups
repo2-s3-endpoint=s3.invalid
repo2-s3-region=eu-1
repo2-s3-uri-style=path
repo2-s3-key=key
repo2-s3-key-secret=@{backup_s3_secret}
repo2-storage-port=9000
${rules(2)}repo3-type=sftp
repo3-path=/srv/hastack/database
repo3-sftp-host=files.invalid
repo3-sftp-host-port=2222
repo3-sftp-host-user=backup
repo3-sftp-private-key-file=@{folder}/sftp/key
repo3-sftp-known-host=@{folder}/sftp/known_hosts
repo3-sftp-host-key-hash-type=sha256
${rules(3)}`;
