/**
 * A primary and its standby, and the database half of what runs on the machine with the role `backup`, in one
 * container. What stands in for the load balancers' listeners follows the primary.
 */
import { readdirSync } from "node:fs";
import { inRoot, readProjectFile } from "../../../lib/paths.ts";
import { until } from "../../../lib/until.ts";
import { type Container, start } from "./containers.ts";
import { imageFor } from "./images.ts";

const bin = "/usr/lib/postgresql/17/bin";
const data = "/var/lib/postgresql/test";
const folder = "/etc/hastack";
const sources = "infra/render/backup";
export const state = "/var/lib/hastack-backup";
export const second = "/var/lib/second";
const packages = ["openssh-client", "pgbackrest", "postgresql-17", "python3", "restic"];

const servers = { one: 5432, two: 5433 } as const;
type Server = keyof typeof servers;
type Process = "keeper" | "receive";

const plain = {
  primary: "127.0.0.1:5000",
  replicas: "127.0.0.1:5001",
  database: "postgres",
  member: "backup-1",
  address: "127.0.0.1",
  databaseMembers: [],
  restoredPort: 5440,
  retentionDays: 14,
  filesDays: 22,
  fullEveryDays: 7,
  differentialEveryHours: 24,
  backupAt: "02:30",
  archiveTimeoutSeconds: 60,
  filesEverySeconds: 300,
  spoolMegabytes: 512,
  repositories: ["local", "second"],
  shared: {},
  filesOfRows: {},
  drill: { everyDays: 0 },
};
const repository = (number: number, path: string) => `
repo${number}-path=${path}
repo${number}-cipher-type=aes-256-cbc
repo${number}-cipher-pass=a key=of #${number}
repo${number}-retention-full-type=time
repo${number}-retention-full=14
repo${number}-bundle=y
repo${number}-block=y`;
const pgbackrest = `[global]
compress-type=zst
log-level-file=off${repository(1, `${state}/repository`)}${repository(2, second)}
`;
/** The other half, which is tested by itself. */
const others: Readonly<Record<string, string>> = {
  files: "def copy():\n    pass\n\n\ndef check():\n    return []\n",
  restored:
    "def resume():\n    pass\n\n\ndef restore(to):\n    pass\n\n\npromote = bring_files = discard = resume\n",
  drill: "def due():\n    return None\n\n\ndef drill():\n    pass\n\n\ndef clear():\n    pass\n",
  witness:
    "def due():\n    return False\n\n\ndef record(why):\n    pass\n\n\ndef expire(oldest):\n    pass\n",
};

const parameters = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "/tmp",
  fsync: "off",
  wal_level: "replica",
  wal_keep_size: "0",
  max_wal_size: "64MB",
  min_wal_size: "32MB",
  checkpoint_timeout: "30min",
  wal_sender_timeout: "2s",
  hot_standby_feedback: "on",
};
const initialise = `set -e
install -d -o postgres -m 700 ${data} ${second}
su postgres -c "${bin}/initdb -D ${data}/one -k -A trust --encoding=UTF8 --locale=C.UTF-8" > /dev/null
cat >> ${data}/one/postgresql.conf
echo 5432 > /tmp/primary; echo 5433 > /tmp/replicas`;
const role = `CREATE ROLE keeper LOGIN REPLICATION IN ROLE pg_read_all_data, pg_monitor;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO keeper;`;
/** What Patroni does for its permanent slots. */
const slot = "SELECT pg_create_physical_replication_slot('keeper', true)";

export class RecordedPair {
  readonly container: Container;
  primary: Server = "one";

  private constructor(container: Container) {
    this.container = container;
  }

