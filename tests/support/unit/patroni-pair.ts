/**
 * The database as the stack runs it: a pair under Patroni with etcd, a load balancer before it and a
 * client, each in a container with an address of its own and under the stack's supervisor.
 */
import type { Workload } from "../../../infra/platform/platform.ts";
import { secretsInput } from "../../../infra/platform/request.ts";
import type { Outcome } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { imageFor } from "./images.ts";
import { taskScript } from "./requests.ts";
import { type Description, taskOf, workloadOf } from "./stack.ts";
import { makeNetwork, StackContainers, stackIn } from "./stack-containers.ts";

const quorum = "etcd-1";
const image: Readonly<Record<string, string>> = { client: "db-1" };

/** Values of all placeholders that are no certificates. */
const passwords: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ["postgres", "replicator", "rewinder", "migrator", "app_storefront", "app_admin"],
    ["patroni_api", "etcd_patroni", "stats", "api"],
  ]
    .flat()
    .map((name) => [`${name}_password`, passwordOf(name)]),
);

/** The password of a principal. */
export function passwordOf(name: string): string {
  return name === "api" ? passwordOf("patroni_api") : `password-of-${name}`;
}

export interface PairOptions {
  /** Parameters of PostgreSQL besides those of the stack. @default none */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Other settings of the database. @default those of the stack */
  readonly settings?: Readonly<Record<string, number>>;
  /** Whether backups are fetched of it. @default false */
  readonly isKept?: boolean;
  /** Size of each member's file system for data, in memory. @default that of the engine's disk */
  readonly dataMegabytes?: number;
  /** Options of `docker run` for the containers of the database. @default none */
  readonly options?: readonly string[];
  /** Packages of the database's containers besides the stack's. @default none */
  readonly packages?: readonly string[];
}

export class PatroniPair extends StackContainers {
  readonly #given: PairOptions;

  private constructor(stack: Description, network: string, given: PairOptions) {
    super(stack, network);
    this.#given = given;
  }

  /** Starts the containers and etcd, without a database in them. */
  static async start(options: PairOptions = {}): Promise<PatroniPair> {
    const stack = await PatroniPair.stackWith(options);
    const pair = new PatroniPair(stack, await makeNetwork(stack, "patroni"), options);
    for (const name of [quorum, "db-1", "db-2", "lb-1", "client"]) await pair.#container(name);
    return pair;
  }

  /** The stack that such a pair is of. */
  static stackWith({ parameters = {}, settings = {}, isKept }: PairOptions): Promise<Description> {
    return stackIn(216, 217, {
      database: { ...settings, parameters },
      ...(isKept && { members: { backup: 1 } }),
    });
  }

