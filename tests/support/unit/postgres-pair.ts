/**
 * A primary and its synchronous standby, in one container, for programs that must survive them. Others
 * get in by TLS alone.
 */
import { databasePackages } from "../../../infra/components/database-pair.ts";
import { runDocker } from "../../../infra/platform/docker/engine.ts";
import { until } from "../../../lib/until.ts";
import { type Made, makeCertificate } from "../certificates.ts";
import { type Container, start } from "./containers.ts";
import { imageFor } from "./images.ts";

const bin = "/usr/lib/postgresql/17/bin";
const data = "/var/lib/postgresql/test";
const ports = { one: 5432, two: 5433 } as const;
type Server = keyof typeof ports;

const initialise = `
install -d -o postgres -m 700 ${data}
su postgres -c "${bin}/initdb -D ${data}/one -A trust --encoding=UTF8 --locale=C.UTF-8" >/dev/null
echo 'hostssl all all all trust' >> ${data}/one/pg_hba.conf
echo "ssl = on" >> ${data}/one/postgresql.conf
install -o postgres -m 600 /tmp/server.crt /tmp/server.key ${data}/one`;
const clone = `su postgres -c "${bin}/pg_basebackup -D ${data}/two -R -X stream -c fast \
  -d 'host=127.0.0.1 user=postgres application_name=standby'"`;

export class PostgresPair {
  /** Where other containers reach both. */
  readonly address: string;
  /** PEM of who vouches for both. */
  readonly authority: string;
  readonly #container: Container;
  #primary: Server = "one";

  private constructor(container: Container, address: string, authority: Made) {
    this.#container = container;
    this.address = address;
    this.authority = authority.certificate;
  }

  /** Starts both. */
  static async start(): Promise<PostgresPair> {
    const image = await imageFor({ component: "DatabasePair", packages: databasePackages });
    const container = await start(image, "pair", { network: "bridge" });
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    const address = await runDocker(["inspect", "--format", format, container.name]);
    const issuer = await makeCertificate({ authority: true });
    const pair = new PostgresPair(container, address.trim(), issuer);
    const own = await makeCertificate({ names: [`IP:${pair.address}`], issuer });
    await container.run("cat > /tmp/server.crt", own.certificate);
    await container.run("cat > /tmp/server.key", own.key);
    await container.run(initialise);
    await pair.startPrimary();
    await container.run(clone);
    await pair.#control("two", "start");
    await pair.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    await pair.sql("SELECT pg_reload_conf()");
    await until("the standby is synchronous", {
      probe: () => pair.sql("SELECT sync_state FROM pg_stat_replication"),
      done: (state) => state === "sync",
      limitSeconds: 20,
    });
    return pair;
  }

  /**
   * Address for a client of PostgreSQL's library, which looks for the primary or the standby.
   * @param authority the client's file of who vouches for the server
   */
  url(
    user: string,
    database: string,
    wanted: "read-write" | "prefer-standby",
    authority: string,
  ): string {
    const hosts = Object.values(ports).map((port) => `${this.address}:${port}`);
    const secured = `sslmode=verify-full&sslrootcert=${authority}`;
    return `postgresql://${user}@${hosts}/${database}?target_session_attrs=${wanted}&${secured}`;
  }

  /** Runs SQL at the primary, as its superuser. */
  sql(text: string, database = "postgres"): Promise<string> {
    return this.#run(this.#primary, text, database);
  }

  /** Has the standby show what comes from the primary, or keep it back. */
  async showAtStandby(shown: boolean): Promise<void> {
    await this.#run(
      this.#other,
      `SELECT pg_wal_replay_${shown ? "resume" : "pause"}()`,
      "postgres",
    );
  }

  #run(server: Server, text: string, database: string): Promise<string> {
    const psql = `psql -h 127.0.0.1 -p ${ports[server]} -U postgres -XAt -v ON_ERROR_STOP=1`;
    return this.#container.run(`${psql} ${database}`, text);
  }

  /** Ends a server as a crash does, where it runs. */
  async kill(who: "primary" | "standby"): Promise<void> {
    const server = who === "primary" ? this.#primary : this.#other;
    await this.#control(server, "stop -m immediate").catch(async (error: Error) => {
      const { code } = await this.#container.attempt(`test -e ${data}/${server}/postmaster.pid`);
      if (code === 0) throw error;
    });
  }

  async startPrimary(): Promise<void> {
    await this.#control(this.#primary, "start");
  }

  async startStandby(): Promise<void> {
    await this.#control(this.#other, "start");
  }

  /** Starts the primary, which waits for no standby. */
  async startAlone(): Promise<void> {
    await this.#leaveAlone(this.#primary);
    await this.#control(this.#primary, "start");
  }

  /** The standby becomes the primary, and waits for no other. */
  async promote(): Promise<void> {
    this.#primary = this.#other;
    await this.#leaveAlone(this.#primary);
    await this.#control(this.#primary, "reload");
    await this.#control(this.#primary, "promote");
  }

  async #leaveAlone(server: Server): Promise<void> {
    const line = "synchronous_standby_names = ''";
    await this.#container.run(`echo "${line}" >> ${data}/${server}/postgresql.auto.conf`);
  }

  get #other(): Server {
    return this.#primary === "one" ? "two" : "one";
  }

  async #control(server: Server, what: string): Promise<void> {
    const options = `-c listen_addresses='*' -c port=${ports[server]} -c fsync=off`;
    const starting = what === "start" ? `-l /tmp/${server}.log -o \\"${options}\\"` : "";
    const command = `${bin}/pg_ctl -w -D ${data}/${server} ${starting} ${what}`;
    await this.#container.run(`su postgres -c "${command}" >/dev/null`);
  }

  remove(): Promise<void> {
    return this.#container.remove();
  }
}