  /**
   * Starts the pair, and nothing that records it.
   * @param changes of backup.json
   * @param more packages, where the stack's do not suffice
   */
  static async start(
    changes: Partial<typeof plain> = {},
    more: readonly string[] = [],
  ): Promise<RecordedPair> {
    const component = more.length > 0 ? `BackupWith${more.join("")}` : "Backup";
    const image = await imageFor({ component, packages: [...packages, ...more].sort() });
    const pair = new RecordedPair(await start(image, "recorded"));
    const settings = Object.entries(parameters).map(([name, value]) => `${name} = '${value}'\n`);
    await pair.run(initialise, settings.join(""));
    await pair.control("one", "start");
    await pair.sql(role);
    await pair.sql(slot);
    await pair.addStandby("two");
    await pair.place(changes);
    for (const [port, name] of [
      [5000, "primary"],
      [5001, "replicas"],
    ]) {
      await pair.run(
        `cat > /tmp/forward.py; python3 /tmp/forward.py ${port} /tmp/${name} > /tmp/forward-${name}.log 2>&1 &`,
        readProjectFile("tests/support/unit/forward.py"),
      );
    }
    return pair;
  }

  /** Writes the programs and their settings. */
  async place(changes: Partial<typeof plain> = {}): Promise<void> {
    await this.run(`install -d ${folder}/keeper`);
    const names = readdirSync(inRoot(sources)).filter((name) => name.endsWith(".py"));
    for (const name of names) {
      await this.write(`keeper/${name}`, readProjectFile(`${sources}/${name}`));
    }
    for (const [name, text] of Object.entries(others)) {
      await this.write(`keeper/${name}.py`, text);
    }
    await this.write("backup.json", JSON.stringify({ ...plain, ...changes }));
    await this.write("pgbackrest.conf", pgbackrest);
    await this.run(`chown postgres ${folder}/pgbackrest.conf; chmod 600 ${folder}/pgbackrest.conf`);
  }

  write(path: string, text: string): Promise<string> {
    return this.run(`cat > ${folder}/${path}`, text);
  }

  run(script: string, input = ""): Promise<string> {
    return this.container.run(script, input);
  }

  /** Runs SQL at a server, as its superuser. */
  sql(text: string, server: Server = this.primary): Promise<string> {
    return this.run(
      `psql -h /tmp -p ${servers[server]} -U postgres -XAtq -v ON_ERROR_STOP=1`,
      text,
    );
  }

  async control(server: Server, what: string): Promise<void> {
    const options =
      what === "start" ? `-l /tmp/${server}.log -o \\"-c port=${servers[server]}\\"` : "";
    await this.run(
      `su postgres -c "${bin}/pg_ctl -w -D ${data}/${server} ${options} ${what}" > /dev/null`,
    );
  }

  /** Copies the primary to a server that is down, and has it follow. */
  async addStandby(server: Server): Promise<void> {
    await this.run(`rm -rf ${data}/${server}
      su postgres -c "${bin}/pg_basebackup -D ${data}/${server} -R -X stream -c fast -h /tmp -p ${servers[this.primary]}"`);
    await this.control(server, "start");
    // Patroni makes them on all members, and moves them on
    await this.sql(slot, server);
    await this.run(`echo ${servers[server]} > /tmp/replicas`);
  }

  /** Starts a process, which is started anew whenever it ends, as the stack's supervisors do. */
  async begin(process: Process): Promise<void> {
    // It becomes that user itself, as under the stack's supervisors: one between would stop with it, and not go on
    const user =
      process === "receive" ? "setpriv --reuid=postgres --regid=postgres --init-groups" : "";
    await this.run(
      `cat > /tmp/${process}.sh; chmod +x /tmp/${process}.sh
      setsid /tmp/${process}.sh > /dev/null 2>&1 < /dev/null & echo $! > /tmp/${process}.pid`,
      `#!/bin/sh\ncd ${folder}\numask 077\nwhile :; do PYTHONDONTWRITEBYTECODE=1 ${user} python3 keeper/${process}.py >> /tmp/${process}.log 2>&1; sleep 0.5; done\n`,
    );
  }

  /** Kills a process at once, as soon as it runs. */
  kill(process: Process, signal = "KILL"): Promise<string> {
    return this.run(
      `for i in $(seq 100); do pkill -${signal} -f '^python3 keeper/${process}.p[y]' && exit; sleep 0.1; done; exit 1`,
    );
  }

