/**
 * Three members of etcd in containers of their own, each with an address of its own, under the
 * stack's supervisor: a member is known by the address that it comes from.
 */
import { runDocker, tryDocker } from "../../../infra/platform/docker/engine.ts";
import { serviceFiles } from "../../../infra/platform/docker/s6.ts";
import type { Workload } from "../../../infra/platform/platform.ts";
import { filesRequest, processesRequest, secretsInput } from "../../../infra/platform/request.ts";
import type { Outcome } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { forgedAuthDisable, type Target, targetIn } from "../attacks/etcd.ts";
import { type Container, passingName, start } from "./containers.ts";
import { imageFor } from "./images.ts";
import { Issuer } from "./issuer.ts";
import { requestScript, taskScript } from "./requests.ts";
import { type Description, describeStack, taskOf, workloadOf } from "./stack.ts";

const root = "/etc/hastack";

export class EtcdQuorum {
  readonly stack: Description;
  readonly issuer: Issuer;
  /** Docker's name of the network. */
  readonly network: string;
  readonly #members = new Map<string, Container>();
  readonly #certificates = new Map<string, Record<string, string>>();

  private constructor(stack: Description, network: string) {
    this.stack = stack;
    this.issuer = new Issuer(stack.topology);
    this.network = network;
  }

  /** Starts the containers, without etcd in them. */
  static async start(): Promise<EtcdQuorum> {
    // Test runs side by side have networks of their own
    const third = process.pid % 256;
    const backend = { subnet: `10.214.${third}.0/24`, vip: `10.214.${third}.100` };
    const frontend = { subnet: `10.215.${third}.0/24`, vip: `10.215.${third}.100` };
    const stack = await describeStack({ network: { frontend, backend } });
    const network = passingName("etcd");
    await runDocker(["network", "create", "--internal", `--subnet=${backend.subnet}`, network]);
    const quorum = new EtcdQuorum(stack, network);
    const image = await imageFor(workloadOf(stack, "etcd-1"));
    for (const { name, backend } of stack.topology.members.quorum) {
      const container = await start(image, name, { network, arguments: [`--ip=${backend}`] });
      quorum.#members.set(name, container);
      await container.run(
        `install -d ${root}/services && s6-svscan ${root}/services > /tmp/log 2>&1 &`,
      );
    }
    return quorum;
  }

  async remove(): Promise<void> {
    for (const container of this.#members.values()) await container.remove();
    await tryDocker(["network", "rm", this.network]);
  }

  /** @throws Error if there is no such member */
  on(member: string): Container {
    const found = this.#members.get(member);
    if (!found) throw new Error(`there is no ${member}`);
    return found;
  }

  /** Address of a member. */
  address(member: string): string {
    return workloadOf(this.stack, member).host.backend;
  }

  /**
   * Delivers a member's files and has etcd take notice, as `up` would.
   * @param edit a change of what is placed @default none
   */
  async place(
    member: string,
    edit: (workload: Workload) => Workload = (one) => one,
  ): Promise<string> {
    const { files, processes, secrets } = edit(workloadOf(this.stack, member));
    const request = {
      root,
      files: filesRequest([...files, ...serviceFiles(processes)]),
      processes: processesRequest(processes),
    };
    const program = requestScript(
      ["request", "s6", "deliver", "notify"],
      "deliver\nnotify",
      request,
    );
    const values = this.#certificates.get(member) ?? (await this.issuer.values(member, secrets));
    this.#certificates.set(member, values);
    return this.on(member).run(program, secretsInput(values));
  }

  /** Gives a member other certificates from its next placement on. @default new ones of its own */
  async renew(member: string, changed?: Record<string, string>): Promise<void> {
    const { secrets } = workloadOf(this.stack, member);
    const values = changed ?? (await this.issuer.values(member, secrets));
    this.#certificates.set(member, { ...this.#certificates.get(member), ...values });
  }

  /** One look at a member's health. */
  health(member: string): Promise<Outcome> {
    const command = workloadOf(this.stack, member).health?.command ?? "";
    return this.on(member).attempt(`cd ${root} && ${command}`);
  }

  /** Waits until a member passes its gate. */
  healthy(member: string): Promise<Outcome> {
    return until(`${member} is healthy`, {
      probe: () => this.health(member),
      done: ({ code }) => code === 0,
      describe: ({ stdout, stderr }) => stdout + stderr,
      limitSeconds: 30,
    });
  }

  /** Places all, one after the other, each through its gate. */
  async placeAll(edit?: (workload: Workload) => Workload): Promise<void> {
    for (const member of this.#members.keys()) {
      await this.place(member, edit);
      await this.healthy(member);
    }
  }

  /**
   * Runs a task of the stack on its member.
   * @param edit a change of its script @default none
   */
  async task(
    name: string,
    passwords: Readonly<Record<string, string>>,
    edit: (script: string) => string = (one) => one,
  ): Promise<Outcome> {
    const task = taskOf(this.stack, name);
    const values = { ...(await this.issuer.values(task.host.name, task.secrets)), ...passwords };
    const script = taskScript({ ...task, script: edit(task.script) });
    return this.on(task.host.name).attempt(script, secretsInput(values));
  }

  /**
   * Sends a forged message to a member's peer port. Its numbers are known to the sender.
   * @param from where it is sent from
   * @param certificate words of curl @default none is shown
   * @returns HTTP's status; 000 where there was no answer
   */
  async forge(from: Container, member: string, scheme: "http" | "https", certificate = "") {
    const { path, headers, body } = forgedAuthDisable(await this.#target(member));
    const lines = Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`);
    const { stdout } = await from.attempt(
      `base64 -d | curl -sS -k --http1.1 --max-time 3 -o /dev/null -w '%{http_code}' \
        ${certificate} ${lines.join(" ")} --data-binary @- ${scheme}://${this.address(member)}:2380${path}`,
      body.toString("base64"),
    );
    return stdout;
  }

  async #target(member: string): Promise<Target> {
    const ask = "curl -sik --http1.1 --max-time 2 --cert /etc/hastack/tls/etcd-peer.pem";
    const url = `${this.address(member)}:2380/members`;
    const answer = await this.on(member).run(`${ask} https://${url} || curl -si http://${url}`);
    return targetIn(answer, member);
  }

  /** etcdctl at a member, as a user (`NAME:PASSWORD`) or as nobody, with the member's certificate. */
  etcdctl(member: string, user: string, command: string): Promise<Outcome> {
    const tls =
      "--cacert=tls/quorum-client-ca.crt --cert=tls/etcd-server.pem --key=tls/etcd-server.pem";
    const login = user === "" ? "" : `--user=${user}`;
    return this.on(member).attempt(
      `cd ${root} && ETCDCTL_API=3 etcdctl --endpoints=https://${this.address(member)}:2379 ${tls} ${login} ${command}`,
    );
  }

  /** How each password in a member's database is hashed: a line for each, such as `$2a$04$`. */
  async passwordHashes(member: string, rootPassword: string): Promise<string> {
    // What is free again in the file would count
    await this.etcdctl(member, `root:${rootPassword}`, "defrag");
    const file = "/var/lib/etcd/hastack/member/snap/db";
    return this.on(member).run(`grep -ao '[$]2a[$][0-9][0-9][$]' ${file}`);
  }
}
