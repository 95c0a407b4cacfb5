/**
 * One container with a live database, what records it, and the programs of the machine with the role `backup`,
 * for tests of restores. The database is reached by TLS, as its load balancers would reach it.
 */
import { readdirSync } from "node:fs";
import { inRoot, readProjectFile } from "../../../lib/paths.ts";
import { type Container, start } from "./containers.ts";
import { imageFor } from "./images.ts";

const bin = "/usr/lib/postgresql/17/bin";
const data = "/var/lib/postgresql/live";
const folder = "/etc/hastack";
const sources = "infra/render/backup";
export const uploads = "/var/lib/hastack/uploads";
export const state = "/var/lib/hastack-backup";
const packages = ["openssh-client", "pgbackrest", "postgresql-17", "python3", "restic"];

const backupJson = {
  primary: "127.0.0.1:5000",
  replicas: "127.0.0.1:5000",
  database: "hastack",
  member: "backup-1",
  address: "127.0.0.1",
  databaseMembers: [{ name: "db-1", address: "127.0.0.1" }],
  restoredPort: 5440,
  retentionDays: 14,
  filesDays: 22,
  repositories: ["local"],
  shared: { uploads },
  filesOfRows: { uploads: "SELECT path FROM pictures WHERE path IS NOT NULL" },
  drill: { everyDays: 7 },
  connection: {
    sslmode: "verify-full",
    sslrootcert: `${folder}/tls/database-ca.crt`,
    sslcert: `${folder}/tls/keeper.pem`,
    sslkey: `${folder}/tls/keeper.pem`,
  },
};
/** The repository of files on the machine itself. */
export const localFiles = {
  name: "local",
  repository: `${state}/files-repository`,
  environment: {},
  options: [],
  password: "a key for tests",
};
const pgbackrestConf = `[global]
repo1-path=${state}/repository
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=a key for tests
repo1-retention-full-type=time
repo1-retention-full=14
compress-type=zst
`;

const certificates = `
set -e
mkdir -p ${folder}/tls; cd ${folder}/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out database-ca.crt -subj /CN=ca -days 9 2> /dev/null
for name in keeper restored server replicator; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name 2> /dev/null
  echo subjectAltName=IP:127.0.0.1 > extensions
  openssl x509 -req -in $name.csr -CA database-ca.crt -CAkey ca.key -CAcreateserial -out $name.crt -days 9 -extfile extensions 2> /dev/null
  cat $name.crt $name.key > $name.pem
  chmod 600 $name.pem
done
chown postgres *.pem`;
const live = `
set -e
install -d -o postgres -m 700 ${data}
su postgres -c "${bin}/initdb -D ${data} -k -A trust --encoding=UTF8 --locale=C.UTF-8" > /dev/null
cat > ${data}/pg_hba.conf <<C
local all,replication all trust
hostssl replication keeper 127.0.0.1/32 cert
hostssl all keeper 127.0.0.1/32 cert
C
cat >> ${data}/postgresql.conf <<C
port = 5000
listen_addresses = '127.0.0.1'
ssl = on
ssl_cert_file = '${folder}/tls/server.pem'
ssl_key_file = '${folder}/tls/server.pem'
ssl_ca_file = '${folder}/tls/database-ca.crt'
unix_socket_directories = '/tmp'
max_connections = 140
fsync = off
C
su postgres -c "${bin}/pg_ctl -w -D ${data} -l /tmp/live.log start" > /dev/null`;
const roles = `
CREATE ROLE keeper LOGIN REPLICATION;
GRANT pg_read_all_data, pg_monitor TO keeper;
CREATE ROLE replicator LOGIN REPLICATION;
CREATE DATABASE hastack;
SELECT pg_create_physical_replication_slot('keeper', true);
\\c hastack
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO keeper;
CREATE TABLE pictures (id int GENERATED ALWAYS AS IDENTITY, path text, created_at timestamptz DEFAULT now());
CREATE TABLE other (id int);`;
const receive = `cd / && setsid su postgres -c "${bin}/pg_receivewal -S keeper -D ${state}/spool/hastack-1 --synchronous \
  -d 'host=/tmp port=5000 user=keeper'" > /tmp/receive.log 2>&1 &`;

