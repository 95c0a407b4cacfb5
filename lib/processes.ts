import { readdirSync, readFileSync } from "node:fs";
import { mustRun } from "./run.ts";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** The program alone, as it was called; it may hold spaces. Empty where the command line is. */
  readonly program: string;
  /** The command line; empty for a process that has ended but is not yet reaped. */
  readonly command: string;
}

/** One process as Linux shows it; nothing when it has just gone. */
function fromProc(pid: string): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    const [program = "", command] = [words[0], words.join(" ").trim()];
    // the name in parentheses may hold anything, spaces too: "PID (name) STATE PARENT …"
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return [{ pid: Number(pid), parent, program, command }];
  } catch {
    return [];
  }
}

/** All processes of this machine. Linux needs no program for it; others have `ps`. */
export async function processes(): Promise<Process[]> {
  if (process.platform === "linux") {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap(fromProc);
  }
  return fromPs(
    await mustRun(["ps", "-axo", "pid=,ppid=,args="]),
    await mustRun(["ps", "-axo", "pid=,comm="]),
  );
}

/**
 * Processes as `ps` shows them. Only a list without arguments tells where a program's name ends.
 * @param commands lines of process, parent and command line
 * @param programs lines of process and program
 */
export function fromPs(commands: string, programs: string): Process[] {
  const names = new Map(
    [...programs.matchAll(/^\s*(\d+)\s+(.*\S)\s*$/gm)].map(([, pid, name = ""]) => [pid, name]),
  );
  return [...commands.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm)].map(
    ([, pid, parent, command = ""]) => {
      const program = names.get(pid) ?? command.split(" ")[0] ?? "";
      return { pid: Number(pid), parent: Number(parent), program, command };
    },
  );
}

/** The processes with these ids and all that they started, the youngest generation last. */
export function withDescendants(all: readonly Process[], pids: readonly number[]): number[] {
  const children = all.filter(({ parent }) => pids.includes(parent)).map(({ pid }) => pid);
  return children.length === 0 ? [...pids] : [...pids, ...withDescendants(all, children)];
}
