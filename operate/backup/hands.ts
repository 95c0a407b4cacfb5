/** What a restore in the stack's place does to machines, etcd and the backup member, each as one thing. */
import { sharedPath } from "../../infra/application/environment.ts";
import type { Member } from "../../infra/topology.ts";
import { present } from "../../infra/topology.ts";
import { until } from "../../lib/until.ts";
import { askCluster, leaderOf } from "../act/patroni.ts";
import { say } from "../act/plan.ts";
import { mustOn, processesScript, setProcesses } from "../act/processes.ts";
import { replicates } from "../act/whole.ts";
import { isUnreachable, onMachineOf } from "../reach.ts";
import type { OperatedStack } from "../stack.ts";
import { stopScript } from "./data.ts";
import { backupMember, onBackup } from "./member.ts";
import { forgetCluster, type RestoreNote, writeNote } from "./note.ts";
import { type Request, request } from "./request.ts";

export interface Hands {
  /** Members of the database whose machines are not absent, by name. */
  readonly members: readonly string[];
  /** Runs shell text on a member's machine, which must succeed. @returns what it says */
  on(member: string, script: string, what: string, seconds?: number): Promise<string>;
  /** Whether shell text succeeds there. @throws where the machine cannot be reached */
  holds(member: string, script: string): Promise<boolean>;
  /** Stops a member's processes and PostgreSQL, so that no boot starts them. Every call to a machine counts here. */
  stop(member: string): Promise<void>;
  /** Lets a member's processes run again. */
  release(member: string): Promise<void>;
  isHeld(member: string): Promise<boolean>;
  /** Waits until a member is the primary. */
  leads(member: string, signal?: AbortSignal): Promise<void>;
  /** Waits until every member is there, as primary or its synchronous standby. */
  whole(signal?: AbortSignal): Promise<void>;
  note(note: RestoreNote | undefined): Promise<void>;
  forgetCluster(): Promise<void>;
  /** Sets or takes away the files that keep applications from removing others; without them nothing happens. */
  marks(deed: "set" | "remove"): Promise<void>;
  /** Stops or starts the receiving of log. */
  receive(deed: "stop" | "start"): Promise<void>;
  /** Has the backup member do something, to its end. */
  ask(request: Request, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>>;
  say(text: string): void;
}

/** While it is there applications move and remove no file of the directory it is in. */
const mark = ".hastack-restore";

/** Shell text for a machine where the shared directories are mounted. */
export const marksScript = (shared: readonly string[], deed: "set" | "remove"): string =>
  [
    "set -eu",
    ...shared
      .map(sharedPath)
      .flatMap((path) => [
        `mountpoint -q ${path} || { echo '${path} is not mounted' >&2; exit 1; }`,
        deed === "set" ? `: > ${path}/${mark}` : `rm -f ${path}/${mark}`,
      ]),
  ].join("\n");

/** A copy of a large database takes hours. */
const longSeconds = 86_400;

/** Its processes have their grace; then PostgreSQL writes out what it holds. */
const stopSeconds = 1320;

export function handsOn(stack: OperatedStack): Hands {
  const members = present(stack.topology.members.database);
  const named = (name: string): Member => {
    const found = members.find((one) => one.name === name);
    if (found) return found;
    throw new Error(`${name} is no member of the database whose machine is there`);
  };
  return {
    members: members.map(({ name }) => name),
    on: (member, script, what, seconds) => mustOn(stack, named(member), script, what, seconds),
    async holds(member, script) {
      const outcome = await onMachineOf(stack, named(member).machine, script, { limitSeconds: 10 });
      if (isUnreachable(outcome)) throw new Error(`${member}: ${outcome.unreachable}`);
      return outcome.code === 0;
    },
    async stop(member) {
      const script = stopScript(processesScript(stack, named(member), "hold"));
      await mustOn(stack, named(member), script, "stop it", stopSeconds);
    },
    release: (member) => setProcesses(stack, named(member), "release"),
    isHeld(member) {
      return this.holds(member, processesScript(stack, named(member), "isHeld"));
    },
    leads: (member, signal) => leads(stack, member, signal),
    whole: (signal) => replicates(stack, members.length, longSeconds, signal),
    note: (note) => writeNote(stack, note),
    forgetCluster: () => forgetCluster(stack),
    marks: (deed) => marks(stack, deed),
    receive: (deed) => setProcesses(stack, backupMember(stack), deed, "receive"),
    ask: (wanted, signal) => request(stack, wanted, { ...(signal && { signal }) }),
    say,
  };
}

async function leads(stack: OperatedStack, name: string, signal?: AbortSignal): Promise<void> {
  await until(`${name} is the primary (npm run logs -- ${name})`, {
    probe: () => askCluster(stack),
    done: (cluster) => leaderOf(cluster)?.name === name,
    limitSeconds: 300,
    intervalSeconds: 0.5,
    ...(signal && { signal }),
  });
}

/** By the backup member, which has the directories; what takes them away may be any instance, too. */
async function marks(stack: OperatedStack, deed: "set" | "remove"): Promise<void> {
  const { shared } = stack.application;
  if (shared.length === 0) return;
  const script = marksScript(shared, deed);
  if (deed === "set") {
    await onBackup(stack, script, { limitSeconds: 30 });
    return;
  }
  const instances = present(Object.values(stack.topology.tiers).flat());
  const why: string[] = [];
  for (const { name, machine } of [backupMember(stack), ...instances]) {
    const outcome = await onMachineOf(stack, machine, script, { limitSeconds: 30 });
    if (!isUnreachable(outcome) && outcome.code === 0) return;
    why.push(`${name}: ${isUnreachable(outcome) ? outcome.unreachable : outcome.stderr.trim()}`);
  }
  throw new Error(`${mark} cannot be taken away from the shared directories:\n${why.join("\n")}`);
}
