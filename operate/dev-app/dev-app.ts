/**
 * An application's folder, run as one more instance beside one of the stack's on Docker: with that one's
 * network, credentials, certificates and shared files, and of the same image. What is saved in the folder
 * is run a moment later. The container ends with this command, however it ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { lstatSync, readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { applicationFolder, type Tier } from "../../infra/application/application.ts";
import { userOf } from "../../infra/application/names.ts";
import { recipeOf } from "../../infra/application/recipe.ts";
import { runDocker } from "../../infra/platform/docker/engine.ts";
import { dockerNames } from "../../infra/platform/docker/names.ts";
import { commandLine, quote } from "../../infra/platform/shell.ts";
import { inRoot } from "../../lib/paths.ts";
import { filesOf } from "../../release/hash.ts";
import type { ReleaseRecipe } from "../../release/recipe.ts";
import { Refusal, say } from "../act/plan.ts";
import type { OperatedStack } from "../stack.ts";

/** Beside the instance's own programs, which have the ports of the description. */
const innerPort = 47_111;
/** How often the folder is looked at; a few hundred files take some milliseconds. */
const lookMilliseconds = 150;
/** The pools of the stack's instances are counted; this is what is left for others. */
const poolSize = 2;

export interface DevAppOptions {
  /** @default the first tier that has a port */
  readonly tier?: string | undefined;
  /** On 127.0.0.1 of this machine. */
  readonly port: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** @throws Refusal where there is no such tier, or the stack is not on Docker */
export function tierFor({ name, settings, application }: OperatedStack, wanted?: string): Tier {
  if (settings.platform !== "docker")
    throw new Refusal(
      `stack ${name} is on machines: an edited application would run there beside what people use. Use a stack on Docker, such as dev`,
    );
  const { tiers } = application;
  const found =
    wanted === undefined
      ? (tiers.find(({ port }) => port !== undefined) ?? tiers[0])
      : tiers.find((tier) => tier.name === wanted);
  if (found) return found;
  const names = tiers.map((tier) => tier.name).join(", ");
  throw new Refusal(`${wanted} is no tier of ${application.name}: there are ${names}`);
}

/** What it does, before it does it. */
export function describe(stack: OperatedStack, { name }: Tier, port: number): string {
  const folder = applicationFolder(stack.application.path);
  return (
    `${folder} runs as one more instance of ${name} in ${stack.name}, at http://127.0.0.1:${port}, and anew ` +
    `at each save. It works on ${stack.name}'s own database, cache and files: what you change there is changed ` +
    "for all. No visitor is sent to it, the stack's instances stay as they are, and jobs do not run. Ctrl-C ends it."
  );
}

/** Runs it until the signal comes. @throws where it cannot be started, or its container ends */
export async function devApp(stack: OperatedStack, options: DevAppOptions): Promise<void> {
  const tier = tierFor(stack, options.tier);
  const [member] = stack.topology.tiers[tier.name] ?? [];
  if (!member) throw new Refusal(`${tier.name} has no instance in ${stack.name} to run beside`);
  const instance = dockerNames(stack.name).container(member.name);
  const container = `${dockerNames(stack.name).container("dev-app")}-${process.pid}`;
  const image = (await runDocker(["inspect", "-f", "{{.Image}}", instance])).trim();
  const recipe = recipeOf(stack.application, stack.application.path);
  const { folder } = recipe;
  const stopListening = tier.port === undefined ? undefined : await listen(container, options.port);
  const child = spawn(
    "docker",
    runWords({ stack, tier, instance, container, image, folder, port: options.port }),
    {
      stdio: ["pipe", "inherit", "inherit"],
      // Ctrl-C is for us, and its end follows from ours
      detached: true,
    },
  );
  const ended = new Promise<string>((resolve) => {
    child.on("error", ({ message }) => resolve(`docker cannot be run: ${message}`));
    child.on("close", (code) => resolve(`its container ended with code ${code}`));
  });
  try {
    const stopWatching = onSave(recipe, (what) => {
      say(`dev:app: ${what} has changed`);
      anew(child);
    });
    anew(child);
    const aborted = new Promise<undefined>((resolve) =>
      options.signal.addEventListener("abort", () => resolve(undefined), { once: true }),
    );
    const why = await Promise.race([ended, aborted]);
    stopWatching();
    if (why !== undefined) throw new Error(`${why}; npm run dev:app starts it again`);
  } finally {
    stopListening?.();
    child.stdin?.end();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 3000))]);
    await runDocker(["rm", "--force", container]).catch(() => {});
  }
}