  /** Shows all that there is to see, for a test that has failed. */
  async explain(): Promise<void> {
    console.log(await this.log("keeper"), await this.log("receive"));
    console.log(await this.state("receive"), JSON.stringify(await this.state("backups")));
  }

  async log(process: Process): Promise<string> {
    return this.run(`cat /tmp/${process}.log`);
  }

  /** What a file of state holds; an empty object where it is missing. */
  async state<State extends object>(name: string): Promise<Partial<State>> {
    return JSON.parse(await this.run(`cat ${state}/state/${name}.json 2> /dev/null || echo '{}'`));
  }

  /** Has the keeper do something. @return its answer, once it is there */
  async request(id: string, what: object): Promise<Answer> {
    const path = `${state}/requests`;
    await this.run(
      `cat > ${path}/.${id}; mv ${path}/.${id} ${path}/${id}.json`,
      JSON.stringify({ id, ...what }),
    );
    let answer: Partial<Answer> = {};
    await until(`the request ${id} is answered`, {
      probe: async () => {
        answer = await this.state<Answer>(`requests/${id}`);
        return answer.phase;
      },
      done: (phase) => phase === "done" || phase === "failed",
      limitSeconds: 90,
    });
    return answer as Answer;
  }

  /** The primary is lost, and its standby is promoted. */
  async failOver(): Promise<void> {
    const lost = this.primary;
    await this.run("echo 0 > /tmp/primary");
    await this.run(
      `su postgres -c "${bin}/pg_ctl -w -D ${data}/${lost} stop -m immediate" > /dev/null`,
    );
    this.primary = lost === "one" ? "two" : "one";
    await this.control(this.primary, "promote");
    await this.run(`echo ${servers[this.primary]} | tee /tmp/primary > /tmp/replicas`);
  }

  /** Restores a moment from a repository with the means of pgBackRest, and starts it. */
  async restore(lineage: number, number: number, to: string): Promise<void> {
    const target = "/var/lib/postgresql/back";
    const options = `--config=${folder}/pgbackrest.conf --stanza=hastack-${lineage} --pg1-path=${target} --lock-path=/tmp/lock`;
    const spool = `${state}/spool/hastack-${lineage}`;
    await this.run(
      `set -e
      su postgres -c "${bin}/pg_ctl -D ${target} stop -m immediate" > /dev/null 2>&1 || :
      rm -rf ${target}; install -d -o postgres -m 700 ${target}
      cat > /tmp/get.sh; chmod 755 /tmp/get.sh
      runuser -u postgres -- pgbackrest ${options} --repo=${number} --log-level-console=warn restore --type=none
      mv ${target}/hastack_backup_label ${target}/backup_label
      rm -f ${target}/standby.signal; touch ${target}/recovery.signal; chown postgres ${target}/recovery.signal
      echo "restore_command = '/tmp/get.sh %f %p'
      recovery_target_time = '${to.replace("T", " ").replace("Z", "+00")}'
      recovery_target_action = promote
      archive_mode = off" >> ${target}/postgresql.auto.conf
      su postgres -c "${bin}/pg_ctl -w -t 60 -D ${target} -l /tmp/back.log -o '-c port=5440' start" > /dev/null || { cat /tmp/back.log; exit 1; }
      until psql -h /tmp -p 5440 -U postgres -XAtc 'SELECT pg_is_in_recovery()' | grep -q f; do sleep 0.2; done`,
      `#!/bin/sh
pgbackrest ${options} archive-get $1 /var/lib/postgresql/back/$2 && exit 0
cp ${spool}/$1 /var/lib/postgresql/back/$2 2> /dev/null || cp ${spool}/$1.partial /var/lib/postgresql/back/$2\n`,
    );
  }

  /** Runs SQL in what was restored. */
  restoredSql(text: string): Promise<string> {
    return this.run("psql -h /tmp -p 5440 -U postgres -XAtq -v ON_ERROR_STOP=1", text);
  }

  remove(): Promise<void> {
    return this.container.remove();
  }
}

interface Answer {
  readonly phase: string;
  readonly why: string | null;
  readonly result: Readonly<Record<string, unknown>>;
}
