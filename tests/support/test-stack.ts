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
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { inRoot, root } from "../../lib/paths.ts";
import { lastWords, mustRun, type Outcome, run } from "../../lib/run.ts";
import { makeCertificate, pemOf } from "./certificates.ts";
import type { Configuration, Place } from "./place.ts";
import { limits } from "./promises.ts";
import { type Answer, type Door, type RequestOptions, request, type Site } from "./traffic.ts";

/** A certificate to serve the site with. */
export interface Certificate {
  /** PEM of the chain and the private key, as the setting wants it. */
  readonly chainAndKey: string;
  /** PEM of who vouches for it. */
  readonly ca: string;
}

/** Makes a certificate for a site at these addresses, with an authority of its own behind it. */
export async function certificateFor(addresses: readonly string[]): Promise<Certificate> {
  const authority = await makeCertificate({ authority: true });
  const names = addresses.map((address) => `IP:${address}`);
  const own = await makeCertificate({ names, issuer: authority });
  return { chainAndKey: pemOf(own), ca: authority.certificate };
}

/** What a stack is made of. */
const sources = [
  "Pulumi.yaml",
  "package.json",
  "package-lock.json",
  "infra",
  "lib",
  "release",
  "lab",
  "operate",
  "app",
  "sql",
  "examples",
  "haproxy",
  "scripts",
  "operate",
  "toolchain",
];

/** The copy of the checkout that a stack is made from. */
export function stackFolder(name: string): string {
  return `${inRoot(".hastack/test", name)}/`;
}

export class TestStack implements Site {
  readonly name: string;
  readonly place: Place;
  /** The copy of the checkout. */
  readonly folder: string;
  #checkout = root;
  #certificate: Certificate | undefined;
  #authorization: Promise<string> | undefined;

  /** @param place where its members run */
  constructor(name: string, place: Place) {
    this.name = name;
    this.place = place;
    this.folder = stackFolder(name);
  }

  /** Has the site served by HTTPS with this certificate from the next `up` on, or without one. */
  serveWith(certificate: Certificate | undefined): void {
    this.#certificate = certificate;
    this.configure({});
  }

  /** Who vouches for the site's certificate. */
  get ca(): string | undefined {
    return this.#certificate?.ca;
  }

  /** The site at its virtual address. */
  get url(): string {
    return this.#urlAt(this.place.vip);
  }

  /** The site at each load balancer. */
  get localUrls(): readonly string[] {
    return this.place.localHosts.map((host) => this.#urlAt(host));
  }

  /** Every address of the site. */
  get doors(): readonly Door[] {
    return [this.url, ...this.localUrls].map((url) => ({ url, ca: this.ca }));
  }

  #urlAt(host: string): string {
    return `${this.#certificate ? "https" : "http"}://${host}/`;
  }

  /** Sends one request to the site. @param path from the site's root, or a whole address of it */
  request(path: string, options: RequestOptions = {}): Promise<Answer> {
    return request(new URL(path, this.url).href, { ca: this.ca, ...options });
  }