const anew = ({ stdin }: ChildProcess): void => void stdin?.write("\n", () => {});

interface Run {
  readonly stack: OperatedStack;
  readonly tier: Tier;
  readonly instance: string;
  readonly container: string;
  readonly image: string;
  readonly folder: string;
  readonly port: number;
}

function runWords({ stack, tier, instance, container, image, folder, port }: Run): string[] {
  const listens = tier.port !== undefined;
  const overrides = {
    HASTACK_INSTANCE: "dev-app",
    HASTACK_RELEASE: "edited",
    DATABASE_POOL_SIZE: String(Math.min(poolSize, tier.poolSize)),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    DRAIN_SECONDS: "0",
    STOP_GRACE_SECONDS: "1",
    ...(listens && { PORT: String(innerPort) }),
  };
  const variables = {
    RUN_AS: userOf(tier.name),
    COMMAND: commandLine(tier.command),
    PORT: listens ? String(innerPort) : "",
    ENTRIES: stack.application.release.files?.join("\n") ?? ".",
    OVERRIDES: Object.entries(overrides)
      .map(([name, value]) => `${name}=${quote(value)}`)
      .join("\n"),
  };
  return [
    ...["run", "--rm", "--interactive", "--init", "--name", container],
    ...["--label", `hastack.dev-app=${stack.name}`, "--security-opt", "no-new-privileges"],
    ...["--network", `container:${instance}`],
    // Its files, with credentials and certificates, and its shared directories
    ...["--volumes-from", instance],
    ...["--volume", `${folder}:/opt/hastack/edited:ro`],
    ...Object.entries(variables).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ...[
      "--entrypoint",
      "sh",
      image,
      "-c",
      readFileSync(inRoot("operate/dev-app/supervise.sh"), "utf8"),
    ],
  ];
}

/**
 * Where a browser on this machine finds it: each connection goes through the container, which is reached
 * so on every system that Docker runs on.
 * @returns what ends it
 */
async function listen(container: string, port: number): Promise<() => void> {
  const words = [
    "exec",
    "--interactive",
    container,
    "socat",
    "STDIO",
    `TCP:127.0.0.1:${innerPort}`,
  ];
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    const relay = spawn("docker", words, { stdio: ["pipe", "pipe", "ignore"], detached: true });
    relay.stdout.pipe(socket);
    socket.pipe(relay.stdin);
    for (const stream of [socket, relay.stdin, relay.stdout]) stream.on("error", () => {});
    relay.on("error", () => socket.destroy()).on("close", () => socket.destroy());
    socket.on("close", () => {
      open.delete(socket);
      relay.kill();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error;
    throw new Refusal(`port ${port} of this machine is taken: name another by --port`);
  });
  return () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
}

/**
 * Calls back once something that a release is made of has changed and rests. Looked for again and again: what
 * systems tell of changes is lost for files that an editor replaces, and in virtual machines.
 * @returns what ends it
 */
function onSave(recipe: ReleaseRecipe, saved: (what: string) => void): () => void {
  let known = filesIn(recipe);
  let changed: string | undefined;
  const timer = setInterval(() => {
    const now = filesIn(recipe);
    const found = [...known.keys(), ...now.keys()].find(
      (path) => known.get(path) !== now.get(path),
    );
    known = now;
    // An editor writes several files, or one in several goes
    if (found === undefined && changed !== undefined) saved(changed);
    changed = found;
  }, lookMilliseconds);
  return () => clearInterval(timer);
}

/** When each was changed; a file that goes just then is gone. */
function filesIn(recipe: ReleaseRecipe): Map<string, string> {
  try {
    return new Map(
      filesOf(recipe).map((path) => {
        const { mtimeMs, size, ino } = lstatSync(join(recipe.folder, path));
        return [path, `${mtimeMs} ${size} ${ino}`];
      }),
    );
  } catch {
    return new Map();
  }
}
