/**
 * A Pulumi project of a few lines in a folder of its own, run by the real engine: state, secrets and
 * plugins are apart from the checkout's. Which plugins serve it is a choice of each call, so one
 * state can go from one plugin to another.
 */
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { inRoot, pinnedVersion, withOwnNode } from "../../lib/paths.ts";
import { mustRun, type Outcome, type RunOptions, run } from "../../lib/run.ts";
import { cliFolder } from "../../scripts/launcher/environment.ts";

const stack = "small";
const passphrase = "small";
const limitSeconds = 180;

/** What of an exported stack the tests look at. */
export interface State {
  readonly deployment: { readonly resources?: readonly StateResource[] };
}

export interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

export class SmallProject {
  readonly folder: string;
  /** PULUMI_HOME of the calls to come: a folder with `plugins/`, and a CLI if it has one. */
  home: string;

  private constructor(home: string) {
    this.folder = mkdtempSync(join(tmpdir(), "hastack-small-"));
    this.home = home;
  }

  /** Makes the folder and an empty stack in it; `remove` takes both away. */
  static async create(home: string): Promise<SmallProject> {
    const project = new SmallProject(home);
    const settings = {
      name: "small",
      runtime: { name: "nodejs", options: { typescript: false } },
    };
    project.write("Pulumi.yaml", JSON.stringify(settings));
    project.write("package.json", JSON.stringify({ type: "module", main: "index.js" }));
    project.#setProgram("");
    symlinkSync(inRoot("node_modules"), join(project.folder, "node_modules"));
    await mustRun(project.#command(["stack", "init", stack]), project.#options());
    return project;
  }

  /** Writes a file beside the program. @returns its path */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  /** @param program text of an ES module with its imports; what it exports are the stack's outputs */
  up(program: string, ...args: string[]): Promise<Outcome> {
    this.#setProgram(program);
    return this.pulumi("up", "--yes", "--skip-preview", ...args);
  }

  preview(program: string, ...args: string[]): Promise<Outcome> {
    this.#setProgram(program);
    return this.pulumi("preview", "--diff", ...args);
  }

  destroy(...args: string[]): Promise<Outcome> {
    return this.pulumi("destroy", "--yes", "--skip-preview", ...args);
  }

  /** The stack as exported. @param args such as `--show-secrets` */
  async state(...args: string[]): Promise<State> {
    return JSON.parse(await mustRun(this.#command(["stack", "export", ...args]), this.#options()));
  }

  /** Any command line of the CLI in the project. */
  pulumi(...args: string[]): Promise<Outcome> {
    return run(this.#command(args), this.#options());
  }

  /** Deletes the folder; what the resources made is `destroy`'s. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #setProgram(program: string): void {
    this.write("index.js", program);
  }

  /** Where the home has its own CLI; a home of plugins alone gets the checkout's. */
  get #cli(): string {
    const own = join(this.home, "versions", pinnedVersion("@pulumi/pulumi"), "bin");
    return existsSync(join(own, "pulumi")) ? own : cliFolder();
  }

  /** The CLI by its path: in PATH the project's launcher comes first, with the checkout's state. */
  #command(args: readonly string[]): string[] {
    return [join(this.#cli, "pulumi"), ...args];
  }

  /** The user's own settings of Pulumi and of SSH's agent are none of the project's. */
  #options(): RunOptions {
    const isOurs = ([name]: [string, unknown]) =>
      !name.startsWith("PULUMI_") && name !== "SSH_AUTH_SOCK";
    return {
      cwd: this.folder,
      limitSeconds,
      env: {
        ...Object.fromEntries(Object.entries(process.env).filter(isOurs)),
        PULUMI_HOME: this.home,
        PULUMI_BACKEND_URL: `file://${this.folder}`,
        PULUMI_STACK: stack,
        PULUMI_CONFIG_PASSPHRASE: passphrase,
        PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
        PULUMI_SKIP_UPDATE_CHECK: "true",
        PULUMI_OPTION_NON_INTERACTIVE: "true",
        PULUMI_OPTION_COLOR: "never",
        PATH: withOwnNode([this.#cli, process.env.PATH].filter(Boolean).join(delimiter)),
      },
    };
  }
}
