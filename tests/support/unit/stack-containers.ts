/**
 * Members of the stack in containers of their own, each with the address that it has in the plan, under
 * the stack's supervisor: their files are delivered and looked at as `up` does it.
 */
import { runDocker, tryDocker } from "../../../infra/platform/docker/engine.ts";
import { serviceFiles } from "../../../infra/platform/docker/s6.ts";
import type { Workload } from "../../../infra/platform/platform.ts";
import { filesRequest, processesRequest, secretsInput } from "../../../infra/platform/request.ts";
import type { Outcome } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { type Container, passingName, start } from "./containers.ts";
import { Issuer } from "./issuer.ts";
import { requestScript } from "./requests.ts";
import { type Description, describeStack, workloadOf } from "./stack.ts";

/** Where a member's files are. */
export const root = "/etc/hastack";

/** The stack in networks `10.BACKEND` and `10.FRONTEND`, of which test runs side by side have their own. */
export function stackIn(
  backend: number,
  frontend: number,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<Description> {
  const network = (second: number) => {
    const start = `10.${second}.${process.pid % 256}`;
    return { subnet: `${start}.0/24`, vip: `${start}.100` };
  };
  return describeStack({
    network: { frontend: network(frontend), backend: network(backend) },
    ...changes,
  });
}

/** Makes the network that the containers are in. @returns Docker's name of it */
export async function makeNetwork(stack: Description, name: string): Promise<string> {
  const network = passingName(name);
  const { subnet } = stack.settings.network.backend;
  await runDocker(["network", "create", "--internal", `--subnet=${subnet}`, network]);
  return network;
}

export class StackContainers {
  readonly stack: Description;
  readonly issuer: Issuer;
  /** Docker's name of the network. */
  readonly network: string;
  readonly #containers = new Map<string, Container>();
  readonly #certificates = new Map<string, Record<string, string>>();

  protected constructor(stack: Description, network: string) {
    this.stack = stack;
    this.issuer = new Issuer(stack.topology);
    this.network = network;
  }

  /** @param options of `docker run` besides its address @default none */
  protected async startContainer(
    name: string,
    image: string,
    address: string,
    options: readonly string[] = [],
  ): Promise<void> {
    const container = await start(image, name, {
      network: this.network,
      arguments: [`--ip=${address}`, ...options],
    });
    this.#containers.set(name, container);
    await container.run(
      `install -d ${root}/services && s6-svscan ${root}/services > /tmp/log 2>&1 &`,
    );
  }

  async remove(): Promise<void> {
    for (const container of this.#containers.values()) await container.remove();
    await tryDocker(["network", "rm", this.network]);
  }

  /** @throws Error if there is no such container */
  on(name: string): Container {
    const found = this.#containers.get(name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  }

  /** Address of a member. */
  address(member: string): string {
    return workloadOf(this.stack, member).host.backend;
  }

  /**
   * Delivers a member's files and has its processes take notice, as `up` would.
   * @param passwords values of placeholders that are no certificates @default none
   */
  protected async deliver(
    member: string,
    { files, processes, secrets }: Pick<Workload, "files" | "processes" | "secrets">,
    passwords: Readonly<Record<string, string>> = {},
  ): Promise<string> {
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
    const values = { ...passwords, ...(await this.certificates(member, secrets)) };
    return this.on(member).run(program, secretsInput(values));
  }

  /** The certificates that a member has, with those that it lacks yet. */
  protected async certificates(
    member: string,
    secrets: Workload["secrets"],
  ): Promise<Record<string, string>> {
    const made = await this.issuer.values(member, secrets);
    const values = { ...made, ...this.#certificates.get(member) };
    this.#certificates.set(member, values);
    return values;
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
  healthy(member: string, limitSeconds = 60): Promise<Outcome> {
    return until(`${member} is healthy`, {
      probe: () => this.health(member),
      done: ({ code }) => code === 0,
      describe: ({ stdout, stderr }) => stdout + stderr,
      limitSeconds,
    });
  }
}
