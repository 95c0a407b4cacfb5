import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { adminPath, type Machine, onPath, thisMachine } from "../../lib/machine.ts";
import { mustRun, run } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { aptInstall, cannotInstall } from "./apt.ts";

const socket = "/var/run/docker.sock";
const log = "/var/log/hastack-dockerd.log";
const probeSeconds = 20;
const startSeconds = 60;

/** What was found out about Docker on this machine. */
export interface EngineFacts {
  /** The engine's version, when it answers the `docker` client. */
  readonly version: string | undefined;
  readonly client: boolean;
  /** The engine's program is installed. */
  readonly daemon: boolean;
  /** What came of connecting to the socket. */
  readonly socket: "answers" | "absent" | "denied" | "dead";
  /** DOCKER_HOST, or a context of the client's other than the default. */
  readonly elsewhere: string | undefined;
  readonly clientError: string;
}

export type EngineDecision =
  | { readonly kind: "ready"; readonly version: string }
  | { readonly kind: "install" }
  | { readonly kind: "start" }
  | { readonly kind: "impossible"; readonly message: string };

const impossible = (message: string): EngineDecision => ({ kind: "impossible", message });

/** What to do about Docker. */
export function decideEngine(facts: EngineFacts, machine: Machine): EngineDecision {
  if (facts.version !== undefined) return { kind: "ready", version: facts.version };
  if (facts.elsewhere !== undefined) {
    return impossible(
      `no Docker engine answers at ${facts.elsewhere} (${facts.clientError}): start that one, or ` +
        "unset DOCKER_HOST / `docker context use default` for one on this machine",
    );
  }
  if (facts.socket === "denied") {
    return impossible(
      `${socket} is there, but user ${machine.user} may not use it: ` +
        `\`sudo usermod -aG docker ${machine.user}\` and log in again, or run this with sudo`,
    );
  }
  if (machine.platform !== "linux") {
    return impossible("no Docker engine answers: install and start Docker Desktop, then try again");
  }
  if (facts.client && facts.socket === "answers") {
    return impossible(
      `the Docker engine at ${socket} and the \`docker\` on PATH are incompatible: ` +
        `${facts.clientError}. Install the engine's own client, or a newer engine`,
    );
  }
  const reason = cannotInstall(machine);
  if (facts.daemon && facts.client) {
    if (machine.root) return { kind: "start" };
    return impossible(
      `the Docker engine does not run, and user ${machine.user} may not start it: ` +
        "`sudo systemctl start docker`, then try again",
    );
  }
  if (reason === undefined) return { kind: "install" };
  return impossible(
    `no Docker engine answers, and it cannot be installed from here: ${reason}. Install one ` +
      "(Debian: `sudo apt-get install docker.io`; others: https://docs.docker.com/engine/install) " +
      "and try again",
  );
}

/** Connects to the engine's socket and hangs up. */
function trySocket(path = socket): Promise<EngineFacts["socket"]> {
  if (!existsSync(path)) return Promise.resolve("absent");
  return new Promise((resolve) => {
    const connection = connect(path);
    connection.on("connect", () => {
      connection.destroy();
      resolve("answers");
    });
    connection.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "EACCES" || error.code === "EPERM" ? "denied" : "dead");
    });
  });
}

/** The address of an engine that is not this machine's own. */
async function otherEngine(client: boolean): Promise<string | undefined> {
  const host = process.env.DOCKER_HOST;
  if (host !== undefined && host !== "" && host !== `unix://${socket}`) return host;
  if (!client) return undefined;
  const { stdout } = await run(["docker", "context", "show"], { limitSeconds: probeSeconds });
  const context = stdout.trim();
  return context === "" || context === "default" ? undefined : `context ${context}`;
}

async function lookAround(): Promise<EngineFacts> {
  const client = onPath("docker") !== undefined;
  const answer = client
    ? await run(["docker", "version", "--format", "{{.Server.Version}}"], {
        limitSeconds: probeSeconds,
      })
    : { code: 1, stdout: "", stderr: "no docker client" };
  return {
    version: answer.code === 0 ? answer.stdout.trim() : undefined,
    client,
    daemon: onPath("dockerd") !== undefined,
    socket: await trySocket(),
    elsewhere: await otherEngine(client),
    clientError: answer.stderr.trim().split("\n").at(-1) ?? "",
  };
}

const logTail = (): string =>
  existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n").slice(-15).join("\n") : "";

/** Starts the engine so that it outlives this command. */
async function startEngine(systemd: boolean): Promise<void> {
  if (systemd) {
    await mustRun(["systemctl", "enable", "--now", "docker"]);
    return;
  }
  const output = openSync(log, "a");
  const env = { ...process.env, PATH: adminPath() };
  // detached: a session of its own, so neither this command's end nor its terminal's reaches it
  spawn("dockerd", [], {
    detached: true,
    stdio: ["ignore", output, output],
    cwd: "/",
    env,
  }).unref();
}

/**
 * Sees to it that a Docker engine answers.
 * @param say told what takes a while
 * @returns what there is now
 * @throws with what to do.
 */
export async function ensureEngine(say: (line: string) => void): Promise<string> {
  const machine = thisMachine();
  const decision = decideEngine(await lookAround(), machine);
  if (decision.kind === "impossible") throw new Error(decision.message);
  if (decision.kind === "ready") return `${decision.version} answers`;
  if (decision.kind === "install") {
    say("installing Debian's docker.io");
    await aptInstall(["docker.io", "iptables", "ca-certificates"], ["docker-cli"]);
  }
  // the package's own start-up may have done it
  if ((await lookAround()).version === undefined) {
    say(machine.systemd ? "starting it by systemd" : `starting it, its log in ${log}`);
    await startEngine(machine.systemd);
  }
  const facts = await until("the Docker engine answers", {
    probe: lookAround,
    done: ({ version }) => version !== undefined,
    limitSeconds: startSeconds,
    hint: () =>
      machine.systemd ? "see `journalctl -u docker`" : `last lines of ${log}:\n${logTail()}`,
  });
  return `${facts.version} ${decision.kind === "install" ? "installed and started" : "started"}`;
}
