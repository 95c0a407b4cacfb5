/** A test's stack on the Docker engine: each member is a container. */

import { mustRun, run } from "../../lib/run.ts";
import { besideWords, cutScript } from "../../operate/prove/harm.ts";
import {
  type Configuration,
  instancesOf,
  type Place,
  type Served,
  settingsOf,
  travelAgency,
} from "./place.ts";

/** Where a stack's networks and its ports at this machine are: two that run at once have others. */
export interface Spot {
  /** First three numbers of its addresses in each network. */
  readonly frontend: string;
  readonly backend: string;
  /** First of two ports of the site, and of the statistics pages. */
  readonly port: number;
  readonly statsPort: number;
}

/** Of the stacks that `npm test` makes, of which there is one at a time. */
const usualSpot: Spot = {
  frontend: "172.29.10",
  backend: "172.29.11",
  port: 18080,
  statsPort: 18404,
};

/** First host number of each role's members. */
const firstHost: Readonly<Record<string, number>> = {
  lb: 11,
  etcd: 21,
  db: 31,
  storefront: 41,
  admin: 51,
  web: 41,
  cache: 61,
  backup: 121,
};

const folder = "/etc/hastack";

const pairFrom = (port: number): number[] => [port, port + 1];
const localHosts = (port: number): string[] => pairFrom(port).map((one) => `127.0.0.1:${one}`);

const ownSettings = ({ frontend, backend, port, statsPort }: Spot): Configuration => ({
  "hastack:network": {
    frontend: { subnet: `${frontend}.0/24`, vip: `${frontend}.100` },
    backend: { subnet: `${backend}.0/24`, vip: `${backend}.100` },
  },
  "hastack:loadBalancer": {
    publishedPorts: pairFrom(port),
    publishedStatsPorts: pairFrom(statsPort),
  },
});

/** Behind the release's hash stands that of its packages, where it has any. */
const releaseOfTag = (tag: string) => tag.split("-")[0] ?? "";

/** What the proxy beside an instance has, with the settings' defaults. */
const proxyMegabytes = 128;

export class ContainerPlace implements Place {
  readonly base = "Pulumi.dev.yaml";
  readonly settings: Configuration;
  readonly laterSettings: Configuration = {};
  readonly vip: string;
  readonly localHosts: readonly string[];
  readonly statsHosts: readonly string[];
  /** A container that is replaced has nothing to go back to. */
  readonly servingAfterBadRelease: readonly string[];
  readonly checksMemory = false;
  readonly keptReleases = 1;
  /** The frontend's gateway. */
  readonly ownAddress: string;
  readonly #stack: string;
  readonly #spot: Spot;

  /**
   * @param withBackups whether it has the machine that fetches them, as what is shipped has
   * @param spot where it is, for one that runs beside those of `npm test`
   */
  constructor(stack: string, served: Served = travelAgency, withBackups = false, spot = usualSpot) {
    this.#stack = stack;
    this.#spot = spot;
    this.vip = `${spot.frontend}.100`;
    this.ownAddress = `${spot.frontend}.1`;
    this.localHosts = localHosts(spot.port);
    this.statsHosts = localHosts(spot.statsPort);
    this.settings = {
      ...ownSettings(spot),
      ...settingsOf(served),
      ...(!withBackups && { "hastack:members": { backup: 0 } }),
    };
    const first = `${served.tiers[0]}-1`;
    this.servingAfterBadRelease = instancesOf(served).filter((name) => name !== first);
  }

  async prepare(): Promise<void> {}

  async wipe(destroy: () => Promise<void>): Promise<void> {
    await destroy();
    for (const leftover of await this.leftovers()) {
      const [kind = "", name = ""] = leftover.split(" ");
      if (kind === "volume") await mustRun(["docker", "volume", "rm", name]);
    }
  }

  /** By label and by name. */
  async leftovers(): Promise<string[]> {
    const filter = ["--filter", `label=hastack.stack=${this.#stack}`];
    const reference = ["--filter", `reference=hastack-${this.#stack}/*`];
    const found = [
      ["ps", "-a", ...filter, "--format", "container {{.Names}}"],
      ["network", "ls", ...filter, "--format", "network {{.Name}}"],
      ["volume", "ls", ...filter, "--format", "volume {{.Name}}"],
      ["images", ...reference, "--format", "image {{.Repository}}"],
      ["images", "-a", ...filter, "--format", "labelled image {{.ID}}"],
    ].map(async (args) => (await mustRun(["docker", ...args])).split("\n"));
    return (await Promise.all(found)).flat().filter(Boolean);
  }

