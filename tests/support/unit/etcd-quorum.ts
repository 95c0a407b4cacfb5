/**
 * Three members of etcd in containers of their own, each with an address of its own, under the
 * stack's supervisor: a member is known by the address that it comes from.
 */
import type { Workload } from "../../../infra/platform/platform.ts";
import { secretsInput } from "../../../infra/platform/request.ts";
import type { Outcome } from "../../../lib/run.ts";
import { forgedAuthDisable, type Target, targetIn } from "../attacks/etcd.ts";
import type { Container } from "./containers.ts";
import { imageFor } from "./images.ts";
import { taskScript } from "./requests.ts";
import { taskOf, workloadOf } from "./stack.ts";
import { makeNetwork, root, StackContainers, stackIn } from "./stack-containers.ts";

export class EtcdQuorum extends StackContainers {
  /** Starts the containers, without etcd in them. @param options of `docker run` @default none */
  static async start(options: readonly string[] = []): Promise<EtcdQuorum> {
    const stack = await stackIn(214, 215);
    const quorum = new EtcdQuorum(stack, await makeNetwork(stack, "etcd"));
    const image = await imageFor(workloadOf(stack, "etcd-1"));
    for (const { name, backend } of stack.topology.members.quorum) {
      await quorum.startContainer(name, image, backend, options);
    }
    return quorum;
  }

  /** @param edit a change of what is placed @default none */
  place(member: string, edit: (workload: Workload) => Workload = (one) => one): Promise<string> {
    return this.deliver(member, edit(workloadOf(this.stack, member)));
  }

  override healthy(member: string): Promise<Outcome> {
    return super.healthy(member, 30);
  }

  /** Places all, one after the other, each through its gate. */
  async placeAll(edit?: (workload: Workload) => Workload): Promise<void> {
    for (const { name: member } of this.stack.topology.members.quorum) {
      await this.place(member, edit);
      await this.healthy(member);
    }
  }

  /**
   * Runs a task of the stack on its member.
   * @param edit a change of its script @default none
   * @param others further passwords, each in a file of its own: `root_other_password` in `root-other` @default none
   */
  async task(
    name: string,
    passwords: Readonly<Record<string, string>>,
    edit: (script: string) => string = (one) => one,
    others: Readonly<Record<string, string>> = {},
  ): Promise<Outcome> {
    const task = taskOf(this.stack, name);
    const known = await this.issuer.values(task.host.name, task.secrets);
    const values = { ...known, ...passwords, ...others };
    const more = Object.keys(others).map((key) => ({
      path: key.replace("_password", "").replace("root_", "root-"),
      content: `@{${key}}`,
      mode: "0600",
    }));
    const files = [
      ...task.files.filter(({ path }) => more.every((one) => one.path !== path)),
      ...more,
    ];
    const script = taskScript({ ...task, files, script: edit(task.script) });
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
