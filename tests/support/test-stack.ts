/**
 * A stack of a test run, in a copy of the checkout: it goes through the project's launcher as a
 * user's does, has state, subnets and ports of its own, and tests may break its sources.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { parse, stringify } from "yaml";
import { projectDirectory } from "../../infra/project.ts";
import { mustRun, type Outcome, run } from "../../scripts/lib/run.ts";
import { limits } from "./promises.ts";

export type Configuration = Record<string, unknown>;

/** What a stack is made of. */
const sources = [
  "Pulumi.yaml",
  "package.json",
  "package-lock.json",
  "infra",
  "app",
  "sql",
  "haproxy",
  "scripts",
];

/** Settings in which a test's stack differs from `dev`. */
const testSettings: Configuration = {
  "hastack:network": {
    frontend: { subnet: "172.29.10.0/24", vip: "172.29.10.100" },
    backend: { subnet: "172.29.11.0/24", vip: "172.29.11.100" },
  },
  "hastack:loadBalancer": { publishedPorts: [18080, 18081], publishedStatsPorts: [18404, 18405] },
};

export class TestStack {
  readonly name: string;
  /** The copy of the checkout. */
  readonly folder: string;
  readonly vip = "172.29.10.100";
  readonly url = `http://${this.vip}/`;
  readonly localUrls = ["http://127.0.0.1:18080/", "http://127.0.0.1:18081/"];
  #authorization: Promise<string> | undefined;

  constructor(name: string) {
    this.name = name;
    this.folder = `${projectDirectory}.hastack/test/${name}/`;
  }

  /** Makes the copy anew; a stack that an earlier run left is destroyed first. */
  async create(): Promise<void> {
    await this.destroyAll();
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true });
    for (const source of sources) {
      cpSync(projectDirectory + source, this.folder + source, {
        recursive: true,
        filter: (path) => !path.endsWith("/node_modules"),
      });
    }
    mkdirSync(`${this.folder}.hastack`);
    symlinkSync(`${projectDirectory}.hastack/pulumi`, `${this.folder}.hastack/pulumi`);
    symlinkSync(`${projectDirectory}node_modules`, `${this.folder}node_modules`);
    symlinkSync(`${projectDirectory}app/node_modules`, `${this.folder}app/node_modules`);
    this.configure({});
  }

  /** Writes the configuration: that of `dev`, the tests' own, and these settings. */
  configure(settings: Configuration): void {
    const dev = parse(readFileSync(`${projectDirectory}Pulumi.dev.yaml`, "utf8"));
    const config = { ...dev.config, ...testSettings };
    for (const [key, value] of Object.entries(settings)) {
      config[key] =
        typeof value === "object" && !Array.isArray(value) ? { ...config[key], ...value } : value;
    }
    writeFileSync(`${this.folder}Pulumi.${this.name}.yaml`, stringify({ config }));
  }

  /** Changes one of the copy's sources; `restore` brings it back. */
  edit(path: string, change: (text: string) => string): void {
    const before = readFileSync(this.folder + path, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`nothing changed in ${path}`);
    writeFileSync(this.folder + path, after);
  }

  restore(path: string): void {
    cpSync(projectDirectory + path, this.folder + path);
  }

  /** A command line of Pulumi's by the launcher of the copy. */
  command(args: readonly string[]): readonly string[] {
    return [process.execPath, `${this.folder}scripts/launcher/pulumi.mjs`, ...args];
  }

  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      PULUMI_STACK: this.name,
      PULUMI_OPTION_NON_INTERACTIVE: "true",
      PULUMI_OPTION_COLOR: "never",
    };
  }

  pulumi(args: readonly string[], limitSeconds: number, env: NodeJS.ProcessEnv = {}) {
    return run(this.command(args), {
      cwd: this.folder,
      env: { ...this.env, ...env },
      limitSeconds,
    });
  }

  async must(args: readonly string[], limitSeconds: number = limits.preview): Promise<string> {
    const { code, stdout, stderr } = await this.pulumi(args, limitSeconds);
    if (code !== 0) {
      throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
    }
    return stdout;
  }

  up(): Promise<Outcome> {
    return this.pulumi(["up", "--yes", "--skip-preview"], limits.up);
  }

  async mustUp(): Promise<string> {
    return this.must(["up", "--yes", "--skip-preview"], limits.up);
  }

  /** Its exit code is 0 only if nothing would change. */
  previewNoChanges(): Promise<Outcome> {
    return this.pulumi(["preview", "--diff", "--expect-no-changes"], limits.preview);
  }

  /** Header of an administrator's requests; another stack of this name has another password. */
  authorization(): Promise<string> {
    this.#authorization ??= this.outputs().then(
      ({ adminPassword }) => `Basic ${Buffer.from(`admin:${adminPassword}`).toString("base64")}`,
    );
    return this.#authorization;
  }

  async destroy(): Promise<void> {
    this.#authorization = undefined;
    const { code, stdout, stderr } = await this.pulumi(["destroy", "--yes"], limits.destroy);
    if (code !== 0) throw new Error(`destroy ended with ${code}:\n${stdout}\n${stderr}`);
  }

  /** Destroys the stack and removes the data volumes that it kept. */
  async destroyAll(): Promise<void> {
    if (!existsSync(`${this.folder}Pulumi.yaml`)) return;
    await this.destroy();
    for (const leftover of await this.leftovers()) {
      const [kind = "", name = ""] = leftover.split(" ");
      if (kind === "volume") await mustRun(["docker", "volume", "rm", name]);
    }
  }

  async outputs(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.must(["stack", "output", "--json", "--show-secrets"]));
  }

  /** The stack's state as it lies on the disk, secrets encrypted. */
  storedState(): string {
    return readFileSync(
      `${this.folder}.hastack/state/.pulumi/stacks/hastack/${this.name}.json`,
      "utf8",
    );
  }

  container(member: string): string {
    return `hastack-${this.name}-${member}`;
  }

  /** Everything of this stack in the engine, by label and by name. */
  async leftovers(): Promise<string[]> {
    const filter = ["--filter", `label=hastack.stack=${this.name}`];
    const reference = ["--filter", `reference=hastack-${this.name}/*`];
    const found = [
      ["ps", "-a", ...filter, "--format", "container {{.Names}}"],
      ["network", "ls", ...filter, "--format", "network {{.Name}}"],
      ["volume", "ls", ...filter, "--format", "volume {{.Name}}"],
      ["images", ...reference, "--format", "image {{.Repository}}"],
      ["images", "-a", ...filter, "--format", "labelled image {{.ID}}"],
    ].map(async (args) => (await mustRun(["docker", ...args])).split("\n"));
    return (await Promise.all(found)).flat().filter(Boolean);
  }
}
