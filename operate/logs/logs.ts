/** The logs of members, from the engine's or the machine's own journal. */
import { spawn } from "node:child_process";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { dockerNames } from "../../infra/platform/docker/names.ts";
import { roleTable } from "../../infra/roles.ts";
import { allMembers, type Member } from "../../infra/topology.ts";
import { withCommandOn } from "../attach.ts";
import { folderOf } from "../folder.ts";
import type { OperatedStack } from "../stack.ts";
import { linesIn } from "./lines.ts";
import { type Line, merged, type NamedLine } from "./merge.ts";
import { readLine } from "./read.ts";

export interface LogOptions {
  /** Seconds since 1970. */
  readonly since: number;
  /** Go on with what is written from now on. */
  readonly follow: boolean;
  /** Ends the reading, and what reads for it. */
  readonly signal: AbortSignal;
}

/**
 * Members by what an operator calls them: a member, a component or its short name (`database`, `db`), a
 * tier, or a machine; without a name all of them.
 * @throws with what there is, when it is none of these
 */
export function membersCalled(stack: OperatedStack, names: readonly string[]): Member[] {
  const members = allMembers(stack.topology);
  if (names.length === 0) return members;
  const found = names.flatMap((name) => {
    const some = members.filter((one) => callsOf(one).includes(name));
    if (some.length > 0) return some;
    const all = [...new Set(members.flatMap(callsOf))].join(", ");
    throw new Error(`stack ${stack.name}: nothing is called ${name}; there are ${all}`);
  });
  return [...new Set(found)];
}

function callsOf({ name, role, machine }: Member): string[] {
  const row = Object.entries(roleTable).find(([key]) => key === role)?.[1];
  return [name, role, machine, ...(row ? [row.memberPrefix] : [])];
}

/** How long a line may wait for an earlier one from a slower machine: while logs are followed, and else. */
const patienceMilliseconds = { followed: 500, whole: 15_000 };

/** The members' lines, by time. Those of one that cannot be read end with a line that says why. */
export function readLogs(
  stack: OperatedStack,
  members: readonly Member[],
  options: LogOptions,
): AsyncGenerator<NamedLine> {
  const sources = members.map((member) => ({
    name: member.name,
    lines: linesOf(stack, member, options),
  }));
  return merged(sources, patienceMilliseconds[options.follow ? "followed" : "whole"]);
}

async function* linesOf(
  stack: OperatedStack,
  member: Member,
  options: LogOptions,
): AsyncGenerator<Line> {
  const lines = new PassThrough({ objectMode: true });
  withLogCommand(stack, member, options, (command) => pass(command, options.signal, lines))
    .catch(({ message }: Error) => {
      if (!options.signal.aborted)
        lines.write({
          time: new Date().toISOString(),
          text: `(its log cannot be read: ${message})`,
        });
    })
    .finally(() => lines.end());
  yield* lines as AsyncIterable<Line>;
}

/** Hands over the command line that writes a member's log, each line with its time. */
function withLogCommand(
  stack: OperatedStack,
  member: Member,
  { since, follow }: LogOptions,
  use: (line: readonly string[]) => Promise<void>,
): Promise<void> {
  if (stack.settings.platform === "docker") {
    const options = ["--timestamps", `--since=${since}`, ...(follow ? ["--follow"] : [])];
    return use(["docker", "logs", ...options, dockerNames(stack.name).container(member.machine)]);
  }
  const options = `--quiet --no-pager --utc --no-hostname --output=short-iso-precise --since=@${since}`;
  // Where nobody reads any more it ends with its input: systemd's own look at that is a matter of versions
  const script = `[ -d ${folderOf(stack, member)}/units ] || { echo 'it has no units of its own: see journalctl on ${member.machine}' >&2; exit 1; }
set -- $(ls ${folderOf(stack, member)}/units | sed 's/^/--unit=/')
journalctl ${options} ${follow ? "--follow --lines=all " : ""}"$@"${follow ? " & cat > /dev/null; kill $!" : ""}`;
  return withCommandOn(stack, member.machine, ["sh", "-c", script], false, use);
}

/** Runs a command, and passes on the lines that it writes on both of its outputs. */
async function pass(
  command: readonly string[],
  signal: AbortSignal,
  lines: PassThrough,
): Promise<void> {
  // One pipe for both, so that they keep their order
  const child = spawn("sh", ["-c", 'exec "$@" 2>&1', "sh", ...command], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  // Docker's command line lets SIGTERM wait for what it is writing, which nobody reads any more
  const end = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", end);
  let words = "";
  const read = async function* (raws: AsyncIterable<string>) {
    let before: Line | undefined;
    for await (const raw of raws) {
      before = readLine(raw, before);
      if (before) yield before;
      else words = raw;
    }
  };
  const passed = pipeline(linesIn(child.stdout), read, lines, { end: false });
  const [code] = await Promise.all([ended, passed]);
  signal.removeEventListener("abort", end);
  if (code !== 0) throw new Error(words || `it ended with ${code}`);
}