export class RestorePlace {
  readonly container: Container;

  private constructor(container: Container) {
    this.container = container;
  }

  /**
   * Starts all of it, with a first full backup.
   * @param database whether there is a database, too @default there is
   */
  static async start({ database = true } = {}): Promise<RestorePlace> {
    const image = await imageFor({ component: "Backup", packages });
    const place = new RestorePlace(
      await start(image, "restore", { arguments: ["--volume", uploads, "--hostname", "backup-1"] }),
    );
    await place.#deliver();
    if (database) await place.#startDatabase();
    return place;
  }

  async #startDatabase(): Promise<void> {
    const { container } = this;
    await container.run(`${certificates}\n${live}`);
    await this.sql(roles, "postgres");
    await this.archive("prepare");
    await container.run(receive);
    await this.archive("backup full");
    await this.archive("range");
  }

  /** Puts the programs and their settings there. */
  async #deliver(): Promise<void> {
    await this.container.run(`mkdir -p ${folder}/keeper`);
    for (const name of readdirSync(inRoot(sources))) {
      if (name.endsWith(".py")) await this.#program(name, `${sources}/${name}`);
    }
    await this.#program("archive.py", "tests/support/unit/archive.py");
    await this.settings();
    await this.container.run(
      `cat > ${folder}/pgbackrest.conf; chown postgres ${folder}/pgbackrest.conf`,
      pgbackrestConf,
    );
    await this.files([localFiles]);
    await this.python("import common; common.make_directories()");
  }

  #program(name: string, source: string): Promise<string> {
    return this.container.run(`cat > ${folder}/keeper/${name}`, readProjectFile(source));
  }

  /** Writes backup.json, with other values where they are given. */
  async settings(more: object = {}): Promise<void> {
    const text = JSON.stringify({ ...backupJson, ...more });
    await this.container.run(`cat > ${folder}/backup.json`, text);
  }

  /** Writes which repositories of files there are. */
  async files(repositories: readonly object[]): Promise<void> {
    await this.container.run(`cat > ${folder}/repositories.json`, JSON.stringify(repositories));
  }

  /** Runs SQL at the live database, as its superuser. */
  sql(text: string, database = "hastack"): Promise<string> {
    return this.container.run(
      `psql -h /tmp -p 5000 -U postgres -XAtq -v ON_ERROR_STOP=1 ${database}`,
      text,
    );
  }

  /** Runs SQL at the restored database. */
  restored(text: string): Promise<string> {
    const where = `-h ${state}/restored/socket -p 5440 -U postgres`;
    return this.container.run(`psql ${where} -XAtq -v ON_ERROR_STOP=1 hastack`, text);
  }

  /** Runs Python where the programs lie. */
  python(text: string): Promise<string> {
    return this.container.run(`cd ${folder}/keeper && python3 -B -`, text);
  }

  /** Runs Python that fails. @returns what the keeper's users would be told */
  async refused(text: string): Promise<string> {
    const script = `import common\ntry:\n  ${text}\nexcept common.Failed as failure:\n  print(failure)`;
    return this.python(script);
  }

  /** Has a file of Python run beside, until `kill` is called. */
  async begin(text: string): Promise<{ kill(): Promise<void> }> {
    await this.container.run(`cat > ${folder}/keeper/begun.py`, text);
    const run = `cd ${folder}/keeper && setsid python3 -B begun.py > /tmp/begun.log 2>&1 & echo $!`;
    const id = await this.container.run(run);
    return {
      kill: async () => {
        await this.container.run(`kill -9 ${id}`);
      },
    };
  }

  /** Has the database recorded: see archive.py. */
  archive(what: string): Promise<string> {
    return this.container.run(`cd ${folder}/keeper && python3 -B archive.py ${what}`);
  }

  /** A state file. */
  async state(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.container.run(`cat ${state}/state/${name}.json`));
  }

  remove(): Promise<void> {
    return this.container.remove();
  }
}
