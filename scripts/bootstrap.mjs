// The first phase of every command: plain JavaScript for whatever Node is there (20 or newer), with
// no package installed yet. It installs the packages that the lock files name, then goes on under
// the project's own Node, which runs TypeScript as it is.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { printable } from "../lib/printable.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const ownNode = join(root, "node_modules/.bin/node");

/** Node strips types by itself from here on. */
const typeStripping = { major: 22, minor: 18 };

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, link?: boolean }} Locked
 * @typedef {{ packages?: Record<string, Locked> }} LockFile
 */

/**
 * What a lock file asks for and `node_modules` has not, or in another version.
 * @param {LockFile} wanted package-lock.json
 * @param {LockFile | undefined} installed node_modules/.package-lock.json, npm's own record,
 *   written when an installation is complete
 * @returns {string[]} paths as in the lock file; the whole root when nothing is installed
 */
export function missingPackages(wanted, installed) {
  if (installed?.packages === undefined) return ["node_modules"];
  const have = installed.packages;
  return Object.entries(wanted.packages ?? {})
    .filter(([path]) => path.startsWith("node_modules/") || path.includes("/node_modules/"))
    .filter(([path, { version, integrity, optional }]) => {
      const found = have[path];
      if (found === undefined) return !optional;
      return found.version !== version || found.integrity !== integrity;
    })
    .map(([path]) => path);
}

/**
 * True for a Node that runs TypeScript by itself.
 * @param {string} version as in process.versions.node
 */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return (
    major > typeStripping.major || (major === typeStripping.major && minor >= typeStripping.minor)
  );
}

/** @param {string} path @returns {LockFile | undefined} */
function readLock(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

/**
 * Installs what the folder's lock file asks for, if anything is missing. A package that is not of the
 * lock file's checksum is not installed, whoever gave it; Node is one of them.
 * @param {string} folder
 */
export function ensurePackages(folder) {
  const wanted = readLock(join(folder, "package-lock.json"));
  if (wanted === undefined) return;
  if (
    missingPackages(wanted, readLock(join(folder, "node_modules/.package-lock.json"))).length === 0
  )
    return;
  process.stderr.write(`Installing the npm packages of ${folder}\n`);
  const { status, error } = spawnSync(
    "npm",
    ["ci", "--loglevel=error", "--ignore-scripts", "--no-audit", "--no-fund"],
    {
      cwd: folder,
      stdio: ["ignore", process.stderr.fd, process.stderr.fd],
    },
  );
  if (status === 0) return;
  throw new Error(
    `\`npm ci\` in ${folder} failed${error ? ` (${error.message})` : ""}: see its output above; ` +
      "it needs npm and a registry that it can reach",
  );
}

/**
 * The Node that carries the rest.
 * @returns {string} its path
 */
function chooseNode() {
  if (existsSync(ownNode)) return ownNode;
  if (runsTypeScript(process.versions.node)) return process.execPath;
  throw new Error(
    `Node ${process.versions.node} cannot run this project, and npm has no package with Node for ` +
      `${process.platform}-${process.arch}: install Node 24 (https://nodejs.org) and try again`,
  );
}

/**
 * True when Ctrl-C reaches our children by itself: the terminal sends it to the whole group, and
 * passing it on would deliver it twice, which Pulumi takes for "stop at once".
 */
function hasTerminal() {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a program in our place: our streams, its exit code, signals passed on.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @param {(text: string) => void} [hear] gets both its outputs instead of our streams
 * @param {number} [limit] milliseconds after which it gets SIGTERM
 * @returns {Promise<number>} its exit code, 128 + number when a signal ended it
 */
export function become(program, args, env = process.env, hear, limit) {
  return new Promise((resolve, reject) => {
    const terminal = hasTerminal();
    /** @type {import("node:child_process").ChildProcess | undefined} */
    let child;
    /** @type {Map<NodeJS.Signals, () => void>} */
    const handlers = new Map();
    // Before the program starts: a signal that ends us alone would leave it running
    for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])) {
      const byTerminal = terminal && (signal === "SIGINT" || signal === "SIGQUIT");
      const handler = () => void (byTerminal || child?.kill(signal));
      handlers.set(signal, handler);
      process.on(signal, handler);
    }
    const settle = () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
    const output = hear ? "pipe" : "inherit";
    child = spawn(program, args, { stdio: ["inherit", output, output], env, timeout: limit });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => hear?.(text));
    }
    child.on("error", (error) => {
      settle();
      reject(error);
    });
    child.on("close", (code, signal) => {
      settle();
      resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]);
    });
  });
}

/**
 * Runs a command of the project to its end, and sets the exit code.
 * @param {string} name a module beside this file that exports `main(args)`
 * @param {string[]} args
 */
export async function start(name, args) {
  try {
    ensurePackages(root);
    // only these run the application here; a release installs its own copy of the packages
    if (name === "test" || name === "bench") ensurePackages(join(root, "app"));
    if (runsTypeScript(process.versions.node)) {
      // Halves the time that a command takes to start
      module.enableCompileCache?.(join(root, ".hastack/node-compile-cache"));
      const { main } = await import(`./${name}.ts`);
      process.exitCode = (await main(args)) ?? 0;
    } else {
      process.exitCode = await become(chooseNode(), process.argv.slice(1));
    }
  } catch (error) {
    process.stderr.write(
      `error: ${printable(error instanceof Error ? error.message : `${error}`)}\n`,
    );
    process.exitCode = 1;
  }
}
