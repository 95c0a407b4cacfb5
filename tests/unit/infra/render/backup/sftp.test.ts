import assert from "node:assert/strict";
import {
  renderPgbackrest,
  renderRepositories,
  repositoryFiles,
} from "../../../../../infra/render/backup.ts";
import { until } from "../../../../../lib/until.ts";
import { planWith } from "../../../../support/unit/fixtures.ts";
import { RecordedPair, second } from "../../../../support/unit/recorded-pair.ts";

interface Backups {
  readonly backups: readonly { readonly labels: Readonly<Record<string, string>> }[];
  readonly gaps: readonly unknown[];
  readonly repositories: Readonly<
    Record<string, { readonly why: string | null; readonly ranges: readonly { to: string }[] }>
  >;
}
interface Receive {
  readonly repositories: Readonly<Record<string, { readonly why: string | null }>>;
}

const folder = "/etc/hastack";
const place = "/srv/backups";
const secrets: Readonly<Record<string, string>> = {
  folder,
  backup_repository_key: "a key of=it #",
};
const filled = (text: string, more: Readonly<Record<string, string>> = {}) =>
  text.replaceAll(/@\{(\w+)\}/g, (_, name) => ({ ...secrets, ...more })[name] ?? "");

/** A server that has nothing but files, and a user who can do nothing else. */
const server = `set -e
# sshd lets nobody in whose account is locked
useradd --create-home --password "*" keeper
install -d -o keeper -m 700 ${place} /home/keeper/.ssh
ssh-keygen -q -t ed25519 -N "" -f /tmp/login
install -o keeper -m 600 /tmp/login.pub /home/keeper/.ssh/authorized_keys
ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/host
mkdir -p /run/sshd
cat > /etc/ssh/files.conf <<C
Port 2222
ListenAddress 127.0.0.1
HostKey /etc/ssh/host
PidFile /run/files.pid
PasswordAuthentication no
AllowUsers keeper
Subsystem sftp internal-sftp
ForceCommand internal-sftp
C`;
const startServer = "/usr/sbin/sshd -f /etc/ssh/files.conf";
const stopServer = "kill $(cat /run/files.pid); pkill -u keeper || :";

describe("O3: a repository by SFTP", function () {
  this.timeout(240_000);
  let pair: RecordedPair;

  before(async function () {
    this.timeout(900_000);
    pair = await RecordedPair.start({ repositories: ["local", "sftp"] }, ["openssh-server"]);
    await pair.run(server);
    await pair.run(startServer);
    const hostKey = await pair.run("cat /etc/ssh/host.pub");
    await pair.run(`mkdir -p ${folder}/sftp`);
    await deliver(hostKey);
    await pair.sql("CREATE TABLE written (text text)");
    await pair.begin("keeper");
    await pair.begin("receive");
  });
  after(() => pair?.remove());
  afterEach(async function () {
    if (this.currentTest?.state === "failed") await pair.explain();
  });

  const backups = () => pair.state<Backups>("backups");
  const python = (text: string) => pair.run(`cd ${folder}/keeper && python3 -B -`, text);

  /** The files that the stack would deliver. */
  async function deliver(hostKey: string): Promise<void> {
    const login = await pair.run("cat /tmp/login");
    const { backup } = planWith({
      members: { backup: 1 },
      backup: { sftp: { host: "127.0.0.1", port: 2222, user: "keeper", path: place, hostKey } },
      backupSftpKey: login,
    }).settings;
    for (const { path, content, mode = "644" } of repositoryFiles(backup)) {
      await pair.write(path, filled(content, { backup_sftp_key: `${login.trim()}\n` }));
      await pair.run(`chmod ${mode} ${folder}/${path}; chown postgres ${folder}/${path}`);
    }
    assert.match(renderPgbackrest(backup), /^repo2-type=sftp$/m);
    assert.match(renderRepositories(backup), /"name": "sftp"/);
  }

  /** Something is committed, and the segment that has it is whole. */
  async function write(text: string): Promise<string> {
    await pair.sql(`INSERT INTO written VALUES ('${text}')`);
    const seconds = await pair.sql("SELECT extract(epoch FROM clock_timestamp())");
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await pair.sql("SELECT pg_switch_wal()");
    return new Date(Number(seconds) * 1000).toISOString();
  }
  const reachable = (moment: string) =>
    until(`${moment} can be restored from it alone`, {
      probe: async () => (await backups()).repositories?.sftp?.ranges.at(-1)?.to ?? "",
      done: (to) => Date.parse(to) > Date.parse(moment),
      limitSeconds: 150,
    });

  it("has the database's backups and log, encrypted, and gives them back", async () => {
    await until("there is a first backup", {
      probe: backups,
      done: ({ backups: found = [] }) => found.length > 0,
      limitSeconds: 120,
    });
    const moment = await write("a text to be found");
    await reachable(moment);
    const { backups: found = [] } = await backups();
    assert.deepEqual(Object.keys(found[0]?.labels ?? {}), ["local", "sftp"]);
    const files = await pair.run(`find ${place} -type f | xargs head -c 8 -q | grep -ac Salted__`);
    assert.ok(Number(files) > 0);
    await pair.restore(1, 2, moment);
    assert.equal(await pair.restoredSql("SELECT text FROM written"), "a text to be found");
  });

  it("has the shared files, and gives them back", async () => {
    await pair.run(`mkdir -p ${second}/shared; echo picture > ${second}/shared/1.png`);
    const said = await python(
      `import restic
restic.reach("sftp")
restic.call("sftp", "backup", "--host", "hastack", "--tag", "hastack", "${second}/shared")
print(restic.call("sftp", "dump", "--no-lock", restic.snapshots("sftp")[0]["id"], "${second}/shared/1.png"))`,
    );
    assert.equal(said.trim(), "picture");
  });

  it("may be away, which is told, and gets afterwards what it lacks", async () => {
    await pair.run(stopServer);
    const moment = await write("while it is away");
    await until("it is told", {
      probe: async () => (await pair.state<Receive>("receive")).repositories?.sftp?.why ?? "",
      done: (why) => /^sftp: .*does not answer/.test(why),
      limitSeconds: 90,
    });
    const began = Date.now();
    const { phase, result } = await pair.request("meanwhile", { do: "backup", type: "diff" });
    assert.equal(phase, "done");
    assert.match(JSON.stringify(result.failed), /sftp: /);
    assert.ok(Date.now() - began < 60_000);
    await pair.run(startServer);
    await reachable(moment);
    assert.deepEqual((await backups()).gaps, []);
  });

  it("is not trusted with another host key", async () => {
    await pair.run("ssh-keygen -q -t ed25519 -N '' -f /tmp/imposter");
    await deliver(await pair.run("cat /tmp/imposter.pub"));
    const ask = `import common, pgbackrest, restic
for one in (lambda: pgbackrest.call(None, "repo-ls", repo="sftp", tries=True), lambda: restic.reach("sftp")):
  try:
    one()
  except common.Failed as failure:
    print(failure)`;
    const [database = "", files = ""] = (await python(ask)).split("\n");
    const another = "sftp: the server has another host key than hastack:backup.sftp.hostKey";
    assert.deepEqual([database, files], [another, another]);
  });
});
