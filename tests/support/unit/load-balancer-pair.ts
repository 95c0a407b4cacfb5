/**
 * Both load balancers, each in a container with its two networks and under the stack's supervisor, and a
 * client that asks the virtual address for something all the time.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runDocker, tryDocker } from "../../../infra/platform/docker/engine.ts";
import type { LoadBalancerMember } from "../../../infra/topology.ts";
import { readProjectFile } from "../../../lib/paths.ts";
import { until } from "../../../lib/until.ts";
import { passingName } from "./containers.ts";
import { imageFor } from "./images.ts";
import { type Description, workloadOf } from "./stack.ts";
import { makeNetwork, StackContainers, stackIn } from "./stack-containers.ts";

export const loadBalancers = ["lb-1", "lb-2"] as const;
export type LoadBalancerName = (typeof loadBalancers)[number];

/** What was seen while something went on. */
export interface Seen {
  /** Seconds of the longest time without an answer at the virtual address. */
  readonly gapSeconds: number;
  /** Seconds in which both held the frontend's virtual address. */
  readonly bothSeconds: number;
  /** How often a load balancer took it. */
  readonly taken: number;
}

const longestSeconds = 60;

export class LoadBalancerPair extends StackContainers {
  readonly #frontend: string;

  private constructor(stack: Description, backend: string, frontend: string) {
    super(stack, backend);
    this.#frontend = frontend;
  }

  /** Starts both with their processes, and waits until the first one has the addresses. */
  static async start(): Promise<LoadBalancerPair> {
    const stack = await stackIn(221, 222);
    const frontend = passingName("frontend");
    const { subnet } = stack.settings.network.frontend;
    await runDocker(["network", "create", "--internal", `--subnet=${subnet}`, frontend]);
    const pair = new LoadBalancerPair(stack, await makeNetwork(stack, "backend"), frontend);
    try {
      for (const name of [...loadBalancers, "client"]) await pair.#container(name);
      for (const name of loadBalancers) {
        await pair.place(name);
        await pair.holder("lb-1");
      }
    } catch (error) {
      await pair.remove();
      throw error;
    }
    return pair;
  }

  async #container(name: string): Promise<void> {
    const { host } = workloadOf(this.stack, name === "client" ? "lb-1" : name);
    const image = await imageFor(workloadOf(this.stack, "lb-1"));
    const last = (address: string, number: string) => address.replace(/\d+$/, number);
    const own = (address = "") => (name === "client" ? last(address, "50") : address);
    await this.startContainer(name, image, own(host.backend), [
      "--cap-add=NET_ADMIN",
      "--cap-add=NET_BROADCAST",
      "--sysctl=net.ipv4.ip_nonlocal_bind=1",
    ]);
    const container = this.on(name);
    await runDocker([
      ...["network", "connect", `--ip=${own(host.frontend)}`],
      ...[this.#frontend, container.name],
    ]);
    if (name !== "client") return;
    for (const program of ["attacks/advert", "unit/ask"]) {
      const text = readProjectFile(`tests/support/${program}.pl`);
      await container.run(`cat > /${basename(program)}.pl`, text);
    }
  }