  container(member: string): string {
    return `hastack-${this.#stack}-${member}`;
  }

  sharing(member: string): readonly string[] {
    return [member];
  }

  address(member: string): string {
    const [, role = "", number = ""] = /^(.*)-(\d)$/.exec(member) ?? [];
    return `${this.#spot.backend}.${(firstHost[role] ?? Number.NaN) + Number(number) - 1}`;
  }

  files(): string {
    return folder;
  }

  release(): string {
    return "/opt/hastack/current";
  }

  async releases(): Promise<string[]> {
    const images = ["docker", "images", `hastack-${this.#stack}/release`, "--format", "{{.Tag}}"];
    // Each tier's user has an image of its own
    return [...new Set((await mustRun(images)).trim().split("\n").map(releaseOfTag))];
  }

  async releaseOf(instance: string): Promise<string> {
    const ask = ["docker", "inspect", "-f", "{{.Image}}", this.container(instance)];
    const image = (await mustRun(ask)).trim();
    const tags = await mustRun(["docker", "inspect", "-f", "{{index .RepoTags 0}}", image]);
    return releaseOfTag(tags.trim().split(":").at(-1) ?? "");
  }

  processId(process: string): string {
    return `s6-svstat -o pid ${folder}/services/${process}`;
  }

  /** The container has the sum, in equal shares. */
  async memoryLimit(member: string): Promise<number | undefined> {
    const name = this.container(member);
    const ask = ["docker", "inspect", "-f", "{{.HostConfig.Memory}}", name];
    const bytes = Number(await mustRun(ask));
    if (bytes === 0) return undefined;
    const list = ["docker", "exec", name, "ls", `${folder}/services`];
    const processes = (await mustRun(list)).trim().split("\n");
    const proxies = processes.filter((one) => one.endsWith("-proxy")).length;
    const own = bytes / 1024 / 1024 - proxies * proxyMegabytes;
    return own / (processes.length - proxies);
  }

  async identity(member: string): Promise<string> {
    return (await run(["docker", "inspect", "-f", "{{.Id}}", this.container(member)])).stdout;
  }

  async started(member: string): Promise<string> {
    const name = this.container(member);
    const ask = `for one in ${folder}/services/*; do s6-svstat -o pid,updownsince "$one"; done`;
    return (
      (await mustRun(["docker", "inspect", "-f", "{{.State.StartedAt}}", name])) +
      (await mustRun(["docker", "exec", name, "sh", "-euc", ask], { limitSeconds: 60 }))
    );
  }

  async log(member: string, lines: number): Promise<string> {
    const ask = [
      "docker",
      "logs",
      `--tail=${Number.isFinite(lines) ? lines : "all"}`,
      this.container(member),
    ];
    const { stdout, stderr } = await run(ask);
    return stdout + stderr;
  }

  /** Its network is dead before its processes are, as without power: no connection is closed. */
  async lose(member: string): Promise<void> {
    const beside = await besideWords(this.container(member), [this.container("lb-1")]);
    await mustRun(["docker", ...beside, cutScript({ all: true })]);
    await mustRun(["docker", "kill", this.container(member)]);
  }

  async hang(member: string): Promise<void> {
    await mustRun(["docker", "pause", this.container(member)]);
  }

  async goOn(member: string): Promise<void> {
    await mustRun(["docker", "unpause", this.container(member)]);
  }

  /** The engine's view, process lists and logs. */
  async plainSight(): Promise<string[]> {
    const filter = ["--filter", `label=hastack.stack=${this.#stack}`];
    const names = (await mustRun(["docker", "ps", "-q", ...filter])).trim().split("\n");
    const looks = [await mustRun(["docker", "inspect", ...names])];
    for (const name of names) {
      looks.push(await mustRun(["docker", "top", name, "-o", "pid,args"]));
      const { stdout, stderr } = await run(["docker", "logs", name]);
      looks.push(stdout + stderr);
    }
    return looks;
  }
}
