/** Gathers what a recovery of a stack needs. */
import { existsSync, readFileSync } from "node:fs";
import { relative, resolve, sep } from "node:path";
import { userPath } from "../../infra/inventory.ts";
import { inRoot, readProjectFile, root } from "../../lib/paths.ts";
import { run } from "../../lib/run.ts";
import { pulumiEnvironment } from "../../scripts/launcher/environment.ts";
import { pulumiOutput } from "../../scripts/pulumi.ts";
import { operator } from "../act/lock.ts";
import type { OperatedStack } from "../stack.ts";
import { type About, format, type Kit, names } from "./contents.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { needsKit } from "./judge.ts";
import { sourcesOf } from "./sources.ts";
import { type Config, readMe, repositoryText } from "./texts.ts";

/** What Pulumi tells of a stack. */
interface Told {
  readonly state: string;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly config: Config;
}

/** Reading the secrets shows that the passphrase is the right one. @throws where it is not */
async function askPulumi(name: string): Promise<Told> {
  const stack = ["--stack", name];
  const secrets = ["--json", "--show-secrets", ...stack];
  return {
    state: await pulumiOutput(["stack", "export", ...stack]),
    outputs: JSON.parse(await pulumiOutput(["stack", "output", ...secrets])),
    config: JSON.parse(await pulumiOutput(["config", ...secrets])),
  };
}

/** The state's own passphrase, wherever it is set. @returns nothing where the state has another kind of key */
function passphraseOf(provider: string, env = pulumiEnvironment()): string | undefined {
  if (provider !== "passphrase") return undefined;
  const { PULUMI_CONFIG_PASSPHRASE: given, PULUMI_CONFIG_PASSPHRASE_FILE: file = "" } = env;
  return given ?? readFileSync(file, "utf8").trim();
}

/** What opens the state's secrets: `passphrase`, or a service. */
function providerOf(state: string): string {
  const { deployment } = JSON.parse(state) as {
    deployment: { secrets_providers?: { type?: string } };
  };
  return deployment.secrets_providers?.type ?? "none";
}

const isInside = (path: string): boolean => resolve(path).startsWith(root + sep);

/** The key that the settings name, where it lies inside the project's folder. */
function identityOf({ settings: { platform, ssh } }: OperatedStack) {
  if (platform !== "ssh") return {};
  const { identityFile } = ssh;
  if (identityFile === undefined)
    return { missing: "the private key for the machines: ssh finds it by itself on this machine" };
  const path = userPath(identityFile);
  if (!isInside(path))
    return {
      missing: `the private key for the machines: it is ${identityFile}, outside of the project`,
    };
  if (!existsSync(path))
    return { missing: `the private key for the machines: there is no ${identityFile}` };
  return { place: identityFile, text: readFileSync(path, "utf8") };
}

/** Where this checkout is in its history. */
async function checkout(): Promise<About["hastack"]> {
  const { version } = JSON.parse(readProjectFile("package.json")) as { version: string };
  const git = (...words: string[]) => run(["git", "-C", root, ...words]);
  const head = await git("rev-parse", "HEAD");
  if (head.code !== 0) return { version, changed: false };
  const { stdout } = await git("status", "--porcelain");
  return { version, commit: head.stdout.trim(), changed: stdout.trim() !== "" };
}

/** Pulumi.yaml, where it is not the one that the history has. */
async function ownProject(): Promise<string | undefined> {
  const text = readFileSync(inRoot("Pulumi.yaml"), "utf8");
  const { code, stdout } = await run(["git", "-C", root, "show", "HEAD:./Pulumi.yaml"]);
  return code === 0 && stdout === text ? undefined : text;
}

/** @throws where there is nothing to recover, or the state cannot be opened */
export async function gatherKit(stack: OperatedStack, at = new Date()): Promise<Kit> {
  const { name, settings, application } = stack;
  const { state, outputs, config } = await askPulumi(name);
  const { deployment } = JSON.parse(state) as { deployment?: { resources?: unknown[] } };
  if ((deployment?.resources ?? []).length <= 1)
    throw new Error(
      `stack ${name}: its state has no resources, so there is nothing to recover yet`,
    );
  const provider = providerOf(state);
  const passphrase = passphraseOf(provider);
  const sources = sourcesOf(stack, state);
  const key = String(
    outputs.backupRepositoryKey ?? config["hastack:backupRepositoryKey"]?.value ?? "",
  );
  const identity = identityOf(stack);
  const project = await ownProject();
  const hastack = await checkout();
  const isOutside = !isInside(resolve(root, application.path));
  const missing = [
    passphrase === undefined && `what opens the state's secrets: that is ${provider}'s`,
    needsKit(stack) &&
      key === "" &&
      "the key of the backups: the stack has no output backupRepositoryKey",
    identity.missing,
    isOutside && `the application: it is ${application.path}, outside of the project`,
    hastack.commit === undefined && "the commit of hastack: this folder is no checkout of git's",
    settings.ssh.inventory !== undefined &&
      sources.inventory === "" &&
      `how the machines are reached: there is no ${settings.ssh.inventory}`,
  ].filter((one) => typeof one === "string");
  const about: About = {
    what: "recovery kit of hastack",
    format,
    stack: name,
    platform: settings.platform,
    made: at.toISOString(),
    by: operator(),
    hastack,
    application: {
      path: isOutside ? application.path : relative(root, resolve(root, application.path)),
      ...(typeof outputs.release === "string" && { release: outputs.release }),
    },
    places: { inventory: settings.ssh.inventory, identity: identity.place },
    missing,
    fingerprint: fingerprintOf(sources),
  };
  const files = {
    [names.readMe]: readMe(about),
    ...((needsKit(stack) || key !== "") && {
      [names.repository]: repositoryText(key || undefined, config),
    }),
    [names.state]: state,
    ...(passphrase !== undefined && { [names.passphrase]: `${passphrase}\n` }),
    [names.settings]: sources.settings,
    ...(sources.overlay !== "" && { [names.overlay]: sources.overlay }),
    ...(project !== undefined && { [names.project]: project }),
    ...(sources.inventory !== "" && { [names.inventory]: sources.inventory }),
    ...(identity.text !== undefined && { [names.identity]: identity.text }),
  };
  return { about, files };
}