  /**
   * Makes the copy anew; a stack that an earlier run left is destroyed first.
   * @param as `clone` is what a new user gets: what git has, and the packages that go with it
   * @param checkout that is copied @default this one
   */
  async create(as: "copy" | "clone" = "copy", checkout = root): Promise<void> {
    await this.destroyAll();
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true });
    if (as === "clone" && existsSync(inRoot(".git"))) await this.#clone();
    else {
      symlinkSync(inRoot("node_modules"), `${this.folder}node_modules`);
      this.takeSources(checkout);
    }
    this.usePulumi(inRoot(".hastack/pulumi"));
    this.configure({});
    if (as === "copy") await this.place.prepare();
  }

  /**
   * Puts a checkout's sources in the place of the copy's; the stack's state stays.
   * @param checkout @default this one
   */
  takeSources(checkout = root): void {
    this.#checkout = checkout;
    for (const source of sources) {
      rmSync(this.folder + source, { recursive: true, force: true });
      if (!existsSync(join(checkout, source))) continue;
      cpSync(join(checkout, source), this.folder + source, {
        recursive: true,
        filter: (path) => !path.endsWith("/node_modules"),
      });
    }
    symlinkSync(inRoot("app/node_modules"), `${this.folder}app/node_modules`);
    this.configure({});
  }

  /** Changes that are not committed yet are brought along: they are to be tested. */
  async #clone(): Promise<void> {
    const git = (folder: string, ...args: string[]) => mustRun(["git", "-C", folder, ...args]);
    await git(root, "clone", "--quiet", root, this.folder);
    const changes = await git(root, "diff", "--binary", "HEAD");
    const apply = ["git", "-C", this.folder, "apply", "--whitespace=nowarn"];
    if (changes !== "") await mustRun(apply, { input: changes });
    const others = await git(root, "ls-files", "--others", "--exclude-standard", "-z");
    for (const path of others.split("\0").filter(Boolean)) {
      cpSync(inRoot(path), this.folder + path);
    }
    // As links to the files, so that a package which leads into the project leads into this one
    await mustRun(["cp", "-al", inRoot("node_modules"), this.folder]);
    await mustRun(["cp", "-al", inRoot("app/node_modules"), `${this.folder}app/`]);
  }

  /** Runs a command of the project in the copy, by npm as its user does. */
  npm(args: readonly string[], limitSeconds: number): Promise<Outcome> {
    const options = { cwd: this.folder, env: this.env, limitSeconds };
    return run(["npm", ...args], options);
  }

  /** From now on the CLI and the plugins are those of this home. */
  usePulumi(home: string): void {
    mkdirSync(`${this.folder}.hastack`, { recursive: true });
    rmSync(`${this.folder}.hastack/pulumi`, { force: true });
    symlinkSync(home, `${this.folder}.hastack/pulumi`);
  }

  /** Writes the configuration: the checkout's, what its place asks for, and these settings. */
  configure(settings: Configuration): void {
    const base = parse(readFileSync(join(this.#checkout, this.place.base), "utf8"));
    const config = { ...base.config, ...this.place.settings };
    if (this.#certificate) {
      config["hastack:certificate"] = this.#certificate.chainAndKey;
      config["hastack:plainHttp"] = false;
    }
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
    cpSync(join(this.#checkout, path), this.folder + path);
  }

  /** A command line of Pulumi's by the launcher of the copy. */
  command(args: readonly string[]): readonly string[] {
    return [process.execPath, `${this.folder}scripts/launcher/pulumi.mjs`, ...args];
  }

  get env(): NodeJS.ProcessEnv {
    // What npm has told the tests is not about the copy
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("npm_"));
    return {
      ...Object.fromEntries(own),
      PULUMI_STACK: this.name,
      PULUMI_OPTION_NON_INTERACTIVE: "true",
      PULUMI_OPTION_COLOR: "never",
    };
  }

  pulumi(args: readonly string[], limitSeconds: number, env: NodeJS.ProcessEnv = {}) {
    const options = { cwd: this.folder, env: { ...this.env, ...env }, limitSeconds };
    return run(this.command(args), options);
  }

  async must(args: readonly string[], limitSeconds: number = limits.preview): Promise<string> {
    const outcome = await this.pulumi(args, limitSeconds);
    const { code, stdout } = outcome;
    if (code === 0) return stdout;
    // Pulumi tells at the end what failed
    throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${lastWords(outcome, 80)}`);
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
    await this.must(["destroy", "--yes"], limits.destroy);
  }

  /** Leaves nothing of the stack, kept data neither. */
  async destroyAll(): Promise<void> {
    const isThere = existsSync(`${this.folder}Pulumi.yaml`);
    await this.place.wipe(async () => {
      if (isThere) await this.destroy();
    });
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
}