  async #container(name: string): Promise<void> {
    const { host, data, capabilities } = workloadOf(
      this.stack,
      name === "client" ? "storefront-1" : name,
    );
    const { dataMegabytes, options: given, packages } = this.#given;
    const isDatabase = name.startsWith("db-");
    const disks = dataMegabytes
      ? (data ?? []).map(({ path }) => `--tmpfs=${path}:size=${dataMegabytes}m,mode=0755`)
      : [];
    const used = await imageFor(
      workloadOf(this.stack, image[name] ?? name),
      isDatabase ? packages : [],
    );
    const options = [
      ...disks,
      ...((isDatabase && given) || []),
      ...(capabilities ?? []).map((one) => `--cap-add=${one}`),
      "--shm-size=128m",
      "--sysctl=net.ipv4.ip_nonlocal_bind=1",
    ];
    await this.startContainer(name, used, host.backend, options);
    // HAProxy looks for the interface; nobody comes by it here
    const { frontend } = host;
    if (frontend) await this.on(name).run(`ip address add ${frontend}/32 dev lo`);
  }

  /**
   * Starts etcd, one member for all of them, with its users.
   * @param schemes what it speaks; the first one is what it tells clients
   */
  async startQuorum(...schemes: readonly ("http" | "https")[]): Promise<void> {
    const etcd = this.on(quorum);
    const urls = schemes.map((scheme) => `${scheme}://${this.address(quorum)}:2379`);
    const server = await this.issuer.leaf(quorum, "etcd-server");
    await etcd.run("install -d /tls && cat > /tls/server.pem", server);
    await etcd.run("cat > /tls/ca.crt", await this.issuer.trusted("quorum-client"));
    await etcd.run(`pkill etcd || :
      while pgrep etcd > /dev/null; do sleep 0.1; done
      etcd --name=etcd-1 --data-dir=/tmp/etcd --log-level=warn --enable-grpc-gateway=true --bcrypt-cost=4 \\
        --listen-client-urls=${urls} --advertise-client-urls=${urls[0]} \\
        --cert-file=/tls/server.pem --key-file=/tls/server.pem --trusted-ca-file=/tls/ca.crt \\
        --client-cert-auth > /tmp/etcd.log 2>&1 &
      ctl() { etcdctl --endpoints=${urls[0]} --cacert=/tls/ca.crt --cert=/tls/server.pem --key=/tls/server.pem "$@"; }
      until ctl endpoint health > /dev/null 2>&1; do sleep 0.2; done
      ctl auth status 2> /dev/null | grep -q 'Status: false' || exit 0
      ctl user add root:root && ctl user grant-role root root && ctl user add patroni:${passwordOf("etcd_patroni")}
      ctl role add patroni && ctl role grant-permission patroni readwrite --prefix=true /service/
      ctl user grant-role patroni patroni && ctl auth enable`);
  }

  /** @param edit a change of what is placed @default none */
  place(member: string, edit: (workload: Workload) => Workload = (one) => one): Promise<string> {
    const { processes, files, secrets } = edit(workloadOf(this.stack, member));
    const placed = {
      // keepalived needs more rights than HAProxy, which it stands beside
      processes: processes.filter(({ name }) => name !== "keepalived"),
      files: files.filter(({ path }) => !path.includes("keepalived")),
      secrets,
    };
    return this.deliver(member, placed, passwords);
  }

  /** What the Patroni of a member without TLS says of it. */
  plainState(member: string): Promise<string> {
    return this.on(member).run(`curl -sS --max-time 3 http://${this.address(member)}:8008/patroni`);
  }

  /**
   * Runs a task of the stack on its member.
   * @param stack whose task it is, in place of the pair's own
   */
  async task(name: string, stack = this.stack): Promise<Outcome> {
    const task = taskOf(stack, name);
    const { host, secrets } = task;
    const values = { ...passwords, ...(await this.certificates(host.name, secrets)) };
    return this.on(host.name).attempt(taskScript(task), secretsInput(values));
  }

  /**
   * Places the pair, its principals and the load balancer, each through its gate.
   * @param edit a change of what is placed of a member of the pair @default none
   */
  async placeAll(edit?: (workload: Workload) => Workload): Promise<void> {
    for (const member of ["db-1", "db-2"]) {
      await this.place(member, edit);
      await this.healthy(member);
      await this.mustTask(`${member}-principals`);
    }
    await this.place("lb-1");
  }

  async mustTask(name: string, stack = this.stack): Promise<string> {
    const { code, stdout, stderr } = await this.task(name, stack);
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Runs SQL in a member's own PostgreSQL, as its superuser. */
  sql(member: string, query: string, database = "postgres"): Promise<string> {
    const psql = "psql -h /run/postgresql -XAt -v ON_ERROR_STOP=1";
    return this.on(member).run(`runuser -u postgres -- ${psql} ${database}`, query);
  }

  async primary(): Promise<string> {
    const states = await Promise.all(
      ["db-1", "db-2"].map(async (member) => {
        const psql =
          "runuser -u postgres -- psql -h /run/postgresql -XAtc 'SELECT pg_is_in_recovery()'";
        const { stdout } = await this.on(member).attempt(psql);
        return stdout.trim() === "f" ? [member] : [];
      }),
    );
    const [one, ...others] = states.flat();
    if (one === undefined || others.length > 0) throw new Error(`primaries: [${states.flat()}]`);
    return one;
  }

  /** Waits until both members reach etcd again. */
  async seeQuorum(): Promise<void> {
    for (const member of ["db-1", "db-2"]) {
      await until(`${member} reaches etcd`, {
        probe: async () => {
          const url = `https://${this.address(member)}:8008/patroni`;
          const answer = await this.on(member).run(`curl -sk --max-time 3 ${url}; echo; date +%s`);
          const [state = "{}", now] = answer.split("\n");
          return Number(now) - JSON.parse(state).dcs_last_seen;
        },
        done: (seconds) => seconds < 2,
        limitSeconds: 30,
      });
    }
  }

  /** Waits until one member is primary and the other its synchronous standby. */
  async whole(): Promise<string> {
    let primary = "";
    await until("the database is a pair", {
      probe: async () => {
        primary = await this.primary();
        return this.sql(primary, "SELECT string_agg(sync_state, ',') FROM pg_stat_replication");
      },
      done: (state) => state === "sync",
      limitSeconds: 60,
    }).catch(async ({ message }: Error) => {
      const said = ["db-1", "db-2"].map((one) =>
        this.on(one).run(`tail -40 /tmp/log | sed 's/^/${one}: /'`),
      );
      throw new Error([message, ...(await Promise.all(said))].join("\n"));
    });
    return primary;
  }
}