  /** Takes a load balancer's frontend network off, and puts it back: its interface is made anew. */
  async reconnect(name: LoadBalancerName): Promise<void> {
    const container = this.on(name).name;
    const own = this.member(name).frontend;
    await runDocker(["network", "disconnect", this.#frontend, container]);
    await runDocker(["network", "connect", `--ip=${own}`, this.#frontend, container]);
  }

  override async remove(): Promise<void> {
    await super.remove();
    await tryDocker(["network", "rm", this.#frontend]);
  }

  /**
   * Delivers a load balancer's files and has its processes take notice.
   * @param changed contents of files, by their paths, in place of those of the stack @default none
   */
  async place(
    name: LoadBalancerName,
    changed: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const workload = workloadOf(this.stack, name);
    const files = workload.files.map((file) => {
      const content = changed[file.path];
      return content === undefined ? file : { ...file, content };
    });
    await this.deliver(name, { ...workload, files }, { stats_password: "mock" });
  }

  /** A load balancer as the plan has it. */
  member(name: LoadBalancerName): LoadBalancerMember {
    const found = this.stack.topology.members.loadBalancer.find((one) => one.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  }

  /** The interface that a load balancer has in a network. */
  interface(name: LoadBalancerName, network: "frontend" | "backend"): Promise<string> {
    const own = this.member(name)[network];
    return this.on(name).run(`ip -oneline -4 address show to ${own} | awk '{ print $2 }'`);
  }

  /** The load balancers that hold a virtual address. */
  async holders(network: "frontend" | "backend" = "frontend"): Promise<string[]> {
    const { vip } = this.stack.settings.network[network];
    const found = loadBalancers.map(async (name) =>
      (await this.on(name).run(`ip -4 -oneline address show to ${vip}`)) === "" ? [] : [name],
    );
    return (await Promise.all(found)).flat();
  }

  /** Waits until one load balancer alone holds both addresses. @returns its name */
  async holder(wanted?: LoadBalancerName): Promise<LoadBalancerName> {
    const found = await until(`${wanted ?? "one"} holds the addresses`, {
      probe: async () => [await this.holders("frontend"), await this.holders("backend")],
      done: ([one = [], other = []]) =>
        one.length === 1 && one.join() === other.join() && (!wanted || one[0] === wanted),
      limitSeconds: 15,
    });
    return found[0]?.[0] as LoadBalancerName;
  }

  /**
   * Watches the frontend's virtual address and a client of it while something goes on.
   * @param seconds how long it is watched after that @default 2
   */
  async seen(act: () => Promise<unknown>, seconds = 2): Promise<Seen> {
    const { vip } = this.stack.settings.network.frontend;
    const before = await this.holders();
    const client = this.#reading("client", ["perl", "/ask.pl", vip, "80", `${longestSeconds}`]);
    const monitor = [
      "timeout",
      `${longestSeconds}`,
      "ip",
      "-tshort",
      "-oneline",
      "monitor",
      "address",
    ];
    const monitors = loadBalancers.map((name) => this.#reading(name, monitor));
    await sleep(500);
    try {
      await act();
      await sleep(seconds * 1000);
    } finally {
      client.end();
      for (const name of loadBalancers) await this.on(name).attempt("pkill -x ip");
    }
    const changes = await Promise.all(
      loadBalancers.map(async (name, index) =>
        changesOf(name, (await monitors[index]?.text) ?? "", vip),
      ),
    );
    return { gapSeconds: Number(await client.text), ...judged(before, changes.flat()) };
  }

  /** Runs a program and gathers what it prints. */
  #reading(name: string, command: readonly string[]) {
    const words = ["exec", "--interactive", this.on(name).name, ...command];
    const child = spawn("docker", words, { stdio: ["pipe", "pipe", "inherit"] });
    const chunks: string[] = [];
    child.stdout.setEncoding("utf8").on("data", (chunk) => chunks.push(chunk));
    const text = once(child, "close").then(() => chunks.join(""));
    return { text, end: () => child.stdin.end() };
  }
}

interface Change {
  readonly at: number;
  readonly name: string;
  readonly has: boolean;
}

/** When a load balancer got an address and lost it, of what `ip monitor` printed. */
function changesOf(name: string, text: string, address: string): Change[] {
  return text
    .split("\n")
    .filter((line) => line.includes(` ${address}/`))
    .map((line) => ({
      at: Date.parse(`${line.slice(1, 24)}Z`),
      name,
      has: !line.includes("] Deleted "),
    }));
}

function judged(before: readonly string[], changes: readonly Change[]) {
  const holders = new Set(before);
  let [both, since, taken] = [0, 0, 0];
  for (const { at, name, has } of changes.toSorted((one, other) => one.at - other.at)) {
    if (holders.size > 1) both += at - since;
    since = at;
    if (has && !holders.has(name)) taken += 1;
    if (has) holders.add(name);
    else holders.delete(name);
  }
  // They may still both have it
  if (holders.size > 1) both += Date.now() - since;
  return { bothSeconds: both / 1000, taken };
}
